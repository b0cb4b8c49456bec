"""Errors from below: disks and servers that fail, folders that may not be written, files that vanish or are cut."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shotdex.indexer.run import IndexOptions, index_source
from shotdex.media.sources import read_bytes
from shotdex.media.sources.folder import FolderSource
from shotdex.store.errors import ShotdexError
from shotdex.store.store import Store
from tests.conftest import ROOT, index
from tests.support.engines import file_of
from tests.support.fakes import FakeEncoder

from .states import answers, as_seen, difference, everything, problems

HOW: dict[str, Any] = {"layout": "{condition}/{category}*", "batch_size": 4, "commit_rows": 4, "commit_seconds": 1e9}
NOBODY = 65_534


@pytest.fixture
def own(photos: Path, tmp_path: Path) -> Path:
    """A copy of the images, to be damaged."""
    return Path(shutil.copytree(photos, tmp_path / "own"))


def paths(store: Store, table: str = "images") -> set[str]:
    with store.reading() as con:
        return {Path(row[0]).name for row in con.rows(f"SELECT path FROM {table}")}


ERRORS = (
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.ESTALE, "Stale file handle"),
    PermissionError(errno.EACCES, "Permission denied"),
    TimeoutError("the server does not answer"),
    EOFError("a stream ended"),
    zlib.error("invalid block type"),
    RuntimeError("password required"),
    MemoryError(),
)


class Failing(FolderSource):
    """Images whose names have a 1 in them cannot be read, each for another reason."""

    def read(self, address: str, limit: int) -> bytes:
        name = Path(address).name
        if "1" in name:
            raise ERRORS[int(name[3:5]) % len(ERRORS)]
        return read_bytes(address, limit)


def test_what_cannot_be_read_is_a_row_and_what_it_was_stays(store: Store, own: Path, fake: FakeEncoder) -> None:
    index(store, own, fake, **HOW)
    for path in own.rglob("*1*.png"):
        os.utime(path, ns=(1, 1))
    before, settings = paths(store), IndexOptions(batch_size=4, commit_rows=4)
    report = index_source(store, Failing(str(own)), fake, settings)
    unread = {path.name for path in own.rglob("*1*.png")}
    assert report.reasons["unreadable"] == len(unread) == 12
    assert paths(store) == before
    assert paths(store, "(FROM failures WHERE stage = 'read')") == unread
    with store.reading() as con:
        details = {row[0].partition(":")[0] for row in con.rows("SELECT detail FROM failures WHERE stage = 'read'")}
    assert details == {type(error).__name__ for error in ERRORS}
    assert problems(store) == []
    index_source(store, FolderSource(str(own)), fake, settings)
    assert paths(store, "(FROM failures WHERE stage = 'read')") == set()
    fresh = Store.create(store.root / "fresh")
    index(fresh, own, FakeEncoder(), **HOW)
    assert difference(as_seen(store), as_seen(fresh)) is None


def as_nobody(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a user who may not write everywhere."""
    command = [sys.executable, "-m", "tests.reliability.command", *map(str, arguments)]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(cwd)}
    try:
        return subprocess.run(
            command, capture_output=True, text=True, cwd=cwd, env=surroundings, user=NOBODY, check=False, timeout=120
        )
    except PermissionError:
        pytest.skip("this user cannot become another")


