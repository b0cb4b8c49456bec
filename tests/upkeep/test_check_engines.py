"""The FAISS file against the catalog: missing, truncated, stale, foreign, flipped; and the catalog it is made from."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shotdex.store.store import Store
from shotdex.upkeep.check import Check
from shotdex.upkeep.repair import repair_store
from shotdex.upkeep.verify import VerifyOptions, check_store, verify
from tests.conftest import ROOT, index
from tests.support.engines import file_of
from tests.support.evaluated import change, rows, save_noisy_colour
from tests.support.fakes import FakeEncoder, fake_id

from .stores import answers, problems, template, whole_answers, whole_store

NAME = "index of encoder 1"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return whole_store(tmp_path / "store")


def check(store: Store, name: str = NAME) -> Check:
    return next(check for check in check_store(store) if check.name == name)


def repaired(store: Store, whole: list[list[tuple[str, float]]], written: str) -> None:
    """Repair, which does one thing only, and see that the file is as it was."""
    assert repair_store(store) == [f"wrote {file_of(store).name} again from the catalog: {written} vectors"]
    assert problems(store) == {}
    assert answers(store) == whole
    assert [path.name for path in store.index_folder.iterdir()] == [file_of(store).name]


def test_missing(store: Store) -> None:
    whole = whole_answers()
    shutil.rmtree(store.index_folder)
    found = problems(store)
    assert list(found) == [NAME]
    assert found[NAME].text.startswith("there is no encoder-1-")
    repaired(store, whole, "79")


@pytest.mark.parametrize("share", [0.0, 0.05, 0.999])
def test_truncated(store: Store, share: float) -> None:
    whole = whole_answers()
    data = file_of(store).read_bytes()
    file_of(store).write_bytes(data[: int(len(data) * share)])
    found = problems(store)
    assert list(found) == [NAME]
    assert f"it has {int(len(data) * share):,} bytes, its vectors alone take {79 * (12 * 4 + 8):,}" in found[NAME].text
    repaired(store, whole, "79")


@pytest.mark.parametrize("junk", [b"IxMp" + b"\xff" * 200, b"IxFI" + b"\0" * 200])
def test_garbage(store: Store, junk: bytes) -> None:
    whole = whole_answers()
    file_of(store).write_bytes(junk)
    assert list(problems(store)) == [NAME]
    repaired(store, whole, "79")


def test_any_bit_of_any_vector(store: Store) -> None:
    """Anywhere in the vectors, the lowest bit of a number is enough."""
    whole, data = whole_answers(), file_of(store).read_bytes()
    vector = np.array(rows(store, "SELECT joint FROM vectors_1 WHERE image_id = 40")[0][0], np.float32)
    position = data.find(vector.tobytes())
    for byte, bit in ((0, 0), (21, 3), (47, 7)):
        flipped = bytearray(data)
        flipped[position + byte] ^= 1 << bit
        file_of(store).write_bytes(flipped)
        assert check(store).text == "vectors that differ from the catalog's: 1"
    assert list(problems(store)) == [NAME]
    repaired(store, whole, "79")


def test_an_id(store: Store) -> None:
    whole = whole_answers()
    data = bytearray(file_of(store).read_bytes())
    position = data.rfind((40).to_bytes(8, "little"))
    data[position] = 41
    file_of(store).write_bytes(data)
    text = problems(store)[NAME].text
    assert "vectors of the catalog that it does not have yet: 1; vectors that are in it more than once: 1" in text
    repaired(store, whole, "79")


def test_of_another_store_under_our_name(store: Store, tmp_path: Path) -> None:
    """The same images in another order: the same ids mean others."""
    whole, other = whole_answers(), Store.create(tmp_path / "other")
    for seed in range(79):
        save_noisy_colour(tmp_path / "others" / f"{seed}.png", "red", 0.5, seed)
    index(other, tmp_path / "others", FakeEncoder())
    shutil.copy(file_of(other), file_of(store))
    assert problems(store)[NAME].text == "vectors that differ from the catalog's: 79"
    repaired(store, whole, "79")


def test_of_another_store_under_its_own_name(store: Store, tmp_path: Path) -> None:
    whole = whole_answers()
    shutil.copy(file_of(store), store.index_folder / "encoder-1-0123456789ab.faiss")
    (store.index_folder / "encoder-1-0123456789ab.41.part").write_bytes(b"half of it")
    (store.index_folder / "notes.txt").write_text("of the user")
    found = problems(store)
    assert list(found) == ["index folder"]
    assert "another catalog (such as encoder-1-0123456789ab.41.part): 2" in found["index folder"].text
    assert len(repair_store(store)) == 2
    assert problems(store) == {}
    assert sorted(path.name for path in store.index_folder.iterdir()) == [file_of(store).name, "notes.txt"]
    assert answers(store) == whole


def test_of_another_dimension(store: Store) -> None:
    import faiss

    whole = whole_answers()
    other = faiss.IndexIDMap2(faiss.IndexFlatIP(8))
    other.add_with_ids(np.ones((79, 8), np.float32), np.arange(1, 80))
    faiss.write_index(other, str(file_of(store)))
    assert problems(store)[NAME].text == "vectors that differ from the catalog's: 79"
    repaired(store, whole, "79")


def test_ahead_of_the_catalog(store: Store, tmp_path: Path) -> None:
    """As after bringing back an older copy of the catalog alone."""
    whole, older = whole_answers(), store.catalog.read_bytes()
    save_noisy_colour(tmp_path / "new" / "1.png", "red", 0.5, 1001)
    index(store, tmp_path / "new", FakeEncoder())
    store.catalog.write_bytes(older)
    found = problems(store)
    assert list(found) == [NAME, "index folder"]
    assert found[NAME].text.endswith(".faiss, so every search reads the catalog")
    assert answers(store) == whole
    assert len(repair_store(store)) == 2
    assert problems(store) == {}
    assert answers(store) == whole


KILLED = """
import os, signal, sys
from pathlib import Path
from shotdex.indexer.run import index_source
from shotdex.indexer import run
from shotdex.media.sources import open_source
from shotdex.store.engines import writing
from shotdex.store.store import Store
from tests.support.fakes import FakeEncoder
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "before the file":
    run.write_index = die
