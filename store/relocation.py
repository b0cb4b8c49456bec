"""A store that was moved or copied together with its images finds them in the new place.

Paths in the catalog are absolute. The store remembers in a small file where it was when they were right; where it is
somewhere else now, what lay in the same place relative to it is looked for there, and paths are rewritten in one
transaction.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from .connection import Connection
from .encoders import list_encoders
from .errors import StoreError
from .ids import renew_images_generation
from .location import PLACE, recorded_place
from .store import Store

log = logging.getLogger(__name__)

SAMPLE = 50
"""Images of a source whose files are looked for in the new place; half of them must be there with their size."""

Move = tuple[str, str]
"""A folder as it is on record, and where it is now."""


def remember_place(store: Store) -> None:
    """Keep where the store is; where nothing can be written, nothing is kept."""
    here = str(store.root.resolve())
    if recorded_place(store.root) == here:
        return
    aside = store.root / f"{PLACE}.{os.getpid()}.part"
    try:
        aside.write_text(here, encoding="utf-8", errors="surrogateescape")
        aside.replace(store.root / PLACE)
    except OSError as error:
        log.info("the place of the store is not kept: %s", error)
        aside.unlink(missing_ok=True)


def follow(store: Store) -> None:
    """Rewrite the paths of a store that was moved with its images, or its model; a warning says so.

    Nothing is done where the store is where it was, or cannot be written to.
    """
    before, here = recorded_place(store.root), store.root.resolve()
    if before is None or before == str(here) or not Path(before).is_absolute() or not store.catalog.is_file():
        return
    try:
        with store.indexing():
            with store.reading() as con:
                moves, waiting = _moves(con, list(_pairs(Path(before), here)))
                models = _models(con, list(_pairs(Path(before), here)))
            if moves or models:
                with store.writing() as con:
                    for source, move in moves.items():
                        _rewrite(con, source, move)
                    for number, name in models.items():
                        con.run(
                            "UPDATE encoders SET name = $name WHERE encoder_id = $number",
                            {"name": name, "number": number},
                        )
                    if moves:
                        renew_images_generation(con)
                log.warning("the store was moved from %s; its images and models are looked for next to it", before)
            if not waiting:
                remember_place(store)
    except StoreError as error:
        log.info("the paths of a store that was moved are as they were: %s", error)


def _pairs(before: Path, here: Path) -> Iterator[Move]:
    """Yield the store's folder, the one around it, and further ones for as long as their names are the same."""
    yield str(before), str(here)
    before, here = before.parent, here.parent
    while before != here:
        yield str(before), str(here)
        if before.name != here.name:
            return
        before, here = before.parent, here.parent


def _moves(con: Connection, pairs: list[Move]) -> tuple[dict[str, Move], bool]:
    """Return the sources that moved, and whether images are missing that are not in the new place either."""
    moves: dict[str, Move] = {}
    waiting = False
    for (source,) in con.rows("SELECT DISTINCT source FROM stored_images WHERE source IS NOT NULL"):
        missing = False
        for old, new in pairs:
            paths = con.rows(
                "SELECT path, size_bytes FROM images WHERE source = $source AND starts_with(path, $below) "
                f"ORDER BY hash(path) LIMIT {SAMPLE}",
                {"source": source, "below": _below(old)},
            )
            there = sum(_is_there(_renamed(path, (old, new)), size) for path, size in paths)
            renamed = _renamed(source, (old, new))
            taken = renamed != source and con.value("SELECT count(*) FROM images WHERE source = $new", {"new": renamed})
            if paths and 2 * there >= len(paths) and not taken:
                moves[source] = (old, new)
                break
            missing |= not all(_is_there(path, size) for path, size in paths)
        else:
            waiting |= missing
    return moves, waiting


def _models(con: Connection, pairs: list[Move]) -> dict[int, str]:
    """Return the new places of models that were folders; their weights are compared when they are loaded."""
    found = {}
    for number, encoder in list_encoders(con).items():
        names = [_renamed(encoder.name, pair) for pair in pairs]
        places = [name for name in names if name != encoder.name and Path(name).is_dir()]
        if places and Path(encoder.name).is_absolute():
            found[number] = places[0]
    return found


def _is_there(path: str, size: int | None) -> bool:
    """Tell whether the file of an image, with its size, is there, or the archive or table that holds it."""
    archive, inside, _ = path.partition("!")
    try:
        return Path(path).stat().st_size == size
    except (OSError, ValueError):
        return bool(inside) and Path(archive).is_file()


def _renamed(path: str, move: Move) -> str:
    old, new = move
    return new if path == old else _below(new) + path[len(_below(old)) :] if path.startswith(_below(old)) else path


def _below(folder: str) -> str:
    return folder if folder.endswith(os.sep) else folder + os.sep


def _rewrite(con: Connection, source: str, move: Move) -> None:
    old, new = map(_below, move)
    names = {"source": source, "renamed": _renamed(source, move)}
    values = names | {"old": old, "new": new, "cut": len(old) + 1}
    path = "CASE WHEN starts_with({0}, $old) THEN $new || substr({0}, $cut) ELSE {0} END"
    for table in ("stored_images", "failures"):
        con.run(f"UPDATE {table} SET path = {path.format('path')}, source = $renamed WHERE source = $source", values)
    if source != names["renamed"]:
        con.run("DELETE FROM sources WHERE source = $renamed", {"renamed": names["renamed"]})
        con.run("UPDATE sources SET source = $renamed WHERE source = $source", names)
        con.run("DELETE FROM left_out WHERE source = $renamed", {"renamed": names["renamed"]})
    paths = f"[{path.format('p')} FOR p IN paths]"
    con.run(f"UPDATE left_out SET source = $renamed, paths = {paths} WHERE source = $source", values)
    for table in ("shards", "vector_shards"):
        con.run(f"UPDATE {table} SET source = $renamed WHERE source = $source", names)
