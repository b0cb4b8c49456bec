"""Stores of any size with synthetic vectors, written through the store's own code, as an indexing writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from shotdex.store.arrow import to_arrow, vectors_to_arrow
from shotdex.store.encoded_batch import PLACEMENT, batch_schema, commit
from shotdex.store.engines.writing import write_index
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Precision

COMMIT_ROWS = 8192
CLASSES = 100


def encoder(dim: int = 512, vision_dim: int = 512) -> EncoderId:
    """Return the identity of an encoder that exists only in benchmarks."""
    return EncoderId(f"synthetic-{dim}", "", "0" * 64, "0" * 64, Precision.FLOAT32, dim, vision_dim)


def clustered(count: int, dim: int = 512, clusters: int = 1000, noise: float = 0.7, seed: int = 0) -> np.ndarray:
    """Return (count, dim) float32 unit rows around cluster centres, the way embeddings lie; `noise` is relative."""
    return np.concatenate(list(clustered_parts(count, dim, clusters, noise, seed)))


def clustered_parts(
    count: int, dim: int = 512, clusters: int = 1000, noise: float = 0.7, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield what `clustered` returns in parts of up to `COMMIT_ROWS` rows."""
    centres = _unit(np.random.default_rng(seed).standard_normal((clusters, dim), dtype=np.float32))
    for start in range(0, count, COMMIT_ROWS):
        rng = np.random.default_rng([seed, start])
        rows = min(COMMIT_ROWS, count - start)
        spread = _unit(rng.standard_normal((rows, dim), dtype=np.float32))
        yield _unit(centres[rng.integers(clusters, size=rows)] + noise * spread)


def fill(root: Path, count: int, dim: int = 512, vision_dim: int = 512) -> Store:
    """Make a store of `count` images with clustered vectors in 100 categories and 5 conditions, committed in parts."""
    store = Store.create(root)
    identity = encoder(dim, vision_dim)
    first = 1
    for joint in clustered_parts(count, dim):
        with store.writing() as con:
            commit(con, *encoded(first, joint, np.resize(joint, (len(joint), vision_dim)), identity))
        first += len(joint)
    write_index(store, 1, identity)
    return store


def encoded(first: int, joint: np.ndarray, vision: np.ndarray, identity: EncoderId) -> tuple[pa.Table, pa.Table]:
    """Return an encoded batch of images that are not there, all new, with ids from `first` on, and its placement."""
    schema, numbers = batch_schema(identity), range(first, first + len(joint))
    fixed = {"source": "/pictures", "width": 500, "height": 375, "size_bytes": 50_000, "modified_ns": 17 * 10**17}
    columns = {
        "address": [f"/pictures/{number % CLASSES:03d}/{number:09d}.jpg" for number in numbers],
        "category": [f"class {number % CLASSES:03d}" for number in numbers],
        "condition": [f"condition {number % 5}" for number in numbers],
        "sha256": [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers],
        "joint": vectors_to_arrow(joint),
        "vision": vectors_to_arrow(vision),
    }
    columns |= {name: [fixed.get(name)] * len(joint) for name in schema.names if name not in columns}
    ids = to_arrow(np.array(numbers, dtype=np.int64))
    placement = [ids, pa.array([True] * len(ids)), pa.nulls(len(ids), pa.int64()), ids]
    return pa.table({name: columns[name] for name in schema.names}, schema), pa.table(placement, schema=PLACEMENT)


def _unit(rows: np.ndarray) -> np.ndarray:
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
