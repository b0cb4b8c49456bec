"""Parts that are encoded anywhere make the store that indexing the source makes, whatever happens on the way."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import shotdex
from shotdex.indexer.encode_parts import bounds
from shotdex.indexer.shard_commit import ShardIndexing
from shotdex.session import Session
from shotdex.store.errors import EncoderMismatch, OptionError, SourceError, StoreError
from shotdex.store.store import Store
from tests.conftest import ROOT
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.images import save_noise

from .shards import as_kind, assert_equal, contents, encode, index_directly, index_shards, make_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("images") / "all")


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    index_directly(store, folder)
    return store


@pytest.fixture(scope="module")
def parts(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three parts, the second in two shards."""
    place = tmp_path_factory.mktemp("parts") / "shards"
    for part in (2, 0):
        encode(folder, f"{part}/3", place)
    assert len(encode(folder, "1/3", place, part_rows=9).shards) == 2
    return place


@pytest.fixture
def place(parts: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(parts, tmp_path / "place"))


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz", "csv"])
def test_parts_make_the_store_of_the_source(folder: Path, tmp_path: Path, kind: str) -> None:
    source = as_kind(folder, kind, tmp_path)
    index_directly(tmp_path / "one", source)
    for part in range(2):
        encode(source, f"{part}/2", tmp_path / "shards", part_rows=12)
    report = index_shards(tmp_path / "other", tmp_path / "shards")
    assert (report.added, report.source) == (42, str(source))
    assert_equal(tmp_path / "one", tmp_path / "other")
    again = index_directly(tmp_path / "other", source)
    assert (again.added, again.unchanged, again.relabelled, again.removed) == (0, 42, 0, 0)


@pytest.mark.parametrize("images", [1, 2, 5, 42, 1000])
@pytest.mark.parametrize("parts", [1, 2, 3, 7, 64])
def test_slices_are_whole_and_the_first_is_never_empty(images: int, parts: int) -> None:
    found = [bounds(images, part, parts) for part in range(parts)]
    assert [number for first, end in found for number in range(first, end)] == list(range(images))
    assert found[0][1] > 0
    assert max(end - first for first, end in found) - min(end - first for first, end in found) <= 1


def test_more_parts_than_images(tmp_path: Path) -> None:
    for seed in range(3):
        save_noise(tmp_path / "few" / f"{seed}.png", seed=seed)
    reports = [encode(tmp_path / "few", f"{part}/7", tmp_path / "shards") for part in range(7)]
    assert sorted(len(report.shards) for report in reports) == [0, 0, 0, 0, 1, 1, 1]
    assert index_shards(tmp_path / "store", tmp_path / "shards").added == 3


def test_the_order_of_files_and_a_shard_that_is_there_twice_do_not_matter(
    place: Path, undisturbed: Path, tmp_path: Path
) -> None:
    files = sorted(place.iterdir())
    random.Random(1).shuffle(files)
    for number, path in enumerate(files):
        path.rename(place / f"{number}.parquet")
    shutil.copy(place / "0.parquet", place / "again.parquet")
    assert index_shards(tmp_path / "store", place).added == 42
    assert_equal(undisturbed, tmp_path / "store")


def test_again_nothing_is_committed(place: Path, tmp_path: Path) -> None:
    index_shards(tmp_path / "store", place)
    before = contents(tmp_path / "store")
    with Store(tmp_path / "store").reading() as con:
        ledger = con.rows("FROM shards ORDER BY shard_id")
    assert [row[4:7] for row in ledger] == [(0, 3, 0), (1, 3, 0), (1, 3, 1), (2, 3, 0)]
    report = index_shards(tmp_path / "store", place)
    assert (report.added, report.unchanged, report.failed) == (0, 42, 2)
    assert contents(tmp_path / "store") == before
    with Store(tmp_path / "store").reading() as con:
        assert con.rows("FROM shards ORDER BY shard_id") == ledger


def test_a_part_that_is_there_is_not_encoded_again(folder: Path, place: Path) -> None:
    encoder = FakeEncoder()
    report = encode(folder, "1/3", place, encoder, part_rows=9)
    assert (encoder.seen, report.reused, len(report.shards)) == (0, 2, 2)
    (place / report.shards[1]).unlink()
    encode(folder, "1/3", place, encoder, part_rows=9)
    assert 0 < encoder.seen < 9


