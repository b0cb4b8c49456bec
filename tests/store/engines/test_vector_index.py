"""The FAISS file: derived from the catalog, so that nothing about it changes an answer."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotdex.store.encoders import add_encoder
from shotdex.store.engines import flat_search as scan
from shotdex.store.engines import index_validation as index_trust
from shotdex.store.engines.faiss_file import BadIndexFile, read_layout
from shotdex.store.engines.flat_search import Rows
from shotdex.store.engines.index_validation import vouch
from shotdex.store.engines.vector_index import VectorIndex, index_file, open_index, write_index
from shotdex.store.errors import StoreCorrupt, StoreError
from shotdex.store.images import ImageRecord, add_images, mark_removed
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, ImageVectors
from shotdex.store.vectors import add_vectors
from tests.support.fakes import fake_id
from tests.support.orders import disorder


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


def rows_of(ids: np.ndarray, vectors: np.ndarray) -> Rows:
    return Rows(ids, vectors, np.ones(len(ids), bool))


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    st.data(),
    st.integers(1, 90),
    st.integers(1, 6),
    st.sampled_from([3, 8, 12, 24, 64]),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
)
def test_search_is_exact_with_ties_by_id(
    data: st.DataObject, count: int, distinct: int, dim: int, threads: int, seed: int
) -> None:
    """Few distinct vectors in many copies, so that ties run past every edge: of k, of blocks and of threads."""
    import faiss

    rng = np.random.default_rng(seed)
    different = unit(rng.normal(size=(distinct, dim)))
    vectors = different[rng.integers(0, distinct, count)]
    ids = np.sort(rng.choice(data.draw(st.sampled_from([100, 10_000, 2**40])), count, replace=False)).astype(np.int64)
    order = rng.permutation(count)
    filed, rest = np.split(order, [data.draw(st.integers(0, count))])
    index = VectorIndex(rows_of(ids[filed], vectors[filed]), rows_of(ids[rest], vectors[rest]))
    query = unit(rng.normal(size=(1, dim)))[0]
    k = data.draw(st.integers(1, count + 5))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scan, "BLOCK", data.draw(st.sampled_from([1, 7, 1000])))
        patched.setattr(scan, "ALONE", 5)
        patched.setattr(faiss, "omp_get_max_threads", lambda: threads)
        found, scores = index.search(query, k)
        assert disorder(found.tolist(), ids, vectors, query, k) == ""
        assert np.abs(scores - np.sort(vectors @ query)[::-1][: len(scores)]).max() < 1e-6
        kept = np.sort(rng.choice(ids, data.draw(st.integers(0, count)), replace=False))
        position = np.searchsorted(ids, kept)
        found, filtered = index.search(query, k, kept)
        assert disorder(found.tolist(), kept, vectors[position], query, k) == ""
        lookup = dict(zip(*(part.tolist() for part in index.search(query, count)), strict=True))
        assert [lookup[i] for i in found.tolist()] == filtered.tolist(), "a filter changes no score"


def test_the_answers_of_bare_faiss() -> None:
    import faiss

    rng = np.random.default_rng(1)
    vectors, queries = unit(rng.normal(size=(40_000, 32))), unit(rng.normal(size=(5, 32)))
    bare = faiss.IndexFlatIP(32)
    bare.add(vectors)
    index = VectorIndex(rows_of(np.arange(40_000), vectors), rows_of(np.empty(0, np.int64), vectors[:0]))
    scores, found = bare.search(queries, 100)
    for query, ids, products in zip(queries, found, scores, strict=True):
        ours, cosines = index.search(query, 100)
        assert disorder(ours.tolist(), np.arange(40_000), vectors, query, 100) == ""
        assert disorder(ids.tolist(), np.arange(40_000), vectors, query, 100) == ""
        assert np.abs(cosines - products).max() < 1e-6


def test_a_vector_without_numbers_comes_last() -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(30, 8)))
    vectors[3] = np.nan
    index = VectorIndex(rows_of(np.arange(30), vectors), rows_of(np.empty(0, np.int64), vectors[:0]))
    found, _ = index.search(vectors[5], 30)
    assert (found[0], found[-1], len(set(found.tolist()))) == (5, 3, 30)


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
        write_index(store, 1, self.encoder)

    def check(self, store: Store, count: int = 60) -> None:
        found = ask(store, self.encoder, self.query, 15)
        assert disorder(found, self.ids[:count], self.vectors[:count], self.query, 15) == ""

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

    def test_it_is_what_faiss_writes(self, tmp_path: Path) -> None:
        """In one go and in parts, to the byte; and FAISS reads it."""
        import faiss

        store = self.make(tmp_path)
        bare = faiss.IndexIDMap2(faiss.IndexFlatIP(16))
        bare.add_with_ids(self.vectors, self.ids)
        faiss.write_index(bare, str(tmp_path / "bare"))
        assert index_file(store, 1).read_bytes()[:-40] == (tmp_path / "bare").read_bytes()
        index = faiss.read_index(str(index_file(store, 1)))
        assert np.array_equal(faiss.vector_to_array(index.id_map), self.ids)
        assert np.array_equal(index.reconstruct_batch(self.ids), self.vectors)

    @pytest.mark.parametrize("chunk", [1, 7, 20, 64])
    def test_it_grows_to_what_it_would_be(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
        monkeypatch.setattr("shotdex.store.engines.vector_index.CHUNK", chunk)
        monkeypatch.setattr("shotdex.store.engines.vector_index.TURN", 2 * chunk)
        monkeypatch.setattr("shotdex.store.engines.vector_index.PIECE", 100)
        store = self.make(tmp_path, 30)
        fill(store, self.encoder, self.ids[30:].tolist(), self.vectors[30:])
        self.write(store)
        grown = index_file(store, 1).read_bytes()
        index_file(store, 1).unlink()
        write_index(store, 1, self.encoder)
        assert index_file(store, 1).read_bytes() == grown

    def test_with_nothing_new_it_is_not_written_again(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        before = index_file(store, 1).stat()
        self.write(store)
        assert (index_file(store, 1).stat().st_ino, index_file(store, 1).stat().st_mtime_ns) == (
            before.st_ino,
            before.st_mtime_ns,
        )

    def test_its_vectors_are_not_read_into_memory(self, tmp_path: Path) -> None:
        with (store := self.make(tmp_path)).reading() as con:
            vectors = open_index(store, con, 1, self.encoder).filed.vectors
        assert not vectors.flags.owndata
        assert not vectors.flags.writeable
        assert np.array_equal(vectors, self.vectors)

    def test_an_older_catalog_brought_back_and_other_images_indexed(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The file's stamp was compared once and agreed; the older catalog remembers another one, or none."""
        store = self.make(tmp_path, 30)
        older = store.catalog.read_bytes()
        fill(store, self.encoder, self.ids[30:].tolist(), self.vectors[30:])
        self.write(store)
        self.vouch(store)
        self.check(store)
        store.catalog.write_bytes(older)
        self.vouch(store, index_file(store, 1).read_bytes()[-40:-1] + b"?")
        self.vectors[30:] = self.vectors[30:][::-1].copy()
        with store.writing() as con:
            add_images(
                con, [replace(record(i), content_sha256=f"{i:x}".ljust(64, "f")) for i in self.ids[30:].tolist()]
            )
            add_vectors(con, 1, self.ids[30:].tolist(), ImageVectors(self.vectors[30:], np.zeros((30, 2), np.float32)))
        self.check(store)
        assert "not written for the images" in caplog.text

    def vouch(self, store: Store, stamp: bytes | None = None) -> None:
        with store.writing() as con:
            vouch(con, 1, stamp or index_file(store, 1).read_bytes()[-40:])

    def test_what_was_compared_once_is_not_compared_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, compared = self.make(tmp_path), []
        real = index_trust.stamp_of
        monkeypatch.setattr(index_trust, "stamp_of", lambda *what: compared.append(1) or real(*what))
        self.check(store)
        assert len(compared) == 1
        self.vouch(store)
        self.check(store)
        assert len(compared) == 1

    def test_removed_images_are_not_found(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        gone = ask(store, self.encoder, self.query, 5)
        with store.writing() as con:
            mark_removed(con, gone)
        left = ~np.isin(self.ids, gone)
        found = ask(store, self.encoder, self.query, 60)
        assert disorder(found, self.ids[left], self.vectors[left], self.query, 60) == ""

    def test_a_failed_write_leaves_the_old_file_and_no_rest(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = self.make(tmp_path, 40)
        before = index_file(store, 1).read_bytes()
        fill(store, self.encoder, self.ids[40:].tolist(), self.vectors[40:])

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(StoreError, match="No space"):
            self.write(store)
        assert [path.name for path in store.index_folder.iterdir()] == [index_file(store, 1).name]
        assert index_file(store, 1).read_bytes() == before
        self.check(store)

    def test_a_disk_that_loses_the_last_of_the_writing_without_a_word(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = self.make(tmp_path, 40)
        before = index_file(store, 1).read_bytes()
        fill(store, self.encoder, self.ids[40:].tolist(), self.vectors[40:])
        for kept in (1000, 0):
            monkeypatch.setattr("os.fsync", lambda number, kept=kept: os.ftruncate(number, kept))
            with pytest.raises(StoreError, match="cannot write"):
                self.write(store)
            assert [path.name for path in store.index_folder.iterdir()] == [index_file(store, 1).name]
            assert index_file(store, 1).read_bytes() == before
            self.check(store)

    def test_what_was_left_behind_is_swept(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        (store.index_folder / f"{index_file(store, 1).stem}.99.part").write_bytes(b"half of it")
        (store.index_folder / "notes.txt").write_text("of the user")
        self.write(store)
        assert sorted(path.name for path in store.index_folder.iterdir()) == [index_file(store, 1).name, "notes.txt"]

    @pytest.mark.parametrize("linked", ["file", "folder"])
    def test_links_are_not_followed(self, tmp_path: Path, linked: str, caplog: pytest.LogCaptureFixture) -> None:
        store = self.make(tmp_path / "store")
        target = store.index_folder if linked == "folder" else index_file(store, 1)
        outside = tmp_path / "outside"
        target.rename(outside)
        target.symlink_to(outside)
        listed = sorted(outside.iterdir()) if linked == "folder" else outside.read_bytes()
        assert used(store, self.encoder) == 0
        self.check(store)
        assert "link" in caplog.text
        self.write(store)
        assert not target.is_symlink()
        assert (sorted(outside.iterdir()) if linked == "folder" else outside.read_bytes()) == listed
        assert used(store, self.encoder) == 60
        self.check(store)

    def test_only_whole_files_of_ours_are_used(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        path = index_file(store, 1)
        whole = path.read_bytes()
        assert used(store, self.encoder) == 60
        vectors, ids = 37 * 2 + 8, 37 * 2 + 8 + 60 * 16 * 4
        damages = {
            "longer": whole + b"\0",
            "shorter": whole[:-1],
            "without its stamp": whole[:-40],
            "another stamp": whole[:-1] + bytes([whole[-1] ^ 1]),
            "another kind": b"IwFl" + whole[4:],
            "another kind within": whole[:37] + b"IxF2" + whole[41:],
            "another metric": whole[:33] + b"\1" + whole[34:],
            "untrained": whole[:32] + b"\0" + whole[33:],
            "more vectors": whole[:8] + (61).to_bytes(8, "little") + whole[16:],
            "fewer than none": (whole[:8] + b"\xff" * 8 + whole[16:45] + b"\xff" * 8 + whole[53:]),
            "very long vectors": (whole[:4] + b"\xff\xff\xff\x7f" + whole[8:41] + b"\xff\xff\xff\x7f" + whole[45:]),
            "very many numbers": whole[: vectors - 8] + b"\xff" * 8 + whole[vectors:],
            "very many ids": whole[:ids] + b"\xff" * 8 + whole[ids + 8 :],
            "an unknown id": whole[: ids + 8] + (99).to_bytes(8, "little") + whole[ids + 16 :],
            "an id twice": whole[: ids + 8] + (2).to_bytes(8, "little") + whole[ids + 16 :],
            "two ids exchanged": whole[: ids + 8] + whole[ids + 16 : ids + 24] + whole[ids + 8 : ids + 16]
            + whole[ids + 24 :],
            "nothing": b"",
        }  # fmt: skip
        for name, data in damages.items():
            path.write_bytes(data)
            assert used(store, self.encoder) == 0, name
            self.check(store)

    @settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_any_damage(self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
        store = self.make(tmp_path_factory.mktemp("any"))
        path = index_file(store, 1)
        whole = bytearray(path.read_bytes())
        start = data.draw(st.integers(0, 120))
        junk = data.draw(st.binary(min_size=1, max_size=12))
        whole[start : start + len(junk)] = junk
        path.write_bytes(whole)
        layout = None
        with contextlib.suppress(BadIndexFile):
            layout = read_layout(path)
        if layout is not None:
            assert (layout.dim, len(layout.ids), len(whole)) == (16, 60, 37 * 2 + 16 + 60 * (16 * 4 + 8) + 40)
        with store.reading() as con:
            assert len(open_index(store, con, 1, self.encoder)) == 60

    def test_a_image_under_the_id_of_another(self, tmp_path: Path) -> None:
        """As where an older copy of the catalog is brought back and other images are indexed: few of many differ."""
        rng = np.random.default_rng(9)
        self.ids, self.vectors = np.arange(1, 2001), unit(rng.normal(size=(2000, 16)))
        store = self.make(tmp_path, 2000)
        other = unit(rng.normal(size=(1, 16)))
        self.vectors[6] = other[0]  # between those that are compared on opening
        with store.writing() as con:
            con.run("UPDATE stored_images SET content_sha256 = repeat('b', 64) WHERE image_id = 7")
            con.run("DELETE FROM vectors_1 WHERE image_id = 7")
            add_vectors(con, 1, [7], ImageVectors(other, np.zeros((1, self.encoder.vision_dim), np.float32)))
        assert ask(store, self.encoder, other[0], 1) == [7]

    def test_a_vector_that_is_missing_is_said(self, tmp_path: Path) -> None:
        """Left out, the vectors after it would answer for other images."""
        store = self.make(tmp_path)
        index_file(store, 1).unlink()
        with store.writing() as con:
            con.run("UPDATE vectors_1 SET joint = NULL WHERE image_id = 7")
        with pytest.raises(StoreCorrupt, match="numbers missing") as caught:
            ask(store, self.encoder, self.query, 5)
        assert "verify --repair" in caught.value.hint


def used(store: Store, encoder: EncoderId) -> int:
    """Return how many vectors of the file a search would use."""
    with store.reading() as con:
        return len(open_index(store, con, 1, encoder).filed.ids)


def test_who_writes_a_large_file_vouches_for_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first search after an indexing need not compare the contents of a million images again."""
    monkeypatch.setattr(index_trust, "WORTH_REMEMBERING", 3)
    encoder, vectors = fake_id(), unit(np.random.default_rng(3).normal(size=(4, fake_id().dim)))
    for ids in ([1, 2], [3, 4]):
        fill(store, encoder, ids, vectors[np.array(ids) - 1])
        write_index(store, 1, encoder)
    with store.reading() as con:
        assert index_trust.vouched(con, 1) == read_layout(index_file(store, 1)).stamp is not None
        monkeypatch.setattr(index_trust, "stamp_of", lambda *_: b"not asked for")
        assert open_index(store, con, 1, encoder).stamp == index_trust.vouched(con, 1)
