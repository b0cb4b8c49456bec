"""Vectors that stay in shards: everything that reads vectors gets the same, and what happens to the files is named."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import shotdex
from shotdex.session import Session
from shotdex.store.errors import OptionError, StoreError
from shotdex.store.store import Store
from shotdex.upkeep.verify import VerifyOptions, verify
from tests.conftest import ROOT
from tests.indexer.shards import assert_equal, encode, index_directly, index_shards, make_folder, vectors
from tests.support.fakes import FakeEncoder
from tests.support.images import save_noise


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("images") / "all")


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of three parts, and stores with their vectors in the catalog and in the shards."""
    root = tmp_path_factory.mktemp("made")
    for part in range(3):
        encode(folder, f"{part}/3", root / "place", part_rows=9)
    index_shards(root / "catalog", root / "place")
    index_shards(root / "kept", root / "place", vectors="shards")
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "place", tmp_path / "place"))


@pytest.fixture
def store(place: Path, tmp_path: Path) -> Path:
    index_shards(tmp_path / "store", place, vectors="shards")
    return tmp_path / "store"


def assert_same(one: Path, other: Path) -> None:
    with Store(one).reading(), Store(other).reading():  # once for all
        assert_equal(one, other)
        for mine, theirs in zip(vectors(one), vectors(other), strict=True):
            assert mine.tobytes() == theirs.tobytes()


def pointers(store: Path) -> tuple[int, int]:
    """How many vectors are in shards, and how many in the catalog."""
    with Store(store).reading() as con:
        tables = ("catalog.main.vectors_1", "vector_places WHERE shard_id > 0")
        inside, outside = (con.value(f"SELECT count(*) FROM {table}") for table in tables)
    return outside, inside


def lost(store: Path) -> str:
    with pytest.raises(StoreError) as raised:
        vectors(store)
    assert "shotdex index PLACE --vectors shards" in raised.value.hint
    return str(raised.value)


def test_the_catalog_has_places_and_everything_reads_the_same(made: Path) -> None:
    assert pointers(made / "kept") == (42, 0)
    assert pointers(made / "catalog") == (0, 42)
    assert_same(made / "catalog", made / "kept")
    assert verify(made / "kept", VerifyOptions()).whole


ANSWERS = {
    "like": lambda store: [(hit.image_id, hit.cosine) for hit in store.search(like=5, k=9)],
    "exact": lambda store: [(hit.image_id, hit.cosine) for hit in store.search(like=5, k=42, exact=True)],
    "vision": lambda store: [(hit.image_id, hit.cosine) for hit in store.search(like=3, k=9, space="vision")],
    "text": lambda store: [(hit.image_id, hit.cosine) for hit in store.search("cat1", k=9, model=FakeEncoder())],
    "by id": lambda store: store.vectors(where="image_id IN (2, 30, 41)", space="vision")[1].tobytes(),
    "sql": lambda store: list(store.sql("SELECT image_id, joint::VARCHAR, vision::VARCHAR FROM vectors ORDER BY 1")),
    "table": lambda store: list(store.sql("SELECT sum(joint[1]), count(vision) FROM vectors_1 WHERE image_id > 9")),
    "duplicates": lambda store: list(store.duplicates(threshold=0.3, limit=99)),
    "classes": lambda store: outcomes(store),
    "probe": lambda store: [(row.kind, row.estimate) for row in store.probe(few_shot=[1], draws=2)],
}


def outcomes(store: Session) -> list[Any]:
    store.classify("cat0,cat1,cat2", name="run", model=FakeEncoder(), replace=True)
    return list(store.sql("SELECT image_id, predicted, cosine, true_rank FROM outcomes ORDER BY image_id"))


@pytest.mark.parametrize("with_index", [True, False])
def test_the_same_answers(made: Path, with_index: bool, tmp_path: Path) -> None:
    one, other = (Path(shutil.copytree(made / name, tmp_path / name)) for name in ("catalog", "kept"))
    if not with_index:
        shutil.rmtree(one / "index")
        shutil.rmtree(other / "index")
    of_catalog, of_shards = shotdex.open(one), shotdex.open(other)
    for what, answer in ANSWERS.items():
        found = answer(of_catalog)
        assert found == answer(of_shards), what
        assert len(found) > 0, what