def test_missing_parts_are_named_and_nothing_is_written(place: Path, tmp_path: Path) -> None:
    next(place.glob("part-00001-of-00003-0001-*")).unlink()
    with pytest.raises(SourceError, match="part 1 of 3 is missing") as error:
        index_shards(tmp_path / "store", place)
    assert "--part 1/3" in error.value.hint
    for path in place.glob("part-00002-*"):
        path.unlink()
    with pytest.raises(SourceError, match="parts 1, 2 of 3 are missing"):
        index_shards(tmp_path / "store", place)
    assert not (tmp_path / "store").exists()


def test_a_shard_that_is_cut_is_named(place: Path, tmp_path: Path) -> None:
    first = min(place.iterdir())
    first.write_bytes(first.read_bytes()[:-100])
    with pytest.raises(SourceError, match=rf"{first.name} is damaged"):
        index_shards(tmp_path / "store", place)


def test_a_shard_with_a_bit_changed_is_named(place: Path, tmp_path: Path) -> None:
    first = min(place.iterdir())
    data = bytearray(first.read_bytes())
    data[len(data) // 3] ^= 4
    first.write_bytes(data)
    with pytest.raises(SourceError, match=rf"{first.name} is not a usable shard"):
        index_shards(tmp_path / "store", place)


def test_parts_of_several_encoders_are_refused(folder: Path, place: Path, tmp_path: Path) -> None:
    next(place.glob("part-00002-*")).unlink()
    encode(folder, "2/3", place, FakeEncoder(fake_id(weights="f" * 64)))
    with pytest.raises(SourceError, match="not of one encoder"):
        index_shards(tmp_path / "store", place)


def test_parts_of_several_states_are_refused_until_all_are_encoded_again(folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(folder, tmp_path / "images"))
    encode(source, "0/2", tmp_path / "shards")
    encode(source, "1/2", tmp_path / "shards")
    index_shards(tmp_path / "store", tmp_path / "shards")
    save_noise(source / "cat1" / "000new.png", seed=100)
    (source / "cat2" / "005.png").rename(source / "cat0" / "moved.png")
    (source / "cat0" / "006.png").unlink()
    save_noise(source / "cat1" / "010.png", seed=101)
    report = encode(source, "1/2", tmp_path / "shards")
    assert len(report.replaced) == 1
    with pytest.raises(SourceError, match="not of one state of the source"):
        index_shards(tmp_path / "store", tmp_path / "shards")
    encode(source, "0/2", tmp_path / "shards")
    report = index_shards(tmp_path / "store", tmp_path / "shards")
    assert (report.added, report.moved, report.changed, report.removed) == (1, 1, 1, 1)
    index_directly(tmp_path / "one", folder)
    with Store(tmp_path / "store").reading() as con:
        assert con.value("SELECT count(*) FROM images") == 42


def test_changes_of_a_source_mean_what_they_mean_without_shards(folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(folder, tmp_path / "images"))
    for step in range(2):
        for part in range(2):
            encode(source, f"{part}/2", tmp_path / f"shards{step}")
        index_shards(tmp_path / "other", tmp_path / f"shards{step}")
        index_directly(tmp_path / "one", source)
        assert_equal(tmp_path / "one", tmp_path / "other")
        files = sorted(source.rglob("*.png"))
        files[2 * step].rename(files[2 * step].with_name(f"moved{step}.png"))
        files[9 + step].write_bytes(files[20 + step].read_bytes())
        files[30 + step].write_bytes(b"broken")
        save_noise(source / "cat0" / f"new{step}.png", seed=200 + step)


def test_a_store_of_another_encoder_takes_shards_only_when_told(place: Path, folder: Path, tmp_path: Path) -> None:
    session = Session(Store(tmp_path / "store"))
    session.index(folder, model=FakeEncoder(fake_id(name="other", weights="e" * 64)))
    with pytest.raises(EncoderMismatch, match="the store has"):
        session.index(place)
    report = session.index(place, model="fake")
    assert (report.encoded, report.added) == (42, 0)


def test_options_that_shards_have_decided_are_refused(place: Path, tmp_path: Path) -> None:
    for options in ({"layout": "{category}/*"}, {"split": "test"}, {"precision": "fp16"}, {"all_folders": True}):
        with pytest.raises(OptionError, match="labels and vectors already"):
            index_shards(tmp_path / "store", place, **options)


def test_shards_and_other_parquet_files_are_refused(place: Path, tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"path": ["a.png"]}), place / "manifest.parquet")
    with pytest.raises(SourceError, match=r"part-00000.* is a shard, manifest\.parquet is not"):
        index_shards(tmp_path / "store", place)
    for path in place.glob("part-*"):
        path.unlink()
    with pytest.raises(SourceError, match="no image in"):  # a manifest, whose image is not there
        index_shards(tmp_path / "store", place)


