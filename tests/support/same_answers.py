"""One contract for every exact engine: the hits of a flat scan, to the last bit of the cosines, ties included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from shotdex.store.encoders import add_encoder
from shotdex.store.engines import milvus
from shotdex.store.engines.base import Filter
from shotdex.store.engines.milvus import MilvusEngine
from shotdex.store.engines.vector_index import VectorIndex, open_index, open_milvus_index
from shotdex.store.engines.writing import write_index
from shotdex.store.ids import filtered_ids
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids, ImageVectors, Vectors

from .fakes import fake_id
from .orders import disorder
from .rows import ImageRow, add_images, add_vectors

CATEGORIES = ("dog", "cat", 'it\'s "one"', "Ente \u00e4", "a\\b")
CONDITIONS = ("plain", "blurred", "night")

FILTERS = (
    None,
    "condition = 'blurred'",
    "category = 'it''s \"one\"' AND condition IN ('plain', 'night')",
    "image_id % 3 = 0",
    "category = 'none of them'",
)
"""Of five kinds: none, a label, two labels, one that only DuckDB can decide, and one that keeps nothing."""

SIZES = (1, 10, 100)


def unit(rows: Vectors) -> Vectors:
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def clustered(count: int, dim: int, near: int, rng: np.random.Generator) -> Vectors:
    """Return unit vectors around a few centres, as those of photographs are; about `near` are nearly equal."""
    centres = unit(rng.normal(size=(12, dim)))
    rows = unit(centres[rng.integers(len(centres), size=count)] + rng.normal(scale=0.5 / dim**0.5, size=(count, dim)))
    close = rng.random(count) < near / count
    rows[close] = unit(centres[0] + rng.normal(scale=1e-7, size=(int(close.sum()), dim)))
    return rows


@dataclass(frozen=True)
class Filled:
    """A store of `images` images with vectors: some contents have many copies, as placeholders on the web do."""

    store: Store
    encoder: EncoderId
    ids: Ids
    vectors: Vectors
    contents: int

    def open(self) -> VectorIndex:
        with self.store.reading() as con:
            return open_index(self.store, con, 1, self.encoder)

    def open_milvus(self) -> VectorIndex:
        index = self.open()
        with self.store.reading() as con:
            found = open_milvus_index(con, 1, index)
        assert found is not None
        engine = found.engine()
        assert isinstance(engine, MilvusEngine)
        engine.patience = 60
        return found

    def filter(self, where: str | None) -> Filter:
        if where is None:
            return Filter()
        with self.store.reading() as con:
            return Filter(where, filtered_ids(con, where))

    def queries(self, count: int) -> Vectors:
        """Return vectors of images, the much copied ones among them, and others."""
        rng = np.random.default_rng(5)
        own = self.vectors[rng.integers(len(self.ids), size=count)]
        return np.concatenate([own, self.vectors[:2], unit(rng.normal(size=(count // 2, self.vectors.shape[1])))])


def filled(root: Path, count: int, dim: int, copies: int, near: int = 60) -> Filled:
    """Make a store of `count` contents, `near` of them alike, and `copies` copies of the first, a few of the second."""
    rng, store, encoder = np.random.default_rng(2), Store.create(root), fake_id(dim=dim, vision_dim=2)
    which = rng.permutation(np.concatenate([np.arange(count), np.zeros(copies, int), np.ones(40, int)]))
    vectors = np.ascontiguousarray(clustered(count, dim, near, rng)[which])
    ids = np.sort(rng.choice(9 * len(which), len(which), replace=False) + 1).astype(np.int64)
    rows = [
        ImageRow(
            image_id,
            f"/p/{image_id}.png",
            "/p",
            CATEGORIES[image_id % 5] if image_id % 7 else None,
            CONDITIONS[image_id % 3],
            None,
            f"{content:064x}",
        )
        for image_id, content in zip(ids.tolist(), which.tolist(), strict=True)
    ]
    with store.writing() as con:
        number = add_encoder(con, encoder)
        add_images(con, rows)
        add_vectors(con, number, ids.tolist(), ImageVectors(vectors, np.zeros((len(ids), 2), np.float32)))
    write_index(store, number, encoder)
    return Filled(store, encoder, ids, vectors, count)


def check_same_answers(filled: Filled, index: VectorIndex, queries: int = 6) -> int:
    """Compare an engine with the flat scan under every filter, and that with float64; return how many were compared."""
    exact, compared = filled.open(), 0
    for where in FILTERS:
        kept = filled.filter(where)
        mask = np.isin(filled.ids, kept.ids) if kept.ids is not None else np.ones(len(filled.ids), bool)
        for query in filled.queries(queries):
            for k in SIZES:
                ids, cosines = index.search(query, k, kept)
                flat = exact.search(query, k, kept, exact=True)
                assert len(ids) == min(k, int(mask.sum()))
                assert ids.tolist() == flat[0].tolist(), (where, k)
                assert cosines.tobytes() == flat[1].tobytes(), (where, k)
                compared += 1
            assert disorder(ids.tolist(), filled.ids[mask], filled.vectors[mask], query, k) == ""
    return compared


@contextmanager
def always_asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let Milvus be asked whatever few images a filter keeps, as tests have few."""
    with monkeypatch.context() as patch:
        patch.setattr(milvus, "FEW", -1)
        yield


def missed(index: VectorIndex) -> int:
    """Return how many queries Milvus could not settle."""
    engine = index.engine()
    assert isinstance(engine, MilvusEngine)
    return engine.missed
