"""The kept text towers: each is whole, byte for byte, as it was when it was compared with its model."""

from __future__ import annotations

from shotdex.indexer.text_tower.file import tower_fault, tower_file
from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.store import Store

from .check import REPAIR, Check


def text_towers(store: Store, con: Connection) -> list[Check]:
    """Check the text tower of every encoder that has one."""
    checks = []
    for number, encoder in list_encoders(con).items():
        name, path = f"text tower of encoder {number}", tower_file(store, encoder)
        fault = tower_fault(store, encoder)
        if fault is not None:
            checks.append(Check(name, False, f"{path.name} is not used: {fault}", REPAIR))
        elif path.is_file():
            checks.append(Check(name, True, f"{path.name} is whole"))
    return checks


def drop_broken_towers(store: Store, con: Connection) -> list[str]:
    """Delete the text towers that are not whole; the next new text has them made anew. Return a line for each."""
    if store.index_folder.is_symlink():
        return []
    done = []
    for encoder in list_encoders(con).values():
        if tower_fault(store, encoder) is not None:
            tower_file(store, encoder).unlink(missing_ok=True)
            done.append(f"removed {tower_file(store, encoder).name}, which was not whole; a search makes it anew")
    return done
