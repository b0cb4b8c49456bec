"""What a check says: one line on what holds, or on what does not and what to do about it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.file_names import local
from shotdex.store.types import EncoderId

REPAIR = "repair it with: shotdex verify --repair"
LOST = "restore a backup of the catalog, or index again into another folder: shotdex index SOURCE --store DIR"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `text` says it in numbers; `hint`, where it does not hold, what to do."""

    name: str
    ok: bool
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a thing can fail to hold, how often it does, and what to do then."""

    what: str
    count: int
    hint: str


def verdict(name: str, holds: str, faults: Iterable[Fault]) -> Check:
    """Return the check that says `holds` where no fault was counted, else each fault with its number."""
    found = [fault for fault in faults if fault.count]
    if not found:
        return Check(name, True, holds)
    text = "; ".join(f"{fault.what}: {fault.count:,}" for fault in found)
    return Check(name, False, text, "; ".join(dict.fromkeys(fault.hint for fault in found)))


def of_each_encoder(look: Callable[[Connection, int, EncoderId], Check]) -> Callable[[Connection], list[Check]]:
    """Turn a check of one encoder, by its number, into the checks of all encoders of the catalog."""

    @wraps(look)
    def all_of_them(con: Connection) -> list[Check]:
        return [look(con, number, encoder) for number, encoder in list_encoders(con).items()]

    return all_of_them


def index_again(sources: Sequence[str], model: str = "") -> str:
    """Return what a user does to bring the store up to some sources, the first of them spelled out.

    Labels are read again by every indexing, so the options that say what the folders mean belong to it.
    """
    if not sources:
        return "index again: shotdex index SOURCE"
    model = f" --model {shlex.quote(model)}" if model else ""
    more = f"   (and {len(sources) - 1:,} other sources)" if len(sources) > 1 else ""
    if not (sources[0].find("://") > 0 or Path(local(sources[0])).exists()):
        return f"restore {sources[0]}, which no longer exists, then index it again{more}"
    return f"run with the original options: shotdex index {shlex.quote(sources[0])}{model}{more}"


def sources_of(con: Connection, images: str) -> list[str]:
    """Return the sources of the images that a query with a column `image_id` names, those with most images first."""
    found = con.rows(
        f"SELECT source FROM stored_images SEMI JOIN ({images}) USING (image_id) "
        "WHERE source IS NOT NULL GROUP BY source ORDER BY count(*) DESC, source"
    )
    return [row[0] for row in found]
