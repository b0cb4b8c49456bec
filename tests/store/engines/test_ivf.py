"""An inverted file: never a wrong cosine, never too few hits, and what it misses is what is measured."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.store.engines.base import EngineDamaged, Filter
from shotdex.store.engines.faiss_file import read_file
from shotdex.store.engines.flat import Rows
from shotdex.store.engines.inverted_file import Changed, Figures, InvertedFile, Recall, train_inverted_file
from shotdex.store.engines.ivf import (
    IvfEngine,
    inverted_file_path,
    open_inverted_file,
    read_figures,
    read_inverted_file,
    write_inverted_file,
)
from shotdex.store.engines.vector_index import open_index
from shotdex.store.engines.writing import drop_index, write_index
from shotdex.store.errors import StoreError
from shotdex.store.store import Store
from tests.support.engines import file_of, index_over
from tests.support.fakes import fake_id
from tests.support.orders import NEAR, disorder

from .test_vector_index import fill, unit


def divided(vectors: np.ndarray, count: int, nprobe: int) -> InvertedFile:
    made = train_inverted_file(vectors, np.arange(len(vectors)), count, 0, lambda _: None)
    return replace(made, nprobe=nprobe)


def figures(rows: int, cells: int, probes: int) -> Figures:
    found = Recall(0.98, 20, 0.1)
    return Figures(rows, cells, probes, 0.98, found, None, 0.2, 0.01, 3.0, (Changed("names", 5, 2),))


@given(
    st.integers(20, 120), st.integers(0, 30), st.integers(1, 6), st.integers(1, 40), st.floats(0, 1), st.integers(0, 99)
)
def test_always_as_many_as_asked_for_and_exactly_scored(
    count: int, added: int, probes: int, k: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng.normal(size=(count + added, 8)))
    ids = np.sort(rng.choice(1000, count + added, replace=False)).astype(np.int64)
    removed = ids[rng.random(count + added) < 0.1]
    index = index_over(Rows(ids, vectors), None, divided(vectors[:count], 8, probes), removed)
    query = unit(rng.normal(size=(1, 8)))[0]
    exact = dict(zip(*(part.tolist() for part in index.search(query, 1000, exact=True)), strict=True))
    for allowed in (None, ids[rng.random(len(ids)) < share]):
        may = np.setdiff1d(ids if allowed is None else allowed, removed)
        found, scores = index.search(query, k, Filter(ids=allowed))
        assert len(found) == min(k, len(may))
        assert set(found.tolist()) <= set(may.tolist())
        assert [exact[i] for i in found.tolist()] == scores.tolist()
        assert found.tolist() == sorted(found.tolist(), key=lambda i: (-exact[i], i))


def test_every_vector_is_in_the_list_of_its_nearest_centroid() -> None:
    vectors = unit(np.random.default_rng(1).normal(size=(500, 16)))
    inverted = divided(vectors, 20, 1)
    assert np.allclose(np.linalg.norm(inverted.centroids, axis=1), 1, atol=1e-5)
    products = vectors.astype(np.float64) @ inverted.centroids.T
    assert (
        np.take_along_axis(products, inverted.centroid_of_rows()[:, None], axis=1)[:, 0] > products.max(axis=1) - NEAR
    ).all()
    assert sorted(inverted.rows.tolist()) == list(range(500))


def test_with_every_list_it_is_exact_and_what_was_added_is_found() -> None:
    rng = np.random.default_rng(2)
    vectors, query = unit(rng.normal(size=(400, 16))), unit(rng.normal(size=(1, 16)))[0]
    ids = np.arange(400)
    vectors[399] = query  # added after the inverted file was made
    for probes, sure in ((20, 10), (1, 1)):
        index = index_over(Rows(ids, vectors), None, divided(vectors[:380], 20, probes))
        assert disorder(index.search(query, 10)[0][:sure].tolist(), ids, vectors, query, sure) == ""


class TestTheFile:
    """It is believed only whole, and with the FAISS file that it was made for."""

    def make(self, root: Path, count: int = 60) -> Store:
        rng = np.random.default_rng(3)
        self.vectors, store = unit(rng.normal(size=(80, 16))), Store.create(root)
        self.encoder = fake_id(dim=16, vision_dim=2)
        fill(store, self.encoder, list(range(1, count + 1)), self.vectors[:count])
        write_index(store, 1, self.encoder)
        self.inverted = divided(self.vectors[:count], 6, 2)
        write_inverted_file(store, 1, np.arange(1, count + 1), self.inverted, figures(count, 6, 2))
        return store

    def opened(self, store: Store) -> InvertedFile | None:
        with store.reading() as con:
            engine = open_index(store, con, 1, self.encoder).engine()
        return engine.inverted if isinstance(engine, IvfEngine) else None

    def test_read_as_written(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        inverted = self.opened(store)
        assert inverted is not None
        assert inverted.figures == figures(60, 6, 2) == read_figures(inverted_file_path(store, 1))
        assert inverted.figures.times_faster == pytest.approx(20)
        for mine, other in ((inverted.centroids, self.inverted.centroids), (inverted.rows, self.inverted.rows)):
            assert np.array_equal(mine, other)
        assert (inverted.starts.tolist(), inverted.nprobe) == (self.inverted.starts.tolist(), 2)
        assert len(list(store.index_folder.iterdir())) == 2

    def test_it_stays_while_images_are_added_and_goes_with_the_faiss_file(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        fill(store, self.encoder, list(range(61, 81)), self.vectors[60:])
        assert self.opened(store) is not None
        write_index(store, 1, self.encoder)
        assert self.opened(store) is not None
        drop_index(store, 1)
        assert not inverted_file_path(store, 1).exists()

    def test_of_other_rows(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        store = self.make(tmp_path)
        write_inverted_file(store, 1, np.arange(2, 62), self.inverted, figures(60, 6, 2))
        assert self.opened(store) is None
        assert "made for other images" in caplog.text

    def test_any_damage(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        path, file = inverted_file_path(store, 1), read_file(file_of(store))
        rows = Rows(file.ids, file.vectors)
        whole = path.read_bytes()
        rng = np.random.default_rng(4)
        for position in [0, 8, 11, 12, 40, len(whole) - 1, *rng.integers(0, len(whole), 60).tolist()]:
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
            with pytest.raises(EngineDamaged):
                read_inverted_file(path, rows)
            path.write_bytes(whole[:position])
            assert open_inverted_file(path, rows) is None
            read_figures(path)
        path.write_bytes(whole + b"\0")
        assert self.opened(store) is None

    def test_links_are_not_followed(self, tmp_path: Path) -> None:
        store = self.make(tmp_path / "store")
        inverted_file_path(store, 1).rename(tmp_path / "outside")
        inverted_file_path(store, 1).symlink_to(tmp_path / "outside")
        assert self.opened(store) is None
        assert read_figures(inverted_file_path(store, 1)) is None

    def test_a_failed_write_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = self.make(tmp_path)
        before = inverted_file_path(store, 1).read_bytes()

        def full(_: int) -> None:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(StoreError, match="No space"):
            write_inverted_file(store, 1, np.arange(1, 61), self.inverted, figures(60, 6, 3))
        assert inverted_file_path(store, 1).read_bytes() == before
        assert len(list(store.index_folder.iterdir())) == 2