@pytest.fixture
def shared(photos: Path) -> Iterator[Path]:
    """A folder that everybody may look into, with the images and a store of them."""
    folder = Path(tempfile.mkdtemp(prefix="shotdex-shared-"))
    folder.chmod(0o755)
    shutil.copytree(photos, folder / "photos")
    (folder / "photos").chmod(0o755)
    index(Store.create(folder / "store"), folder / "photos", FakeEncoder(), **HOW)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_a_store_that_may_not_be_written_is_said_and_can_be_searched(shared: Path) -> None:
    done = as_nobody("index", shared / "photos", "--store", shared / "store", cwd=shared)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert f"cannot write to {shared}/store: Permission denied" in done.stderr
    assert "(indexing.lock belongs to root, mode 0644)" in done.stderr
    assert "permissions" in done.stderr
    done = as_nobody("search", "red", "-k", "2", "--format", "paths", "--store", shared / "store", cwd=shared)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    done = as_nobody("index", shared / "photos", "--store", shared / "store" / "other", cwd=shared)
    assert (done.returncode, "cannot make a store" in done.stderr) == (1, True), done.stderr
    (shared / "store").chmod(0o777)
    (shared / "store" / "indexing.lock").chmod(0o666)
    done = as_nobody("index", shared / "photos", "--store", shared / "store", cwd=shared)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "catalog.duckdb cannot be written to (catalog.duckdb belongs to root, mode 0644)" in done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_folder_that_may_not_be_entered_hides_its_images_and_loses_none(shared: Path, mode: int) -> None:
    """Of 0o444 the names can be listed, but nothing else is told."""
    for path in (shared / "store", *(shared / "store").rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    (shared / "photos" / "cond0").chmod(mode)
    done = as_nobody("index", shared / "photos", "--store", shared / "store", cwd=shared)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    store = Store.open(shared / "store")
    assert len(paths(store)) == 25
    with store.reading() as con:
        assert con.rows("SELECT path, reason, detail FROM failures WHERE stage = 'scan'") == [
            (f"{shared}/photos/cond0", "unreadable", "Permission denied")
        ]
    (shared / "photos" / "cond0").chmod(0o755)
    index(store, shared / "photos", FakeEncoder(), **HOW)
    assert len(paths(store)) == 25
    assert paths(store, "failures") == {"Bad05.png", "Bad17.jpg"}


def other_store(file: Path, photos: Path) -> None:
    other = Store.create(file.parents[1] / "other")
    index(other, photos / "cond1", FakeEncoder())
    shutil.copy(file_of(other), file)


DAMAGES: dict[str, Callable[[Path, Path], Any]] = {
    "missing": lambda file, _: file.unlink(),
    "empty": lambda file, _: file.write_bytes(b""),
    "cut": lambda file, _: os.truncate(file, file.stat().st_size // 2),
    "cut by a byte": lambda file, _: os.truncate(file, file.stat().st_size - 1),
    "garbage": lambda file, _: file.write_bytes(os.urandom(file.stat().st_size)),
    "another store's": other_store,
    "no folder for it": lambda file, _: shutil.rmtree(file.parent),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_faiss_file_costs_time_and_no_answer(store: Store, photos: Path, damage: str) -> None:
    index(store, photos, FakeEncoder(), **HOW)
    want, file = everything(store), file_of(store)
    whole = file.read_bytes()
    DAMAGES[damage](file, photos)
    assert answers(store) == want["answers"]
    again = FakeEncoder()
    assert index(store, photos, again, **HOW).unchanged == 25
    assert file_of(store).read_bytes() == whole
    assert again.seen == 0
    assert difference(everything(store), want) is None


def test_a_stale_faiss_file_is_made_up_for(store: Store, own: Path) -> None:
    index(store, own / "cond0", FakeEncoder())
    file = file_of(store)
    stale = file.read_bytes()
    index(store, own / "cond1", FakeEncoder())
    want = everything(store)
    file_of(store).write_bytes(stale)
    assert answers(store) == want["answers"]
    index(store, own / "cond1", FakeEncoder())
    assert len(file_of(store).read_bytes()) > len(stale)
    assert difference(everything(store), want) is None


def at_batch(number: int, act: Callable[[], Any]) -> FakeEncoder:
    """Return an encoder that does something before one batch."""
    return FakeEncoder(before=lambda batch: act() if batch == number else None)


def test_the_index_folder_is_deleted_during_a_run(store: Store, photos: Path) -> None:
    encoder = at_batch(3, lambda: shutil.rmtree(store.index_folder))
    assert index(store, photos, encoder, **HOW).added == 25
    assert file_of(store).is_file()
    assert problems(store) == []


@pytest.mark.parametrize("what", ["folder", "catalog"])
def test_the_store_is_deleted_during_a_run(store: Store, photos: Path, what: str) -> None:
    def delete() -> None:
        shutil.rmtree(store.root) if what == "folder" else store.catalog.unlink()

    with pytest.raises(ShotdexError) as caught:
        index(store, photos, at_batch(3, delete), **HOW)
    assert str(store.catalog) in str(caught.value)
    assert caught.value.hint
    assert index(Store.create(store.root), photos, FakeEncoder(), **HOW).added == 25


def test_a_folder_is_deleted_during_a_run(store: Store, own: Path) -> None:
    index(store, own / "cond1", FakeEncoder())
    report = index(store, own, at_batch(2, lambda: shutil.rmtree(own / "cond0")), **HOW)
    assert report.failed >= 1
    assert report.removed == 0
    assert {f"Cat{i:02}.png" for i in range(1, 24, 2)} <= paths(store)
    assert problems(store) == []
    assert index(store, own, FakeEncoder(), **HOW).unchanged == 13
    assert paths(store, "failures") == {"Bad17.jpg"}


def test_the_whole_source_is_deleted_and_nothing_is_taken_for_gone(store: Store, own: Path) -> None:
    index(store, own, FakeEncoder(), **HOW)
    aside = own.rename(own.with_name("aside"))
    for emptied in (False, True):
        if emptied:
            own.mkdir()
        with pytest.raises(ShotdexError):
            index(store, own, FakeEncoder(), **HOW)
        assert len(paths(store)) == 25
    own.rmdir()
    aside.rename(own)
    again = FakeEncoder()
    assert index(store, own, again, **HOW).unchanged == 25
    assert again.seen == 0


def test_a_zip_is_cut_during_a_run(store: Store, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "set.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(photos.rglob("*.png")):
            archive.write(path, path.relative_to(photos).as_posix())
    whole = file.read_bytes()
    report = index(store, file, at_batch(2, lambda: os.truncate(file, 700)), **HOW)
    assert report.added + report.failed == 26
    assert report.failed >= 1
    assert problems(store) == []
    kept = len(paths(store))
    with pytest.raises(ShotdexError):
        index(store, file, FakeEncoder(), **HOW)
    assert len(paths(store)) == kept, "a zip that cannot be read takes no image away"
    file.write_bytes(whole)
    index(store, file, FakeEncoder(), **HOW)
    assert len(paths(store)) == 25
    assert paths(store, "failures") == {"Bad05.png"}
    assert problems(store) == []