@pytest.mark.parametrize("kind", ["parquet", "numpy"])
def test_the_same_exports(made: Path, tmp_path: Path, kind: str) -> None:
    for name in ("catalog", "kept"):
        shotdex.open(made / name).export(kind, tmp_path / name, space="vision")
    if kind == "parquet":
        one, other = (pq.read_table(tmp_path / name) for name in ("catalog", "kept"))
        assert one.drop_columns("added_at").equals(other.drop_columns("added_at"))
    else:
        for file in ("ids.npy", "vectors.npy", "vision.npy"):
            np.testing.assert_array_equal(np.load(tmp_path / "catalog" / file), np.load(tmp_path / "kept" / file))


def test_a_shard_that_is_missing_or_other_is_named(place: Path, store: Path) -> None:
    first, second, *_ = sorted(place.glob("*.parquet"))
    whole = first.read_bytes()
    first.unlink()
    [shown] = shotdex.open(store).status().vector_shards
    assert (shown.folder, shown.missing) == (place, 1)
    assert lost(store).endswith(f"{first}, which is not there")
    first.mkdir()
    assert lost(store).endswith(f"{first}, which is a folder")
    first.rmdir()
    with pytest.raises(StoreError, match="is not there"):
        shotdex.open(store).sql("SELECT sum(joint[1]) FROM vectors")
    assert shotdex.open(store).search(like=30, k=3)  # the index has them
    assert shotdex.open(store).sql("SELECT count(*) FROM vectors_1")[0][0] == 42
    [check] = [one for one in verify(store, VerifyOptions()).checks if one.name == "vectors of encoder 1 in shards"]
    assert not check.ok
    assert str(first) in check.text
    with pytest.raises(StoreError, match="is not there"):
        verify(store, VerifyOptions(repair=True))
    assert pointers(store) == (42, 0)
    first.write_bytes(second.read_bytes())
    assert "its digest is another one" in lost(store)
    first.write_bytes(whole[:-9])
    assert "cannot be read" in lost(store)
    first.write_bytes(whole)
    data, vector = bytearray(whole), vectors(store)[1][0].tobytes()
    data[data.index(vector) + 7] ^= 1
    first.write_bytes(data)
    assert "is damaged" in lost(store)
    assert not verify(store, VerifyOptions()).whole


def test_shards_that_moved_are_found_by_indexing_them_again(made: Path, place: Path, store: Path) -> None:
    place.rename(elsewhere := place.parent / "elsewhere")
    lost(store)
    report = index_shards(store, elsewhere)
    assert (report.added, report.encoded, report.unchanged) == (0, 0, 42)
    assert_same(store, made / "catalog")
    assert verify(store, VerifyOptions()).whole


def test_a_store_moves_with_the_shards_in_it(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "place", tmp_path / "one" / "shards")
    index_shards(tmp_path / "one", tmp_path / "one" / "shards", vectors="shards")
    (tmp_path / "one").rename(tmp_path / "two")
    assert_same(tmp_path / "two", made / "catalog")


