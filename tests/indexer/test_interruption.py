"""Cut short at any moment and started again, an indexing ends with the store of an undisturbed one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import shotdex.indexer.run as run_module
from shotdex.query.search import search
from shotdex.store.connection import Connection
from shotdex.store.encoded_batch import commit
from shotdex.store.errors import ShotdexError, StoreError
from shotdex.store.queries import Query
from shotdex.store.store import Store
from shotdex.store.types import Space
from shotdex.store.vectors import load_vectors
from tests.conftest import ROOT, index
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.images import save_noise
from tests.support.orders import image_part

HOW = {"batch_size": 4, "commit_rows": 8, "commit_seconds": 1e9}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """42 images, among them copies of others, two broken ones and a text file."""
    folder = tmp_path_factory.mktemp("many")
    for i in range(40):
        save_noise(folder / f"cat{i % 3}" / f"{i:03}.png", seed=i)
    (folder / "cat0" / "003copy.png").write_bytes((folder / "cat0" / "003.png").read_bytes())
    (folder / "cat2" / "038copy.png").write_bytes((folder / "cat0" / "003.png").read_bytes())
    (folder / "cat1" / "010broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "cat2" / "023empty.jpg").write_bytes(b"")
    (folder / "cat1" / "notes.txt").write_text("x")
    return folder


def contents(store: Store) -> dict[str, Any]:
    """Everything in a store but the times at which it was written."""
    with store.reading() as con:
        return {
            "images": con.rows("SELECT * EXCLUDE (added_at) FROM stored_images ORDER BY image_id"),
            "failures": con.rows("SELECT * EXCLUDE (failed_at) FROM failures ORDER BY path"),
            "encoders": con.rows("SELECT * EXCLUDE (added_at) FROM encoders"),
            "joint": [part.tobytes() for part in load_vectors(con, 1, fake_id(), Space.JOINT)],
            "vision": [part.tobytes() for part in load_vectors(con, 1, fake_id(), Space.VISION)],
        }


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    store = Store.create(tmp_path_factory.mktemp("undisturbed"))
    report = index(store, folder, FakeEncoder(), **HOW)
    assert (report.added, report.failed, report.ignored) == (42, 2, 1)
    return contents(store)


@pytest.mark.parametrize("batch", [1, 2, 3, 6, 10])
def test_ctrl_c_then_again(folder: Path, undisturbed: dict[str, Any], store: Store, batch: int) -> None:
    def interrupt(number: int) -> None:
        if number == batch:
            raise KeyboardInterrupt

    report = index(store, folder, FakeEncoder(before=interrupt), **HOW)
    assert report.interrupted
    with store.reading() as con:
        kept = con.value("SELECT count(*) FROM images")
        assert con.value("SELECT count(*) FROM vectors_1") == kept, "no image without its vectors"
    again = FakeEncoder()
    second = index(store, folder, again, **HOW)
    assert (second.added, second.unchanged) == (42 - kept, kept)
    assert contents(store) == undisturbed
    assert again.seen == 40 - (batch - 1) * 4, "what was encoded before the interruption is not encoded again"


def test_the_report_of_an_interrupted_run_counts_only_what_was_kept(folder: Path, store: Store) -> None:
    def interrupt(number: int) -> None:
        if number == 3:
            raise KeyboardInterrupt

    report = index(store, folder, FakeEncoder(before=interrupt), **HOW)
    with store.reading() as con:
        assert report.added == con.value("SELECT count(*) FROM images") == 9


@pytest.mark.parametrize("batch", ["2", "9"])
def test_kill_then_again(folder: Path, undisturbed: dict[str, Any], tmp_path: Path, batch: str) -> None:
    command = [sys.executable, "-m", "tests.indexer.killed", str(tmp_path / "s"), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as victim:
        assert victim.stdout is not None
        for line in victim.stdout:
            if line.strip() == batch:
                victim.kill()
                break
    assert victim.returncode == -9
    store = Store.create(tmp_path / "s")
    with store.reading() as con:
        kept = con.value("SELECT count(*) FROM images")
        assert kept < 42
        assert con.value("SELECT count(*) FROM vectors_1") == kept
    report = index(store, folder, FakeEncoder(), **HOW)
    assert (report.added, report.unchanged) == (42 - kept, kept)
    assert contents(store) == undisturbed
    hits = search(
        store, Query((image_part(folder / "cat1" / "001.png"),), k=3, with_itself=True), lambda _: FakeEncoder()
    ).hits
    assert Path(hits[0].path).name == "001.png"


def test_an_error_of_the_model_loses_only_what_was_not_committed(folder: Path, store: Store) -> None:
    def fail(number: int) -> None:
        if number == 6:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        index(store, folder, FakeEncoder(before=fail), **HOW)
    with store.reading() as con:
        kept = con.value("SELECT count(*) FROM images")
        assert kept >= 8
        assert con.value("SELECT count(*) FROM vectors_1") == kept


def commits(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Watch how many images each commit adds."""
    counted: list[int] = []

    def counting(con: Connection, batch: pa.Table, placement: pa.Table) -> None:
        counted.append(sum(placement.column("is_new").to_pylist()))
        commit(con, batch, placement)

    monkeypatch.setattr(run_module, "commit", counting)
    return counted


