"""How quickly are encoded images placed and committed, by columns and image by image?

    python benchmarks/commit.py [--rows 1000000] [--part 16384] [--twin 32768]

Parts of encoded images, as shards bring them (512-d joint and 768-d vision vectors; every tenth image a copy), are
placed among what is there and committed to one store, which grows to `--rows`. Prints images a second for placing
alone, with the vectors left in shards, and with all of it, next to the same work by the row placer of the tests, one
Python object an image, on the first `--twin` images of the same run; then how both change, and the memory of the
process, from 100,000 images to the end. Making the vectors is not counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pyarrow as pa
from measuring import heading, line, ratio
from synthetic import encoded, encoder

from shotdex.indexer.contents import ContentTable, Vanished
from shotdex.indexer.decode_pool import Decoded
from shotdex.indexer.reconcile import KNOWN, Placer
from shotdex.store.arrow import vectors_from_arrow
from shotdex.store.connection import Connection
from shotdex.store.encoded_batch import Kept, batch_schema, commit
from shotdex.store.encoders import add_encoder
from shotdex.store.images import Labels
from shotdex.store.shard_reader import VectorFile
from shotdex.store.shard_vectors import add_file
from shotdex.store.store import Store
from shotdex.store.types import ImageVectors
from tests.indexer import row_placer

DIM, VISION_DIM = 512, 768
IDENTITY = encoder(DIM, VISION_DIM)


@dataclass(frozen=True, slots=True)
class Point:
    """A part: `rows` in the store after it, `added` by it, seconds for placing and committing, bytes of memory."""

    rows: int
    added: int
    placing: float
    committing: float
    memory: int


def parts(rows: int, size: int) -> Iterator[pa.Table]:
    """Yield encoded batches; every tenth image is a copy of the one before it, without vectors."""
    drawn = np.random.default_rng(0)
    for start in range(0, rows, size):
        count = min(size, rows - start)
        joint = drawn.standard_normal((count, DIM), dtype=np.float32)
        joint /= np.linalg.norm(joint, axis=1, keepdims=True)
        batch, _ = encoded(start + 1, joint, drawn.standard_normal((count, VISION_DIM), dtype=np.float32), IDENTITY)
        copy = np.arange(count) % 10 == 9
        origin = pa.array(np.arange(count) - copy)
        columns = {name: batch.column(name) for name in batch.column_names}
        columns["sha256"] = columns["sha256"].take(origin)
        for name in ("joint", "vision"):
            columns[name] = columns[name].combine_chunks().take(pa.array(np.arange(count), mask=copy))
        yield pa.table(columns, schema=batch.schema)


def by_columns(store: Store, rows: int, size: int, *, vectors: bool = True) -> Iterator[Point]:
    """Fill a store by columns, and yield a point for each part; without `vectors` these stay in shards."""
    placer, done = Placer(ContentTable(), Vanished(np.empty((2, 0), np.uint64), np.empty(0, np.int64)), 1), 0
    for batch in parts(rows, size):
        nothing = pa.table([pa.nulls(len(batch), field.type) for field in KNOWN], schema=KNOWN)
        started = time.perf_counter()
        placed = placer.place(batch, nothing)
        between = time.perf_counter()
        with store.writing() as con:
            commit(con, placed.batch, placed.placement, None if vectors else in_a_shard(con, store, done, len(batch)))
        done += len(batch)
        yield Point(done, len(batch), between - started, time.perf_counter() - between, memory())


def in_a_shard(con: Connection, store: Store, start: int, rows: int) -> Kept:
    """Return the places of vectors in a shard, which nobody reads here."""
    place, name = str(store.root / "shards"), f"{start}.parquet"
    file = VectorFile(0, add_encoder(con, IDENTITY), "/pictures", f"{start:064x}", place, name)
    number = add_file(con, store.root, file)
    return Kept(number, np.arange(rows))


class Stacked:
    """An encoder whose images came with their vectors."""

    id = IDENTITY

    def encode_prepared(self, batch: Any) -> ImageVectors:
        return ImageVectors(*(np.stack([one[name] for one in batch]) for name in ("joint", "vision")))


def by_rows(store: Store, rows: int, size: int) -> Iterator[Point]:
    """Fill a store with the same parts image by image."""
    empty = row_placer.ContentTable()
    placer = row_placer.Reconciler("/pictures", batch_schema(IDENTITY), empty, row_placer.ContentTable(), 1)
    done = 0
    for batch in parts(rows, size):
        started = time.perf_counter()
        columns = batch.drop_columns(["joint", "vision"]).to_pylist()
        own = np.flatnonzero(~np.isin(np.arange(len(batch)) % 10, 9))
        spaces = {
            name: vectors_from_arrow(batch.column(name).drop_null(), dim)
            for name, dim in (("joint", DIM), ("vision", VISION_DIM))
        }
        place = dict(zip(own.tolist(), range(len(own)), strict=True))
        for number, row in enumerate(columns):
            labels = Labels(row["category"], row["condition"], row["split"])
            item = row_placer.Planned(
                row["address"], row["size_bytes"], row["modified_ns"], labels, row["metadata"], None
            )
            prepared = {name: part[place[number]] for name, part in spaces.items()} if number in place else None
            placer.place(item, Decoded(row["address"], row["sha256"], row["width"], row["height"], prepared))
        finished = placer.launch(Stacked()).finish()  # type: ignore[arg-type]
        between = time.perf_counter()
        with store.writing() as con:
            commit(con, finished.batch, finished.placement)
        done += len(batch)
        yield Point(done, len(batch), between - started, time.perf_counter() - between, memory())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="how far the store grows")
    parser.add_argument("--part", type=int, default=16_384, help="images of a part")
    parser.add_argument("--twin", type=int, default=32_768, help="images that the row placer places")
    given = parser.parse_args()
    heading(f"Placing and committing {given.rows:,} encoded images, {DIM}-d joint and {VISION_DIM}-d vision vectors")
    with tempfile.TemporaryDirectory() as folder:
        twin = list(by_rows(Store.create(Path(folder) / "rows"), given.twin, given.part))
        bare = list(by_columns(kept := Store.create(Path(folder) / "bare"), given.rows, given.part, vectors=False))
        points = list(by_columns(full := Store.create(Path(folder) / "columns"), given.rows, given.part))
        sizes = [store.catalog_bytes() / 1e6 for store in (full, kept)]
    report(points, twin, bare)
    said = f"catalog of {given.rows:,} images, with the vectors and with these in shards"
    line(said, "{:,.0f} MB, {:,.1f} MB".format(*sizes))


def report(points: list[Point], twin: list[Point], bare: list[Point]) -> None:
    def rate(some: list[Point], which: str) -> float:
        """Images a second, the median over parts."""
        return median(
            point.added / (point.placing * (which != "commit") + point.committing * (which != "place"))
            for point in some
        )

    early = points[: len(twin)]
    for name, some in (("image by image", twin), ("by columns", early), ("by columns, vectors in shards", bare)):
        rates = [f"{rate(some, which):,.0f}/s" for which in ("place", "commit", "")]
        line(f"{name}: placing, committing, both", ", ".join(rates))
    ratio("placing, by columns over image by image", rate(early, "place"), rate(twin, "place"), "expected: >= 10")
    ratio("both, vectors in shards over image by image", rate(bare, ""), rate(twin, ""))
    ratio("both, with the vectors, over image by image", rate(early, ""), rate(twin, ""))
    ratio("both, the last parts over the first", rate(points[-len(twin) :], ""), rate(early, ""), "expected: 1")
    near = next((point for point in points if point.rows >= 100_000), points[0])
    ratio(
        f"memory at {points[-1].rows:,} images over that at {near.rows:,}",
        points[-1].memory,
        near.memory,
        "expected: 1",
    )


def memory() -> int:
    """Return the memory that this process takes now, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