@pytest.mark.parametrize("kept", ["catalog", "shards"])
def test_shards_that_were_encoded_again_take_the_place_of_lost_ones(tmp_path: Path, kept: str) -> None:
    folder, place, store = make_folder(tmp_path / "images", 12), tmp_path / "place", tmp_path / "store"
    encode(folder, "0/1", place)
    index_shards(store, place, vectors="shards")
    save_noise(folder / "cat1" / "new.png", seed=99)
    (folder / "cat0" / "000.png").unlink()
    encode(folder, "0/1", place)
    lost(store)
    index_shards(store, place, vectors=kept)
    assert pointers(store) == ((14, 0) if kept == "shards" else (0, 14))
    assert verify(store, VerifyOptions()).whole
    index_directly(tmp_path / "other", folder)
    assert len(shotdex.open(store).search(like=2, k=99)) == len(shotdex.open(tmp_path / "other").search(like=2, k=99))


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A store of two sources, shards of both, in which all images of the second are copies, but for one."""
    first, second = make_folder(tmp_path / "first", 6), make_folder(tmp_path / "second", 4)
    save_noise(second / "cat0" / "own.png", seed=99)
    encode(first, "0/1", tmp_path / "one")
    encode(second, "0/1", tmp_path / "two")
    for place in (tmp_path / "one", tmp_path / "two"):
        index_shards(tmp_path / "store", place, vectors="shards")
    assert pointers(tmp_path / "store") == (15, 0)
    return first, tmp_path / "one", tmp_path / "two"


@pytest.mark.parametrize("kept", ["catalog", "shards"])
def test_copies_in_another_source_get_the_vectors_of_shards_that_were_encoded_again(
    two: tuple[Path, Path, Path], kept: str
) -> None:
    first, one, _ = two
    save_noise(first / "cat1" / "new.png", seed=98)
    encode(first, "0/1", one)
    index_shards(store := one.parent / "store", one, vectors=kept)
    assert verify(store, VerifyOptions()).whole
    assert pointers(store) == ((16, 0) if kept == "shards" else (1, 15))
    assert len(shotdex.open(store).vectors()[0]) == 16


def test_shards_of_a_source_that_was_removed_are_not_needed(two: tuple[Path, Path, Path]) -> None:
    first, one, place = two
    shotdex.open(store := one.parent / "store").remove(source=first)
    assert {shown.folder for shown in shotdex.open(store).status().vector_shards} == {one, place}
    shutil.rmtree(one)
    assert "is not there" in lost(store)  # copies have their vectors there
    index_shards(store, place, vectors="shards")
    assert {shown.folder for shown in shotdex.open(store).status().vector_shards} == {place}
    assert verify(store, VerifyOptions(repair=True)).whole
    assert verify(store, VerifyOptions()).whole
    assert len(vectors(store)[0]) == 7


def test_both_kinds_in_one_store(made: Path, folder: Path, place: Path, tmp_path: Path) -> None:
    index_shards(tmp_path / "store", place, vectors="shards")
    more = make_folder(tmp_path / "more", 5)
    save_noise(more / "cat1" / "new.png", seed=77)
    index_directly(tmp_path / "store", more)
    assert pointers(tmp_path / "store") == (42 + 7, 1)  # all others are copies of images of the folder
    assert verify(tmp_path / "store", VerifyOptions()).whole
    shotdex.open(tmp_path / "store").remove(source=folder)
    assert pointers(tmp_path / "store") == (7, 1)
    assert verify(tmp_path / "store", VerifyOptions(repair=True)).whole
    assert len(vectors(tmp_path / "store")[0]) == 8
    index_shards(tmp_path / "store", place)
    shotdex.open(tmp_path / "store").remove(encoder="1")
    index_shards(tmp_path / "store", place, vectors="shards")
    assert verify(tmp_path / "store", VerifyOptions()).whole


def test_what_cannot_be_is_refused(folder: Path, place: Path, tmp_path: Path) -> None:
    session = Session(Store(tmp_path / "store"))
    with pytest.raises(OptionError, match="there are no shards at"):
        session.index(folder, vectors="shards")
    with pytest.raises(OptionError, match="only goes with"):
        session.index(folder, vectors="shards", runner="ray")
    with pytest.raises(OptionError, match="cannot be kept in"):
        session.index(place, vectors="elsewhere")
    assert not (tmp_path / "store").exists()


KILLED = """
import os, sys
from pathlib import Path
from shotdex.indexer.shard_commit import ShardIndexing
from shotdex.session import Session
from shotdex.store.store import Store

record = ShardIndexing._record
def killed(self, *arguments):
    record(self, *arguments)
    if arguments[1].header.part == 1:
        os._exit(9)
ShardIndexing._record = killed
Session(Store(Path(sys.argv[1]))).index(sys.argv[2], vectors="shards")
"""


def test_killed_in_a_commit_the_same_command_goes_on(made: Path, place: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    command = [sys.executable, "-c", KILLED, str(store), str(place)]
    assert subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode == 9
    assert 0 < pointers(store)[0] < 42
    index_shards(store, place, vectors="shards")
    assert_same(store, made / "catalog")
    assert verify(store, VerifyOptions()).whole