elif sys.argv[3] == "before the record":
    writing.record_stamp = die
elif sys.argv[3] == "before the older file is deleted":
    writing._remove = die
else:
    os.fsync = die
index_source(Store.create(Path(sys.argv[1])), open_source(Path(sys.argv[2])), FakeEncoder())
"""


@pytest.mark.parametrize("moment", ["before the file", "before the file is flushed", "before the record"])
def test_an_indexing_killed_between_its_commit_and_the_file(store: Store, tmp_path: Path, moment: str) -> None:
    for seed in range(4):
        save_noisy_colour(tmp_path / "new" / f"{seed}.png", "red", 0.5, 2000 + seed)
    undisturbed = whole_store(tmp_path / "undisturbed")
    index(undisturbed, tmp_path / "new", FakeEncoder())
    command = [sys.executable, "-c", KILLED, str(store.root), str(tmp_path / "new"), moment]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    found = problems(store)
    assert found[NAME].text == "vectors of the catalog that it does not have yet: 4"
    assert ("index folder" in found) == (moment != "before the file")
    assert answers(store) == answers(undisturbed), "a file that is behind costs time, not answers"
    after = verify(store.root, VerifyOptions(repair=True))
    assert after.whole
    assert after.done[-1].endswith("again from the catalog: 83 vectors")
    assert answers(store) == answers(undisturbed)


def test_an_indexing_killed_before_it_deleted_the_older_file(store: Store, tmp_path: Path) -> None:
    save_noisy_colour(tmp_path / "new" / "1.png", "red", 0.5, 2000)
    older = file_of(store)
    command = [sys.executable, "-c", KILLED, str(store.root), str(tmp_path / "new"), "before the older file is deleted"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    assert older.is_file()
    assert list(problems(store)) == ["index folder"]
    index(store, tmp_path / "new", FakeEncoder())
    assert not older.exists()
    assert problems(store) == {}


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "not on record"])
def test_indexing_again_does_the_same(store: Store, damage: str) -> None:
    """An indexing that has nothing to do brings the file up to the catalog, too."""
    path = file_of(store)
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(data[:-100])
    elif damage == "flipped":
        path.write_bytes(data[:300] + bytes([data[300] ^ 1]) + data[301:])
    else:
        change(store, "DELETE FROM meta WHERE key = 'engine_flat_1'")
    assert not check(store).ok
    index(store, template() / "extra", FakeEncoder(), "{category}/*")
    assert check(store).ok


def test_while_somebody_indexes_it_may_be_behind_but_not_wrong(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = whole_answers()
    save_noisy_colour(tmp_path / "new" / "1.png", "red", 0.5, 1001)
    data = file_of(store).read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("shotdex.indexer.run.write_index", lambda *_: None)
        index(store, tmp_path / "new", FakeEncoder())
    (store.index_folder / "encoder-1-0123456789ab.7.part").write_bytes(b"being written")
    with store.indexing():
        assert problems(store) == {}
        assert check(store).text.endswith("; 1 more follow when indexing ends")
        file_of(store).write_bytes(data[:-8])
        assert list(problems(store)) == [NAME]
        file_of(store).unlink()
        assert check(store).text == "not written yet; somebody is indexing"
    assert list(problems(store)) == [NAME, "index folder"]
    repair_store(store)
    assert problems(store) == {}
    assert len(answers(store)[0]) == len(whole[0]) + 1


def test_before_anything_is_indexed(tmp_path: Path) -> None:
    from shotdex.store.encoders import add_encoder

    store = Store.create(tmp_path)
    with store.writing() as con:
        add_encoder(con, fake_id())
    assert problems(store) == {}
    assert check(store).text == "not written yet; there are no vectors"


def test_several_encoders(store: Store) -> None:
    other = fake_id("other", "2" * 64)
    index(store, template() / "extra", FakeEncoder(other), "{category}/*")
    assert problems(store) == {}
    shutil.copy(file_of(store), file_of(store, 2))
    found = problems(store)
    assert list(found) == ["index of encoder 2"]
    assert found["index of encoder 2"].text == "vectors that the catalog does not have: 76"
    assert repair_store(store) == [f"wrote {file_of(store, 2).name} again from the catalog: 3 vectors"]
    assert problems(store) == {}
