"""One collection of a Milvus server, or of a Milvus Lite folder: its operations, without the catalog.

A row stands for a content: `image_id` is the lowest id that has it, `joint` its vector, and three fields have the
labels of its copies as numbers (`pushed`). Milvus keeps float32 as it is. A property of the collection names the state
that it was last brought up to, so that a collection that somebody else changed is never taken for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shotdex.store.errors import EngineUnavailable
from shotdex.store.types import Ids, Vectors

from .milvus_connection import BUILD_SECONDS, CALL_SECONDS, asking
from .pushed import CAPACITY, LABELS

EXACT = "FLAT"
"""The kind of index that compares every vector."""

KINDS: dict[str, dict[str, int]] = {
    EXACT: {},
    "HNSW": {"M": 16, "efConstruction": 200},
    "IVF_FLAT": {"nlist": 1024},
    "IVF_SQ8": {"nlist": 1024},
    "DISKANN": {},
}
"""The kinds of index that can be chosen, and what each is built with."""

RAW = {"FLAT", "HNSW", "IVF_FLAT"}
"""Kinds whose cosines are those of the vectors themselves, and not of shorter forms of them."""

MOST = 16_384
"""Rows that Milvus returns for one query."""

SETTLE_SECONDS = 20.0
"""How long its count of rows may stay wrong once its index is complete: it lags behind by a second or so."""

BATCH_BYTES = 8 << 20
"""Bytes of vectors sent at a time: a message may have 64 MB."""

STATE = "shotdex.state"
"""The property of a collection that names its state."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CollectionState:
    """How many rows a collection has, how many of them its index does not cover yet, and which state it names."""

    rows: int
    pending: int
    state: str
    dim: int


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection by name. Every method raises `EngineUnavailable` where the server does not do what is asked."""

    uri: str
    name: str
    kind: str

    def look(self) -> CollectionState | None:
        """Return the state of the collection; None where the server has none of this name."""
        with asking(self.uri) as client:
            if not client.has_collection(self.name, timeout=CALL_SECONDS):
                return None
            said = client.describe_collection(self.name, timeout=CALL_SECONDS)
            dims = [field["params"].get("dim", 0) for field in said["fields"] if field["name"] == "joint"]
            state = str((said.get("properties") or {}).get(STATE, ""))
            try:
                counted = client.query(self.name, filter="", output_fields=["count(*)"], timeout=CALL_SECONDS)
                index = client.describe_index(self.name, "joint", timeout=CALL_SECONDS) or {}
                rows = int(counted[0]["count(*)"])
            except Exception:  # not loaded, or without an index yet, each client says it otherwise
                return CollectionState(0, 1, state, int(dims[0]) if dims else 0)
        total, covered = int(index.get("total_rows", -1)), int(index.get("indexed_rows", -2))
        pending = max(int(index.get("pending_index_rows", 1)), total - covered if total >= 0 else 1)
        return CollectionState(rows, pending, state, int(dims[0]) if dims else 0)

    def create(self, dim: int) -> None:
        """Make the collection, where the server has none of this name."""
        from pymilvus import DataType

        with asking(self.uri) as client:
            if client.has_collection(self.name, timeout=CALL_SECONDS):
                return
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("image_id", DataType.INT64, is_primary=True)
            schema.add_field("joint", DataType.FLOAT_VECTOR, dim=dim)
            for field in LABELS.values():
                schema.add_field(field, DataType.ARRAY, element_type=DataType.INT64, max_capacity=CAPACITY)
            client.create_collection(self.name, schema=schema, consistency_level="Bounded", timeout=CALL_SECONDS)

    def set_state(self, state: str) -> None:
        """Name the state of the collection."""
        with asking(self.uri) as client:
            client.alter_collection_properties(self.name, {STATE: state}, timeout=CALL_SECONDS)

    def put(self, ids: Ids, vectors: Vectors, labels: Sequence[Sequence[list[int]]]) -> None:
        """Write rows, in place of those of the same ids; `labels` are a list for each field of `LABELS`."""
        step = max(1, min(2_000, BATCH_BYTES // (4 * vectors.shape[1])))
        rows: list[Row] = [
            {"image_id": image_id, "joint": vector, **dict(zip(LABELS.values(), of_row, strict=True))}
            for image_id, vector, *of_row in zip(ids.tolist(), vectors, *labels, strict=True)
        ]
        with asking(self.uri) as client:
            for start in range(0, len(rows), step):
                client.upsert(self.name, rows[start : start + step], timeout=BUILD_SECONDS)

    def forget(self, ids: Ids) -> None:
        """Delete rows."""
        with asking(self.uri) as client:
            for start in range(0, len(ids), 2_000):
                client.delete(self.name, ids=ids[start : start + 2_000].tolist(), timeout=BUILD_SECONDS)

    def finish(self, rows: int) -> None:
        """Wait until the collection has this many rows, on disk, loaded, and all of them in its index.

        Until then Milvus replies from an interim index, and has rows in sight that were deleted a moment ago.
        """
        with asking(self.uri) as client:
            client.flush(self.name, timeout=BUILD_SECONDS)
            if not client.list_indexes(self.name, field_name="joint"):
                index = client.prepare_index_params()
                index.add_index("joint", index_type=self.kind, metric_type="IP", params=KINDS[self.kind])
                client.create_index(self.name, index, timeout=BUILD_SECONDS)
            client.load_collection(self.name, timeout=BUILD_SECONDS)
        started = since = time.monotonic()
        before = None
        while (now := time.monotonic()) < started + BUILD_SECONDS:
            found = self.look()
            if found is not None and (found.rows, found.pending) == (rows, 0):
                return
            if found != before or found is None or found.pending:
                before, since = found, now
            elif now > since + SETTLE_SECONDS:  # complete, and with other rows than were sent
                break
            time.sleep(0.1)
        raise EngineUnavailable(
            f"Milvus at {self.uri} received {rows:,} rows but does not have them in its index: {before}",
            "look at the server's log and memory, then: shotdex verify --repair",
        )

    def search(self, vector: Vectors, count: int, expression: str) -> tuple[Ids, Vectors]:
        """Return ids and cosines, as Milvus computes them, of its best rows for a vector (D,), best first."""
        params = {
            "HNSW": {"ef": max(400, count)},
            "IVF_FLAT": {"nprobe": 64},
            "IVF_SQ8": {"nprobe": 64},
            "DISKANN": {"search_list": max(100, count)},
        }.get(self.kind, {})
        with asking(self.uri) as client:
            [hits] = client.search(
                self.name,
                data=[vector],
                limit=count,
                filter=expression,
                anns_field="joint",
                search_params={"metric_type": "IP", "params": params},
                consistency_level="Bounded",
                timeout=CALL_SECONDS,
            )
            found = [(hit.id, hit.distance) for hit in hits]
        return np.array([one[0] for one in found], np.int64), np.array([one[1] for one in found], np.float32)

    def ids(self) -> Ids:
        """Return the ids of all rows, rising."""
        found: list[int] = []
        with asking(self.uri) as client:
            for rows in _batches(client.query_iterator(self.name, batch_size=MOST, output_fields=["image_id"])):
                found += [row["image_id"] for row in rows]
        return np.unique(np.array(found, np.int64))

    def read(self, ids: Ids) -> Iterator[Row]:
        """Yield the rows of some ids, in no order."""
        with asking(self.uri) as client:
            for start in range(0, len(ids), 500):
                yield from client.query(
                    self.name, ids=ids[start : start + 500].tolist(), output_fields=["*"], timeout=CALL_SECONDS
                )

    def drop(self) -> bool:
        """Delete the collection; return whether there was one."""
        with asking(self.uri) as client:
            found = bool(client.has_collection(self.name, timeout=CALL_SECONDS))
            if found:
                client.drop_collection(self.name, timeout=CALL_SECONDS)
            return found


def _batches(iterator: Any) -> Iterator[list[Row]]:
    try:
        while rows := iterator.next():
            yield rows
    finally:
        iterator.close()
