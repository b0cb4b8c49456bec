"""Stores of any size with synthetic vectors, written through the store's own code, as an indexing writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from shotdex.store.encoders import add_encoder
from shotdex.store.engines.vector_index import write_index
from shotdex.store.images import add_images
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, ImageRecord, ImageVectors, Precision
from shotdex.store.vectors import add_vectors

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
    with store.writing() as con:
        number = add_encoder(con, identity)
    first = 1
    for joint in clustered_parts(count, dim):
        vision = np.resize(joint, (len(joint), vision_dim))
        with store.writing() as con:
            ids = range(first, first + len(joint))
            add_images(con, [record(image_id) for image_id in ids])
            add_vectors(con, number, list(ids), ImageVectors(joint, vision))
        first += len(joint)
    write_index(store, number, identity)
    return store


def record(image_id: int) -> ImageRecord:
    """Return the row of an image that is not there."""
    return ImageRecord(
        image_id=image_id,
        path=f"/pictures/{image_id % CLASSES:03d}/{image_id:09d}.jpg",
        source="/pictures",
        category=f"class {image_id % CLASSES:03d}",
        condition=f"condition {image_id % 5}",
        split=None,
        content_sha256=hashlib.sha256(str(image_id).encode()).hexdigest(),
        width=500,
        height=375,
        size_bytes=50_000,
        modified_ns=1_700_000_000_000_000_000,
    )


def _unit(rows: np.ndarray) -> np.ndarray:
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
