"""The FAISS file: derived from the catalog, so that nothing about it changes an answer."""

from __future__ import annotations

import contextlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotdex.store.encoders import add_encoder
from shotdex.store.engines import flat, validation
from shotdex.store.engines.base import EngineDamaged, Filter
from shotdex.store.engines.faiss_file import read_file
from shotdex.store.engines.flat import FlatEngine, Rows
from shotdex.store.engines.ivf import inverted_file_path
from shotdex.store.engines.vector_index import open_index
from shotdex.store.engines.writing import write_index
from shotdex.store.errors import StoreCorrupt, StoreError
from shotdex.store.ids import images_generation
from shotdex.store.images import mark_removed
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, ImageVectors
from tests.support.engines import file_of, index_over
from tests.support.fakes import fake_id
from tests.support.orders import disorder
from tests.support.rows import ImageRow, add_images, add_vectors


def record(image_id: int) -> ImageRow:
    return ImageRow(image_id, f"/p/{image_id}.png", "/p", None, None, None, f"{image_id:064}")


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
        ids, scores = open_index(store, con, 1, encoder).search(query, k, Filter(ids=allowed))
    assert scores.dtype == np.float32
    assert (np.diff(scores) <= 0).all()
    return [int(i) for i in ids]


def rows_of(ids: np.ndarray, vectors: np.ndarray) -> Rows:
    return Rows(ids, vectors)


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
    index = index_over(Rows(ids[filed], vectors[filed]), Rows(ids[rest], vectors[rest]))
    query = unit(rng.normal(size=(1, dim)))[0]
    k = data.draw(st.integers(1, count + 5))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(flat, "BLOCK", data.draw(st.sampled_from([1, 7, 1000])))
        patched.setattr(flat, "ALONE", 5)
        patched.setattr(faiss, "omp_get_max_threads", lambda: threads)
        found, scores = index.search(query, k)
        assert disorder(found.tolist(), ids, vectors, query, k) == ""
        assert np.abs(scores - np.sort(vectors @ query)[::-1][: len(scores)]).max() < 1e-6
        kept = np.sort(rng.choice(ids, data.draw(st.integers(0, count)), replace=False))
        position = np.searchsorted(ids, kept)
        found, filtered = index.search(query, k, Filter(ids=kept))
        assert disorder(found.tolist(), kept, vectors[position], query, k) == ""
        lookup = dict(zip(*(part.tolist() for part in index.search(query, count)), strict=True))
        assert [lookup[i] for i in found.tolist()] == filtered.tolist(), "a filter changes no score"


def test_the_answers_of_bare_faiss() -> None:
    import faiss

    rng = np.random.default_rng(1)
    vectors, queries = unit(rng.normal(size=(40_000, 32))), unit(rng.normal(size=(5, 32)))
    bare = faiss.IndexFlatIP(32)
    bare.add(vectors)
    index = index_over(Rows(np.arange(40_000), vectors))
    scores, found = bare.search(queries, 100)
    for query, ids, products in zip(queries, found, scores, strict=True):
        ours, cosines = index.search(query, 100)
        assert disorder(ours.tolist(), np.arange(40_000), vectors, query, 100) == ""
        assert disorder(ids.tolist(), np.arange(40_000), vectors, query, 100) == ""
        assert np.abs(cosines - products).max() < 1e-6


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e30, 2.0])
def test_what_is_not_a_cosine_never_goes_out(number: float) -> None:
    """As after a bit of an exponent flipped in a file that the operating system calls unchanged."""
    vectors = unit(np.random.default_rng(2).normal(size=(30, 8)))
    damaged = vectors.copy()
    damaged[3] = number * np.sign(vectors[3])
    index = index_over(Rows(np.arange(30), damaged), again=lambda: Rows(np.arange(30), vectors))
    for _ in range(2):
        found, cosines = index.search(vectors[3], 30)
        assert (found[0], sorted(found.tolist())) == (3, list(range(30)))
        assert np.isfinite(cosines).all()
        assert np.abs(cosines).max() <= 1
        assert cosines[0] == pytest.approx(1)


