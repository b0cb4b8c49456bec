"""The places with shards: what a writer left unfinished there, what was cut, and what the catalog has vectors in."""

from __future__ import annotations

from pathlib import Path

import duckdb

from shotdex.indexer.place import Place
from shotdex.indexer.shard_rows import read_batch
from shotdex.indexer.shards import find_shard, read_header
from shotdex.store.connection import Connection
from shotdex.store.errors import ShotdexError, SourceError
from shotdex.store.shard_reader import LOST_HINT, VectorFile, lost_files
from shotdex.store.shard_vectors import vector_files
from shotdex.store.store import Store

from .check import REPAIR, Check
from .check_engines import being_indexed

NAMED = 3
"""Files that a check names."""

HINT = f"{REPAIR}, which deletes it, unless the catalog has what was in it already"


def shards(store: Store, con: Connection) -> list[Check]:
    """Look at each place with shards of this store: at what is unfinished in it, and at the store's own shards."""
    busy = being_indexed(store)
    return [_place(store, con, place, busy) for place in _places(store, con)] + _vectors(store, con)


def _vectors(store: Store, con: Connection) -> list[Check]:
    """Read the shards in which vectors of the catalog stay, and compare them with their digests."""
    files = vector_files(con, store.root, needed=True)
    if not files:
        return []
    of_encoder: dict[int, list[VectorFile]] = {}
    for file in files.values():
        of_encoder.setdefault(file.encoder_id, []).append(file)
    checks, lost = [], lost_files(files.values())
    with duckdb.connect() as raw:
        for number, some in of_encoder.items():
            found = [(file, lost.get(file.shard_id) or _altered(file, Connection(raw))) for file in some]
            wrong = [f"{file.path} {why}" for file, why in found if str(why)]
            text = f"{len(some):,} files with vectors that are not in the catalog, each as it was committed"
            if wrong:
                text = f"vectors are lost with {len(wrong):,} of {len(some):,} files: {_named(wrong)}"
            hint = next((lost[file.shard_id].hint for file in some if file.shard_id in lost), LOST_HINT * bool(wrong))
            checks.append(Check(f"vectors of encoder {number} in shards", not wrong, text, hint))
    return checks


def _altered(file: VectorFile, scratch: Connection) -> str:
    place = Place(file.place)
    try:
        shard = read_header(place, file.name)
        if shard is None:
            return "is not a shard"
        read_batch(shard, scratch)
    except SourceError as error:
        return f"cannot be used: {error}"
    return ""


def check_kept(store: Store, con: Connection) -> None:
    """Make sure that vectors which stay in shards can be read, so that nothing that is made of them is made in vain.

    Raises:
        StoreError: a shard is lost.
    """
    for file in vector_files(con, store.root, needed=True).values():
        for lost in lost_files([file]).values():
            raise file.error(lost)


def _places(store: Store, con: Connection) -> list[Place]:
    """Return where shards of this store are, or were: its own folder, and where it took some from."""
    own = str(_own(store))
    recorded = [row[0] for row in con.rows("SELECT DISTINCT place FROM shards ORDER BY place")]
    found = [Place(place) for place in dict.fromkeys([own, *recorded])]
    return [place for place in found if place.in_bucket or Path(place.url).is_dir()]


def _own(store: Store) -> Path:
    return store.root.absolute() / "shards"


def _cut(store: Store, con: Connection, place: Place) -> list[str]:
    """Return the files of a folder that are not whole shards: those that were taken in, and in our own all others."""
    taken = {row[0] for row in con.rows("SELECT name FROM shards WHERE place = $place", {"place": place.url})}
    names = [] if place.in_bucket else place.tables()
    ours = place.url == str(_own(store)) and not _own(store).is_symlink()
    looked_at = [name for name in names if name in taken or (ours and name.startswith("part-"))]
    return [name for name in looked_at if find_shard(place, name) is None]


def _place(store: Store, con: Connection, place: Place, busy: bool) -> Check:
    name = f"shards at {place}"
    try:
        tables, unfinished = place.tables(), place.unfinished()
    except (ShotdexError, OSError) as error:  # a bucket may be out of reach, and the library that lists it not there
        return Check(name, True, f"not looked at: {error}")
    broken = _cut(store, con, place)
    left = [one.name for one in unfinished if one.is_left]
    young = len(unfinished) - len(left)
    writing = f"; {young:,} unfinished, begun in the last hour: {_named([one.name for one in unfinished])}" * bool(
        young
    )
    if busy or not (left or broken):
        return Check(name, True, f"{len(tables):,} Parquet files{writing}")
    text = f"left unfinished by a writer that was killed: {len(left):,} ({_named(left)})" if left else ""
    cut_ones = f"not whole: {len(broken):,} ({_named(broken)})" if broken else ""
    return Check(name, False, "; ".join(part for part in (text, cut_ones) if part) + writing, HINT)


def _named(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def repair_shards(store: Store, con: Connection) -> list[str]:
    """Delete what was left unfinished for an hour, and own files that are not whole; return what was done."""
    done = []
    for place in _places(store, con):
        try:
            left = [one for one in place.unfinished() if one.is_left]
            for one in left:
                place.abandon(one)
        except (ShotdexError, OSError) as error:
            done.append(f"left {place} as it is: {error}")
            continue
        done += [f"deleted {place.named(one.name)}, which a writer that was killed left unfinished" for one in left]
        taken = {row[0] for row in con.rows("SELECT name FROM shards WHERE place = $place", {"place": place.url})}
        for name in _cut(store, con, place):
            if name not in taken:
                place.remove(name)
                done.append(f"deleted {place.named(name)}, which is not a whole shard; its part is encoded again")
    return done
