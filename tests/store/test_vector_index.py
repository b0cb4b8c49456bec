"""The FAISS file: derived from the catalog, so that nothing about it changes an answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotdex.store.encoders import add_encoder
from shotdex.store.images import ImageRecord, add_images, mark_removed
from shotdex.store.store import Store
from shotdex.store.vector_index import index_file, open_index, write_index
from shotdex.store.vectors import add_vectors
from shotdex.store.words import EncoderId, ImageVectors
from tests.fakes import fake_id


def record(image_id: int) -> ImageRecord:
    return ImageRecord(image_id, f"/p/{image_id}.png", "/p", None, None, None, f"{image_id:064}", 1, 1, 1, 1)


def unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fill(store: Store, encoder: EncoderId, ids: list[int], vectors: np.ndarray) -> None:
    with store.writing() as con:
        number = add_encoder(con, encoder)
        add_images(con, [record(i) for i in ids])
        add_vectors(con, number, ids, ImageVectors(vectors, np.zeros((len(ids), encoder.vision_dim), np.float32)))


def ask(store: Store, encoder: EncoderId, query: np.ndarray, k: int, allowed: np.ndarray | None = None) -> list[int]:
    with store.reading() as con:
        ids, scores = open_index(store, con, 1, encoder).search(query, k, allowed)
    assert scores.dtype == np.float32
    assert (np.diff(scores) <= 0).all()
    return [int(i) for i in ids]


def naive(ids: np.ndarray, vectors: np.ndarray, query: np.ndarray, k: int) -> list[int]:
    """Best first by an independent product in float64, rounded past the noise of float32; ties by id."""
    scores = np.round(vectors.astype(np.float64) @ query.astype(np.float64), 6)
    return [int(ids[i]) for i in np.lexsort((ids, -scores))[:k]]


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.data(), st.integers(1, 90), st.integers(1, 6), st.sampled_from([3, 12, 24, 64]), st.integers(0, 2**32 - 1))
def test_search_is_exact_with_ties_by_id(data: st.DataObject, count: int, distinct: int, dim: int, seed: int) -> None:
    """Few distinct vectors in many copies, so that ties run past every edge."""
    from shotdex.store.vector_index import VectorIndex, _faiss

    rng = np.random.default_rng(seed)
    different = unit(rng.normal(size=(distinct, dim)))
    vectors = different[rng.integers(0, distinct, count)]
    ids = np.sort(rng.choice(10_000, count, replace=False)).astype(np.int64)
    order = rng.permutation(count)
    faiss = _faiss()
    raw = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
    raw.add_with_ids(vectors[order], ids[order])
    index = VectorIndex(raw, ids)
    query = unit(rng.normal(size=(1, dim)))[0]
    k = data.draw(st.integers(1, count + 5))
    found, scores = index.search(query, k)
    assert found.tolist() == naive(ids, vectors, query, k)
    assert np.abs(scores - np.sort(vectors @ query)[::-1][: len(scores)]).max() < 1e-5
    kept = np.sort(rng.choice(ids, data.draw(st.integers(0, count)), replace=False))
    position = np.searchsorted(ids, kept)
    found, filtered = index.search(query, k, kept)
    assert found.tolist() == naive(kept, vectors[position], query, k)
    lookup = dict(zip(*(part.tolist() for part in index.search(query, count)), strict=True))
    assert [lookup[i] for i in found.tolist()] == filtered.tolist(), "a filter changes no score"


class TestTheFile:
    """Missing, broken, behind, foreign: the same answers."""

    def setup_method(self) -> None:
        rng = np.random.default_rng(5)
        self.encoder = fake_id(dim=16, vision_dim=2)
        self.vectors = unit(rng.normal(size=(60, 16)))
        self.query = unit(rng.normal(size=(1, 16)))[0]
        self.ids = np.arange(1, 61)

    def make(self, root: Path, count: int = 60) -> Store:
        store = Store.create(root)
        fill(store, self.encoder, self.ids[:count].tolist(), self.vectors[:count])
        self.write(store)
        return store

    def write(self, store: Store) -> None:
        with store.reading() as con:
            write_index(store, con, 1, self.encoder)

    def check(self, store: Store, count: int = 60) -> None:
        want = naive(self.ids[:count], self.vectors[:count], self.query, 15)
        assert ask(store, self.encoder, self.query, 15) == want

    def test_whole(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        assert index_file(store, 1).is_file()
        assert [path.name for path in store.index_folder.iterdir()] == [index_file(store, 1).name]
        self.check(store)

    def test_missing(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        shutil.rmtree(store.index_folder)
        self.check(store)
        self.write(store)
        assert index_file(store, 1).is_file()

    @pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.99])
    def test_truncated(self, tmp_path: Path, share: float) -> None:
        store = self.make(tmp_path)
        data = index_file(store, 1).read_bytes()
        index_file(store, 1).write_bytes(data[: int(len(data) * share)])
        self.check(store)

    @pytest.mark.parametrize("junk", [b"no index", b"IxMp" + b"\xff" * 200, b"IxFI" + b"\0" * 200])
    def test_garbage(self, tmp_path: Path, junk: bytes) -> None:
        store = self.make(tmp_path)
        index_file(store, 1).write_bytes(junk)
        self.check(store)

    def test_behind(self, tmp_path: Path) -> None:
        store = self.make(tmp_path, 40)
        fill(store, self.encoder, self.ids[40:].tolist(), self.vectors[40:])
        self.check(store)
        self.write(store)
        self.check(store)

    def test_ahead_of_the_catalog(self, tmp_path: Path) -> None:
        ahead, behind = self.make(tmp_path / "a"), self.make(tmp_path / "b", 40)
        shutil.copy(index_file(ahead, 1), index_file(behind, 1))
        self.check(behind, 40)

    def test_from_another_store_with_the_same_ids(self, tmp_path: Path) -> None:
        store, other = self.make(tmp_path / "a"), Store.create(tmp_path / "b")
        fill(other, self.encoder, self.ids.tolist(), unit(np.random.default_rng(6).normal(size=(60, 16))))
        self.write(other)
        shutil.copy(index_file(other, 1), index_file(store, 1))
        self.check(store)

    def test_left_behind_by_a_catalog_that_was_deleted(self, tmp_path: Path) -> None:
        old = self.make(tmp_path)
        old.catalog.unlink()
        store = Store.create(tmp_path)
        self.vectors = self.vectors[::-1].copy()
        fill(store, self.encoder, self.ids.tolist(), self.vectors)
        self.check(store)

    def test_of_another_dimension(self, tmp_path: Path) -> None:
        import faiss

        store = self.make(tmp_path)
        other = faiss.IndexIDMap2(faiss.IndexFlatIP(8))
        other.add_with_ids(np.ones((60, 8), np.float32), self.ids)
        faiss.write_index(other, str(index_file(store, 1)))
        self.check(store)

    def test_removed_images_are_not_found(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        gone = naive(self.ids, self.vectors, self.query, 5)
        with store.writing() as con:
            mark_removed(con, gone)
        assert ask(store, self.encoder, self.query, 60) == naive(self.ids, self.vectors, self.query, 60)[5:]

    def test_a_failed_write_leaves_the_old_file_and_no_rest(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = self.make(tmp_path, 40)
        before = index_file(store, 1).read_bytes()
        fill(store, self.encoder, self.ids[40:].tolist(), self.vectors[40:])

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            self.write(store)
        assert [path.name for path in store.index_folder.iterdir()] == [index_file(store, 1).name]
        assert index_file(store, 1).read_bytes() == before
        self.check(store)
