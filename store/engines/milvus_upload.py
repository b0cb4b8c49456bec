"""Bringing a Milvus collection up to the catalog, and comparing the two.

The catalog records that the collection is being changed before anything is, and its state once all of it is there and
indexed: killed in between, the collection is not searched, and the next time finishes it.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from shotdex.store.arrow import to_arrow, to_numpy
from shotdex.store.connection import Connection
from shotdex.store.errors import EngineUnavailable, OptionError
from shotdex.store.ids import images_generation
from shotdex.store.progress import NoProgress, Progress
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids
from shotdex.store.vectors import load_in_chunks

from .base import NO_IDS
from .flat import Mask, among
from .milvus_collection import KINDS, Collection, CollectionState, Row
from .milvus_connection import PREFIX, TOKEN, checked_uri, connect, sends_in_clear
from .milvus_rows import (
    Changes,
    MilvusRecord,
    changes,
    forget_rows,
    labels_of,
    read_record,
    record_rows,
    rows_table,
    wanted,
    write_record,
)
from .pushed import LABELS

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

CHUNK = 8_192
"""Rows read from the catalog and sent at a time."""

NOT_UNIT = 1e-4
"""A vector whose length differs from 1 by more than this is damaged and is not sent."""

ALL = 200_000
"""Rows up to which every vector is compared; of more, so many that are drawn at random."""


def add_milvus(
    store: Store, encoder_id: int, encoder: EncoderId, uri: str, kind: str, progress: Progress | None = None
) -> MilvusRecord:
    """Send the vectors of an encoder to a Milvus server, and let searches ask it; again, what it lacks or has wrong.

    Raises:
        OptionError: the address or the kind of index cannot be used.
        EngineUnavailable: Milvus does not answer, or cannot take them. What is there is finished the next time.
        StoreLocked: another process is indexing.
    """
    uri, kind = checked_uri(uri), kind.upper()
    if kind not in KINDS:
        raise OptionError(f"there is no kind of index {kind!r}", f"choose one of: {', '.join(KINDS)}")
    connect(uri)
    if sends_in_clear(uri):
        log.warning("%s travels to %s unencrypted; use an https address", TOKEN, uri)
    with store.indexing():
        with store.reading() as con:
            before = read_record(con, encoder_id)
        if before is not None and (before.uri, before.kind) == (uri, kind):
            repair_milvus(store, encoder_id, encoder, progress)
        else:
            with store.writing() as con:
                write_record(con, encoder_id, None)
                write_record(con, encoder_id, _new(store, encoder_id, uri, kind))
            if before is not None:
                drop_quietly(before)
            bring_up(store, encoder_id, encoder, progress)
    with store.reading() as con:
        record = read_record(con, encoder_id)
    assert record is not None
    return record


def remove_milvus(store: Store, encoder_id: int) -> bool:
    """Forget the collection of an encoder, and delete it where the server answers; return whether there was one."""
    with store.indexing():
        with store.reading() as con:
            record = read_record(con, encoder_id)
        if record is None:
            return False
        with store.writing() as con:
            write_record(con, encoder_id, None)
        drop_quietly(record)
    return True


def bring_up_quietly(store: Store, encoder_id: int, encoder: EncoderId) -> None:
    """Bring the collection of an encoder up, if it has one; a server that is down ends nothing."""
    try:
        bring_up(store, encoder_id, encoder)
    except EngineUnavailable as error:
        log.warning("%s; it is brought up by: shotdex verify --repair", error)


def bring_up(store: Store, encoder_id: int, encoder: EncoderId, progress: Progress | None = None) -> None:
    """Bring the collection of an encoder up to the catalog, if it has one. The caller holds the indexing lock.

    Raises:
        EngineUnavailable: Milvus does not answer, or cannot take it.
    """
    with store.reading() as con:
        record, generation = read_record(con, encoder_id), images_generation(con)
        if record is None or (record.ready and record.generation == generation):
            return
        todo = changes(con, encoder_id)
    if record.ready and not todo.put.num_rows and not len(todo.forget):
        with store.writing() as con:
            write_record(con, encoder_id, replace(record, generation=generation))
        return
    record, todo = _begun(store, encoder_id, record, encoder, todo)
    collection = Collection(record.uri, record.collection, record.kind)
    collection.create(encoder.dim)
    collection.set_state(record.states[-1])
    left_out = _send(store, collection, (encoder_id, encoder), todo, progress or NoProgress())
    collection.forget(np.concatenate([todo.forget, left_out]))
    collection.finish(todo.rows - len(left_out))
    with store.writing() as con:
        rows = record_rows(con, encoder_id, left_out)
        done = replace(record, states=record.states[-1:], rows=rows, ready=True, generation=generation)
        write_record(con, encoder_id, done)


def _begun(
    store: Store, encoder_id: int, record: MilvusRecord, encoder: EncoderId, todo: Changes
) -> tuple[MilvusRecord, Changes]:
    """Record that a collection is being changed: the one there is if it is ours, else another."""
    found = Collection(record.uri, record.collection, record.kind).look()
    anew = found is None or not _is_ours(found, record, encoder)
    if anew:
        record = _new(store, encoder_id, record.uri, record.kind)
    begun = replace(record, states=(*record.states[-1:], secrets.token_hex(8)), ready=False)
    with store.writing() as con:
        if anew:
            forget_rows(con, encoder_id)
            todo = changes(con, encoder_id)
        write_record(con, encoder_id, begun)
    return begun, todo


def _is_ours(found: CollectionState, record: MilvusRecord, encoder: EncoderId) -> bool:
    """Tell whether nobody else, as a copy of this store, has changed a collection since it was recorded."""
    return found.dim == encoder.dim and found.state in (record.states if record.ready else (*record.states, ""))


def _new(store: Store, encoder_id: int, uri: str, kind: str) -> MilvusRecord:
    return MilvusRecord(uri, kind, f"{PREFIX}{store.identity[:12]}_{encoder_id}_{secrets.token_hex(4)}")


def _send(store: Store, collection: Collection, of: tuple[int, EncoderId], todo: Changes, progress: Progress) -> Ids:
    """Write rows, and return those that were left out, as their vectors in the catalog are damaged."""
    left_out = [NO_IDS]
    progress.start(todo.put.num_rows)
    for start in range(0, todo.put.num_rows, CHUNK):
        part = todo.put.slice(start, CHUNK)
        ids = to_numpy(part.column("owner"))
        with store.reading() as con:
            [(found, vectors)] = load_in_chunks(con, *of, ids, CHUNK)
        found, first = np.unique(found, return_index=True)
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.sqrt(np.einsum("ij,ij->i", vectors[first], vectors[first]))
            whole = np.abs(lengths - 1) <= NOT_UNIT
        sent = found[whole]
        labels = labels_of(_where(part, among(ids, sent)))
        collection.put(sent, vectors[first][whole], labels)
        left_out.append(ids[~among(ids, sent)])
        progress.advance(len(ids))
    return np.concatenate(left_out)


def drop_quietly(record: MilvusRecord) -> None:
    """Delete a collection that the catalog has forgotten; where that fails, it is said in the log."""
    try:
        Collection(record.uri, record.collection, record.kind).drop()
    except EngineUnavailable as error:
        log.warning("the collection %s is still there: %s", record.collection, error)


@dataclass(frozen=True, slots=True)
class Difference:
    """How a collection differs from the catalog: rows that it lacks, that it should not have, that are other ones.

    `reason` says why it is not searched even so; `gone`: there is no collection that is ours.
    """

    rows: int
    lacking: Ids
    unknown: Ids
    altered: Ids
    reason: str = ""
    gone: bool = False

    @property
    def none(self) -> bool:
        """Whether there is no difference."""
        return not (len(self.lacking) or len(self.unknown) or len(self.altered) or self.reason or self.gone)


def compare(con: Connection, encoder_id: int, encoder: EncoderId, record: MilvusRecord) -> Difference:
    """Compare a collection with the catalog: ids both ways, vectors to the last bit, and labels.

    Raises:
        EngineUnavailable: Milvus does not answer.
    """
    collection = Collection(record.uri, record.collection, record.kind)
    table = wanted(con, encoder_id)
    table = _where(table, to_numpy(table.column("image_id")) == to_numpy(table.column("owner")))
    ids, found = to_numpy(table.column("image_id")), collection.look()
    if found is None or not _is_ours(found, record, encoder):
        reason = "there is no collection" if found is None else "somebody else changed the collection"
        return Difference(0, NO_IDS, NO_IDS, NO_IDS, f"{reason} {record.collection}", gone=True)
    there = collection.ids()
    common = ids[among(ids, there)]
    if len(common) > ALL:
        common = np.sort(np.random.default_rng(secrets.randbits(64)).choice(common, ALL, replace=False))
    altered = [NO_IDS]
    for start in range(0, len(common), CHUNK):
        part = common[start : start + CHUNK]
        [(stored, vectors)] = load_in_chunks(con, encoder_id, encoder, part, CHUNK)
        of_row = zip(*labels_of(_where(table, among(ids, part))), strict=True)
        labels = dict(zip(part.tolist(), map(list, of_row), strict=True))
        ours = {one: (vector.tobytes(), labels[one]) for one, vector in zip(stored.tolist(), vectors, strict=True)}
        theirs = {row["image_id"]: _content(row) for row in collection.read(part)}
        altered.append(np.array([one for one in part.tolist() if ours.get(one) != theirs.get(one)], np.int64))
    reason = "" if record.ready else "it was not brought up to the end"
    if not reason and (found.state not in record.states or found.pending or found.rows != record.rows):
        reason = f"it has {found.rows:,} rows, {found.pending:,} not indexed yet; the catalog records {record.rows:,}"
    return Difference(len(ids), ids[~among(ids, there)], there[~np.isin(there, ids)], np.concatenate(altered), reason)


def _content(row: Row) -> tuple[bytes, list[list[int]]]:
    return np.asarray(row["joint"], np.float32).tobytes(), [list(row[field]) for field in LABELS.values()]


def _where(table: pa.Table, kept: Mask) -> pa.Table:
    return table.take(to_arrow(np.flatnonzero(kept)))


def repair_milvus(store: Store, encoder_id: int, encoder: EncoderId, progress: Progress | None = None) -> list[str]:
    """Make a collection equal to the catalog, and return what was done. The caller holds the indexing lock.

    Raises:
        EngineUnavailable: Milvus does not answer, or cannot take it.
    """
    with store.reading() as con:
        record = read_record(con, encoder_id)
        if record is None:
            return []
        found = compare(con, encoder_id, encoder, record)
    if found.none:
        bring_up(store, encoder_id, encoder, progress)
        return []
    if len(found.unknown):
        Collection(record.uri, record.collection, record.kind).forget(found.unknown)
    again = np.concatenate([found.lacking, found.altered])
    with store.writing() as con:
        if len(again) and not found.gone:
            _send_again(con, encoder_id, again)
        write_record(con, encoder_id, replace(record, ready=False))
    bring_up(store, encoder_id, encoder, progress)
    counted = {"sent again": len(again), "deleted": len(found.unknown)}
    what = "made again" if found.gone else ", ".join(f"{n:,} rows {done}" for done, n in counted.items() if n)
    return [f"brought the Milvus collection of encoder {encoder_id} up to the catalog: {what or 'finished'}"]


def _send_again(con: Connection, encoder_id: int, owners: Ids) -> None:
    with con.holding("again", {"owner": owners}):
        if con.value("SELECT count(*) FROM duckdb_tables() WHERE table_name = $name", {"name": rows_table(encoder_id)}):
            con.run(f"DELETE FROM {rows_table(encoder_id)} WHERE owner IN (SELECT owner FROM again)")