def test_commits_by_rows(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = commits(store, monkeypatch)
    index(store, folder, FakeEncoder(), batch_size=4, commit_rows=12, commit_seconds=1e9)
    assert sum(counted) == 42
    assert 3 <= len(counted) <= 7


def test_commits_by_time(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = commits(store, monkeypatch)
    index(store, folder, FakeEncoder(), batch_size=4, commit_rows=10**6, commit_seconds=0.0)
    assert sum(counted) == 42
    assert len(counted) >= 10


def test_one_commit_where_neither_is_reached(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = commits(store, monkeypatch)
    index(store, folder, FakeEncoder(), batch_size=4, commit_rows=10**6, commit_seconds=1e9)
    assert counted == [42]


def test_ctrl_c_during_a_commit_waits_for_it(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        commit(*arguments)

    monkeypatch.setattr(run_module, "commit", interrupted)
    try:
        report = index(store, folder, FakeEncoder(), **HOW)
    except KeyboardInterrupt:
        report = None
    except ShotdexError as error:
        pytest.fail(str(error))
    monkeypatch.setattr(run_module, "commit", commit)
    with store.reading() as con:
        kept = con.value("SELECT count(*) FROM images")
        assert (
            kept == con.value("SELECT count(DISTINCT path) FROM images") == con.value("SELECT count(*) FROM vectors_1")
        )
    assert kept >= 4
    assert report is None or report.interrupted


@pytest.mark.parametrize("older", [False, True])
def test_another_catalog_put_in_its_place_ends_the_indexing(
    folder: Path, store: Store, tmp_path: Path, older: bool
) -> None:
    """Another store's catalog, or an older backup of the same one: its ids mean something else, or are free there."""
    other = Store.create(tmp_path / "other")
    index(other, folder, FakeEncoder(), **HOW)
    backup = shutil.copy(store.catalog, tmp_path / "backup.duckdb")

    def replace(number: int) -> None:
        if number == 6:  # after a commit
            with store.reading() as con:
                assert con.value("SELECT count(*) FROM images") > 0
            store.catalog.rename(tmp_path / "first.duckdb")
            shutil.copy(backup if older else other.catalog, store.catalog)

    before = contents(other)
    with pytest.raises(StoreError, match="replaced while shotdex was indexing") as caught:
        index(store, folder, FakeEncoder(before=replace), **HOW)
    assert "Index again" in caught.value.hint
    if older:
        with store.reading() as con:
            assert con.value("SELECT count(*) FROM stored_images") == 0
    else:
        assert contents(store) == before
