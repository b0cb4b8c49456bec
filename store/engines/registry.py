"""The engines there are, and what the catalog records of each: a stamp of its state, in `meta`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.store import Store
from shotdex.store.types import EncoderId

from .base import STAMP_KEY, EngineDamaged, EngineSite, VectorEngine
from .flat import FlatEngine
from .ivf import inverted_file_path, open_ivf
from .validation import FileRecord, note_file

ENGINES: dict[str, Callable[[EngineSite], VectorEngine]] = {"flat": FlatEngine, "ivf": open_ivf}
"""How each engine is opened. Of those that cover something a search takes the last, or the first that is exact."""

OURS = re.compile(r"encoder-[0-9]+-([0-9a-f]{12}|[0-9a-f]{32})(\.[0-9]+)?\.(faiss|cells|validated|part)")
"""What the names of the files of engines look like, of this version and of older ones."""


def open_engines(
    store: Store, con: Connection, encoder_id: int, encoder: EncoderId, names: Collection[str] | None = None
) -> dict[str, VectorEngine]:
    """Open engines of an encoder in the state that the catalog records; by name, in the registry's order.

    `names` are those to be opened, with those that they search; all where there are none.
    """
    keys = {STAMP_KEY.format(name, encoder_id): name for name in ENGINES}
    rows = con.rows("SELECT key, value FROM meta WHERE key IN (SELECT unnest($keys))", {"keys": list(keys)})
    stamps = {keys[key]: str(stamp) for key, stamp in rows if stamp is not None}
    site = EngineSite(store.index_folder, store.identity, encoder_id, encoder.dim, stamps)
    for name, factory in ENGINES.items():
        if names is None or name in names:
            site.opened[name] = factory(site)
    return site.opened


def record_stamp(con: Connection, encoder_id: int, engine: VectorEngine) -> None:
    """Record the state of an engine, in the transaction that makes it the one to be used."""
    key = STAMP_KEY.format(engine.stamped_as, encoder_id)
    con.run("DELETE FROM meta WHERE key IN ($key, $older)", {"key": key, "older": f"index_stamp_{encoder_id}"})
    if engine.stamp is not None:
        con.run("INSERT INTO meta VALUES ($key, $stamp)", {"key": key, "stamp": engine.stamp})


def forget_stamps(con: Connection, encoder_id: int) -> None:
    """Forget all engines of an encoder, in the transaction that changes vectors under ids that they may cover."""
    for name in ENGINES:
        con.run("DELETE FROM meta WHERE key = $key", {"key": STAMP_KEY.format(name, encoder_id)})


def faiss_record(con: Connection, encoder_id: int) -> FileRecord | None:
    """Return what the catalog records of an encoder's FAISS file; None where nothing, or nothing that can be read."""
    key = STAMP_KEY.format(FlatEngine.stamped_as, encoder_id)
    stamp = con.value("SELECT value FROM meta WHERE key = $key", {"key": key})
    with suppress(EngineDamaged):
        return None if stamp is None else FileRecord.of_text(str(stamp))
    return None


def faiss_file(store: Store, con: Connection, encoder_id: int) -> Path | None:
    """Return where the FAISS file of an encoder is, or is to be; None where the catalog records none."""
    record = faiss_record(con, encoder_id)
    return None if record is None else store.index_folder / record.file


def older_file(store: Store, encoder_id: int) -> Path:
    """Return where an older version kept an encoder's FAISS file. It is not read; the next indexing replaces it."""
    return store.index_folder / f"encoder-{encoder_id}-{store.identity[:12]}.faiss"


def leftovers(store: Store, con: Connection) -> list[Path]:
    """Return the files of engines in the index folder that belong to no encoder of this catalog.

    Only names that shotdex gives are looked at; what is in a linked folder is somebody else's.
    """
    folder = store.index_folder
    if folder.is_symlink() or not folder.is_dir():
        return []
    known = set()
    for number in list_encoders(con):
        file = faiss_file(store, con, number) or older_file(store, number)
        known |= {file, note_file(file), inverted_file_path(store, number)}
    ours = [path for path in folder.iterdir() if OURS.fullmatch(path.name) and path not in known]
    return sorted(path for path in ours if path.is_file() or path.is_symlink())
