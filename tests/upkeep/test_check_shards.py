"""What a killed writer of shards leaves: named, deleted where it is of no use, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shotdex.indexer.place import ASIDE
from shotdex.store.store import Store
from shotdex.upkeep.verify import Verified, VerifyOptions, verify
from tests.indexer.shards import encode, index_shards, make_folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with its shards in its own folder, as Ray's workers put them there."""
    store = tmp_path / "store"
    Store.create(store)
    encode(make_folder(tmp_path / "images", 8), "0/1", store / "shards")
    index_shards(store, store / "shards")
    return store


def said(found: Verified) -> str:
    [check] = [check for check in found.checks if check.name.startswith("shards at")]
    assert check.ok == found.whole
    return check.text


def begun(store: Path, age: float) -> Path:
    path = store / "shards" / ".part-00000-of-00001-0000-abc.parquet.0123.part"
    path.write_bytes(b"PAR1")
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    return path


def test_whole_shards(store: Path) -> None:
    assert said(verify(store, VerifyOptions())) == "1 Parquet files"


def test_a_file_that_is_being_written_is_left_alone(store: Path) -> None:
    path = begun(store, ASIDE / 2)
    assert "1 unfinished, begun in the last hour" in said(verify(store, VerifyOptions(repair=True)))
    assert path.exists()


def test_what_a_killed_writer_left_is_named_and_deleted(store: Path) -> None:
    path, cut = begun(store, ASIDE * 2), store / "shards" / "part-00001-of-00002-0000-abc.parquet"
    cut.write_bytes(b"PAR1 half")
    text = said(verify(store, VerifyOptions()))
    assert path.name in text
    assert f"not whole: 1 ({cut.name})" in text
    repaired = verify(store, VerifyOptions(repair=True))
    assert repaired.whole
    assert sum("deleted" in line for line in repaired.done) == 2
    assert not path.exists()
    assert not cut.exists()


def test_a_shard_that_was_taken_in_is_named_and_never_deleted(store: Path) -> None:
    [path] = (store / "shards").glob("part-*.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    repaired = verify(store, VerifyOptions(repair=True))
    assert f"not whole: 1 ({path.name})" in said(repaired)
    assert path.exists()