def test_rounding_makes_no_cosine_larger_than_one() -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(2000, 8)))
    index = index_over(Rows(np.arange(2000), vectors), Rows(np.arange(2000, 4000), vectors))
    assert max(index.search(vector, 2)[1].max() for vector in vectors) == 1


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
        assert file_of(store).is_file()
        assert [path.name for path in store.index_folder.iterdir()] == [file_of(store).name]
        self.check(store)

    def test_missing(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        shutil.rmtree(store.index_folder)
        self.check(store)
        self.write(store)
        assert file_of(store).is_file()

    @pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.99])
    def test_truncated(self, tmp_path: Path, share: float) -> None:
        store = self.make(tmp_path)
        data = file_of(store).read_bytes()
        file_of(store).write_bytes(data[: int(len(data) * share)])
        self.check(store)

    @pytest.mark.parametrize("junk", [b"no index", b"IxMp" + b"\xff" * 200, b"IxFI" + b"\0" * 200])
    def test_garbage(self, tmp_path: Path, junk: bytes) -> None:
        store = self.make(tmp_path)
        file_of(store).write_bytes(junk)
        self.check(store)

    def test_behind(self, tmp_path: Path) -> None:
        store = self.make(tmp_path, 40)
        fill(store, self.encoder, self.ids[40:].tolist(), self.vectors[40:])
        self.check(store)
        self.write(store)
        self.check(store)

    def test_ahead_of_the_catalog(self, tmp_path: Path) -> None:
        ahead, behind = self.make(tmp_path / "a"), self.make(tmp_path / "b", 40)
        shutil.copy(file_of(ahead), file_of(behind))
        self.check(behind, 40)

    def test_from_another_store_with_the_same_ids(self, tmp_path: Path) -> None:
        store, other = self.make(tmp_path / "a"), Store.create(tmp_path / "b")
        fill(other, self.encoder, self.ids.tolist(), unit(np.random.default_rng(6).normal(size=(60, 16))))
        self.write(other)
        shutil.copy(file_of(other), file_of(store))
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
        faiss.write_index(other, str(file_of(store)))
        self.check(store)

    def test_it_is_what_faiss_writes(self, tmp_path: Path) -> None:
        """In one go and in parts, to the byte; and FAISS reads it."""
        import faiss

        store = self.make(tmp_path)
        bare = faiss.IndexIDMap2(faiss.IndexFlatIP(16))
        bare.add_with_ids(self.vectors, self.ids)
        faiss.write_index(bare, str(tmp_path / "bare"))
        assert file_of(store).read_bytes() == (tmp_path / "bare").read_bytes()
        index = faiss.read_index(str(file_of(store)))
        assert np.array_equal(faiss.vector_to_array(index.id_map), self.ids)
        assert np.array_equal(index.reconstruct_batch(self.ids), self.vectors)

    @pytest.mark.parametrize("chunk", [1, 7, 20, 64])
    def test_it_grows_to_what_it_would_be(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
        monkeypatch.setattr("shotdex.store.engines.vector_index.CHUNK", chunk)
        monkeypatch.setattr("shotdex.store.engines.writing.TURN", 2 * chunk)
        monkeypatch.setattr("shotdex.store.engines.faiss_file.PIECE", 100)
        store = self.make(tmp_path, 30)
        fill(store, self.encoder, self.ids[30:].tolist(), self.vectors[30:])
        self.write(store)
        grown = file_of(store).read_bytes()
        file_of(store).unlink()
        write_index(store, 1, self.encoder)
        assert file_of(store).read_bytes() == grown
        assert used(store, self.encoder) == 60

    def test_with_nothing_new_it_is_not_written_again(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        before = file_of(store).stat()
        self.write(store)
        assert (file_of(store).stat().st_ino, file_of(store).stat().st_mtime_ns) == (
            before.st_ino,
            before.st_mtime_ns,
        )

    def test_its_vectors_are_not_read_into_memory(self, tmp_path: Path) -> None:
        with (store := self.make(tmp_path)).reading() as con:
            engine = open_index(store, con, 1, self.encoder).engine()
        assert isinstance(engine, FlatEngine)
        vectors = engine.rows.vectors
        assert not vectors.flags.owndata
        assert not vectors.flags.writeable
        assert np.array_equal(vectors, self.vectors)

    def test_an_older_catalog_brought_back_and_other_images_indexed(self, tmp_path: Path) -> None:
        """The file has vectors under ids that now are those of other images; the older catalog records another file."""
        store = self.make(tmp_path, 30)
        older = store.catalog.read_bytes()
        fill(store, self.encoder, self.ids[30:].tolist(), self.vectors[30:])
        self.write(store)
        newer = file_of(store)
        store.catalog.write_bytes(older)
        self.vectors[30:] = self.vectors[30:][::-1].copy()
        fill(store, self.encoder, self.ids[30:].tolist(), self.vectors[30:])
        assert newer.is_file()
        assert newer != file_of(store)
        self.check(store)
        self.write(store)
        assert not newer.exists()
        assert used(store, self.encoder) == 60
        self.check(store)

    def test_it_is_hashed_once_and_again_when_it_was_changed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hashed, real = [], validation.rehash
        monkeypatch.setattr(validation, "rehash", lambda *what: hashed.append(1) or real(*what))
        monkeypatch.setattr(validation, "WORTH_REMEMBERING", 1)
        store = self.make(tmp_path)
        self.check(store)
        assert hashed == []
        for _ in range(2):
            os.utime(file_of(store))
            self.check(store)
            self.check(store)
            # Another process knows only what is noted next to the file.
            monkeypatch.setattr(validation, "_validated", {})
            self.check(store)
        assert len(hashed) == 2
        copied = Store(shutil.copytree(tmp_path, tmp_path.with_name("copy")))
        self.check(copied)
        assert len(hashed) == 3

    def test_a_note_that_cannot_be_read_or_written_breaks_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(validation, "WORTH_REMEMBERING", 1)
        store = self.make(tmp_path)
        note = validation.note_file(file_of(store))
        with store.reading():  # once for all of them
            for junk in (b"", b"{}", b"[" * 5000, b"\xff\xfe", b'[[1, 2], "x"]', b"[1, 2]", b'["abc", "x"]'):
                note.write_bytes(junk)
                monkeypatch.setattr(validation, "_validated", {})
                self.check(store)
                assert used(store, self.encoder) == 60
        note.unlink()
        note.mkdir()
        monkeypatch.setattr(validation, "_validated", {})
        self.check(store)
        assert used(store, self.encoder) == 60

    def test_any_flipped_bit_is_noticed(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        file = file_of(store)
        whole = file.read_bytes()
        with store.reading():  # once for all of them
            for position in np.random.default_rng(8).integers(0, len(whole), 40).tolist():
                flipped = bytes([whole[position] ^ (1 << position % 8)])
                file.write_bytes(whole[:position] + flipped + whole[position + 1 :])
                assert used(store, self.encoder) == 0
                self.check(store)
            file.write_bytes(whole)
            assert used(store, self.encoder) == 60

    def test_a_record_that_cannot_be_read_costs_no_hit(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        outside = '{"file": "../catalog.duckdb", "sha256": "", "bytes": 1, "vectors": 1}'
        for text in ("", "{", "null", "[]", '{"file": 3}', outside):
            with store.writing() as con:
                con.run("UPDATE meta SET value = $text WHERE key = 'engine_flat_1'", {"text": text})
            assert used(store, self.encoder) == 0
            self.check(store)
        self.write(store)
        assert store.catalog.is_file()
        assert used(store, self.encoder) == 60

    def test_bits_that_flipped_unnoticed_are_not_written_on(self, tmp_path: Path) -> None:
        """Where the disk loses them the file's times stay; extending it reads all of it."""
        store = self.make(tmp_path, 40)
        file = file_of(store)
        damaged = bytearray(file.read_bytes())
        damaged[500] ^= 64
        identity = validation._validated[file]
        file.write_bytes(damaged)
        handle = read_file(file).handle
        validation._validated[file] = (handle.identity(), identity[1])
        fill(store, self.encoder, self.ids[40:].tolist(), self.vectors[40:])
        self.write(store)
        with store.reading() as con:
            engine = open_index(store, con, 1, self.encoder).engine()
        assert isinstance(engine, FlatEngine)
        assert np.array_equal(engine.rows.vectors, self.vectors)

    def test_an_index_that_is_kept(self, tmp_path: Path) -> None:
        """It needs no catalog, and goes on when its file is deleted, replaced, changed or cut off."""
        store = self.make(tmp_path)
        with store.reading() as con:
            index = open_index(store, con, 1, self.encoder)
            generation = images_generation(con)
        want = index.search(self.query, 15)[0].tolist()
        file = file_of(store)
        whole = file.read_bytes()
        file.unlink()
        assert index.search(self.query, 15)[0].tolist() == want
        self.write(store)
        for damage in (lambda file: file.write_bytes(whole), lambda file: os.truncate(file, len(whole) // 2)):
            self.write(store)
            with store.reading() as con:
                index = open_index(store, con, 1, self.encoder)
            damage(file_of(store))
            with store.reading(), ThreadPoolExecutor(4) as pool:  # the fallback opens the catalog once more
                found = list(pool.map(index.search, [self.query] * 8, [15] * 8))
            assert [ids.tolist() for ids, _ in found] == [want] * 8
        mark = self.ids[:1].tolist()
        with store.writing() as con:
            mark_removed(con, mark)
            assert images_generation(con) != generation

    def test_the_file_of_an_older_version_is_replaced(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        store = self.make(tmp_path)
        older_inverted = inverted_file_path(store, 1)
        older_inverted.write_bytes(b"of the older file")
        older = store.index_folder / f"encoder-1-{store.identity[:12]}.faiss"
        file_of(store).rename(older)
        older.write_bytes(older.read_bytes() + b"shotdex1" + bytes(32))
        with store.writing() as con:
            con.run("DELETE FROM meta WHERE key = 'engine_flat_1'")
            con.run("INSERT INTO meta VALUES ('index_stamp_1', '00')")
        self.check(store)
        assert used(store, self.encoder) == 0
        assert caplog.text == ""
        self.write(store)
        assert set(store.index_folder.iterdir()) == {file_of(store), older_inverted}
        assert used(store, self.encoder) == 60
        with store.reading() as con:
            assert con.value("SELECT count(*) FROM meta WHERE key = 'index_stamp_1'") == 0

    def test_a_folder_that_cannot_be_made_is_said(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        shutil.rmtree(store.index_folder)
        store.index_folder.write_bytes(b"a file")
        with pytest.raises(StoreError, match="cannot make"):
            self.write(store)
        self.check(store)

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
        before = file_of(store).read_bytes()
        fill(store, self.encoder, self.ids[40:].tolist(), self.vectors[40:])

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(StoreError, match="No space"):
            self.write(store)
        assert [path.name for path in store.index_folder.iterdir()] == [file_of(store).name]
        assert file_of(store).read_bytes() == before
        self.check(store)

    def test_a_disk_that_loses_the_last_of_the_writing_without_a_word(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = self.make(tmp_path, 40)
        before = file_of(store).read_bytes()
        fill(store, self.encoder, self.ids[40:].tolist(), self.vectors[40:])
        for kept in (1000, 0):
            monkeypatch.setattr("os.fsync", lambda number, kept=kept: os.ftruncate(number, kept))
            with pytest.raises(StoreError, match="cannot write"):
                self.write(store)
            assert [path.name for path in store.index_folder.iterdir()] == [file_of(store).name]
            assert file_of(store).read_bytes() == before
            self.check(store)

    def test_what_was_left_behind_is_swept(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        (store.index_folder / f"{file_of(store).stem}.99.part").write_bytes(b"half of it")
        (store.index_folder / "notes.txt").write_text("of the user")
        self.write(store)
        assert sorted(path.name for path in store.index_folder.iterdir()) == [file_of(store).name, "notes.txt"]

    @pytest.mark.parametrize("linked", ["file", "folder"])
    def test_links_are_not_followed(self, tmp_path: Path, linked: str, caplog: pytest.LogCaptureFixture) -> None:
        store = self.make(tmp_path / "store")
        target = store.index_folder if linked == "folder" else file_of(store)
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
        path = file_of(store)
        whole = path.read_bytes()
        assert used(store, self.encoder) == 60
        vectors, ids = 37 * 2 + 8, 37 * 2 + 8 + 60 * 16 * 4
        damages = {
            "longer": whole + b"\0",
            "shorter": whole[:-1],
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

    def test_any_damage(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        path, sound = file_of(store), file_of(store).read_bytes()

        @settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
        @given(st.integers(0, 120), st.binary(min_size=1, max_size=12))
        def check(start: int, junk: bytes) -> None:
            whole = bytearray(sound)
            whole[start : start + len(junk)] = junk
            path.write_bytes(whole)
            layout = None
            with contextlib.suppress(EngineDamaged):
                layout = read_file(path)
            if layout is not None:
                assert (layout.dim, len(layout.ids), len(whole)) == (16, 60, 37 * 2 + 16 + 60 * (16 * 4 + 8))
            with store.reading() as con:
                assert len(open_index(store, con, 1, self.encoder)) == 60

        check()

    def test_a_vector_that_is_missing_is_said(self, tmp_path: Path) -> None:
        """Left out, the vectors after it would answer for other images."""
        store = self.make(tmp_path)
        file_of(store).unlink()
        with store.writing() as con:
            con.run("UPDATE vectors_1 SET joint = NULL WHERE image_id = 7")
        with pytest.raises(StoreCorrupt, match="numbers missing") as caught:
            ask(store, self.encoder, self.query, 5)
        assert "verify --repair" in caught.value.hint


def used(store: Store, encoder: EncoderId) -> int:
    """Return how many vectors of the file a search would use."""
    with store.reading() as con:
        engine = open_index(store, con, 1, encoder).engine()
    return 0 if engine is None else len(engine.covers)