def test_a_preview_of_shards(place: Path, tmp_path: Path) -> None:
    found = Session(Store(tmp_path / "store")).preview(place)
    assert (found.new, found.plan.kind) == (44, "folder")
    assert not (tmp_path / "store").exists()


def test_interrupted_between_two_commits(
    place: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = ShardIndexing._record, []

    def interrupt(self: ShardIndexing, *arguments: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ShardIndexing, "_record", interrupt)
    assert index_shards(tmp_path / "store", place).interrupted
    with Store(tmp_path / "store").reading() as con:
        assert con.value("SELECT count(*) FROM shards") == 2
    monkeypatch.setattr(ShardIndexing, "_record", real)
    report = index_shards(tmp_path / "store", place)
    assert report.added + report.unchanged == 42
    assert_equal(undisturbed, tmp_path / "store")


KILLED = """
import os, signal, sys
from pathlib import Path
from shotdex.session import Session
from shotdex.store.store import Store
from shotdex.indexer import shard_commit
real, calls = shard_commit.ShardIndexing._record, []
def record(self, *arguments):
    real(self, *arguments)
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
shard_commit.ShardIndexing._record = record
Session(Store(Path(sys.argv[1]))).index(sys.argv[2])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_in_a_commit(place: Path, undisturbed: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "store", place], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    with Store(tmp_path / "store").reading() as con:
        assert con.value("SELECT count(*) FROM shards") == 1
    index_shards(tmp_path / "store", place)
    assert_equal(undisturbed, tmp_path / "store")


def test_a_writer_that_is_killed_leaves_no_half_shard(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"

    def cut(batch: int) -> None:
        if batch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(folder, "0/2", out, FakeEncoder(before=cut), part_rows=10)
    assert len(list(out.iterdir())) == 1
    again = FakeEncoder()
    assert encode(folder, "0/2", out, again, part_rows=10).reused == 1
    assert again.seen < 13


def test_what_is_left_aside_by_a_killed_writer_is_no_shard_and_goes(folder: Path, tmp_path: Path) -> None:
    name = encode(folder, "0/1", tmp_path / "shards").shards[0]
    left = tmp_path / "shards" / f".{name}.0123.part"
    shutil.copy(tmp_path / "shards" / name, left)
    os.utime(left, (1, 1))
    assert index_shards(tmp_path / "store", tmp_path / "shards").added == 42
    (tmp_path / "shards" / name).unlink()
    encode(folder, "0/1", tmp_path / "shards")
    assert [path.name for path in (tmp_path / "shards").iterdir()] == [name]


@pytest.mark.parametrize("part", ["3/3", "-1/3", "1", "a/b", "1/0", "0/0", "1/3/2", ""])
def test_parts_that_are_none(folder: Path, tmp_path: Path, part: str) -> None:
    with pytest.raises(OptionError, match="part"):
        encode(folder, part, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


def test_places_that_cannot_be(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be written to"):
        encode(folder, "0/1", tmp_path / "file")
    with pytest.raises(OptionError, match="is empty"):
        shotdex.encode(folder, part="0/1", out="", model=FakeEncoder())
    with pytest.raises(OptionError, match="cannot be kept"):
        shotdex.encode(folder, part="0/1", out="https://example.org/x", model=FakeEncoder())


def test_images_that_the_model_does_not_answer(folder: Path, tmp_path: Path) -> None:
    def spoiled(pixels: object) -> bool:
        return bool(pixels[0, 0, 0] % 5 == 0)  # type: ignore[index]

    for part in range(2):
        encode(folder, f"{part}/2", tmp_path / "shards", FakeEncoder(spoil=spoiled))
    report = index_shards(tmp_path / "store", tmp_path / "shards")
    assert report.failed > 2
    assert report.added + report.failed == 44


def test_removed_from_the_store_shards_bring_them_back(place: Path, folder: Path, tmp_path: Path) -> None:
    session = Session(Store(tmp_path / "store"))
    session.index(place)
    session.remove(source=str(folder))
    assert session.sql("SELECT count(*) AS n FROM shards").to_dicts() == [{"n": 0}]
    assert session.index(place).added == 42
