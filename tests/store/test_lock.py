"""One indexing at a time, with a real second process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shotdex.store import store as store_module
from shotdex.store.errors import StoreError, StoreLocked
from shotdex.store.store import Store

HOLDER = """
import sys
from pathlib import Path
from shotdex.store.store import Store
with Store.open(Path(sys.argv[1])).indexing():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Start a process that holds the indexing lock of the store at tmp_path until its standard input closes."""
    Store.create(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_indexer_is_told_who_is_at_work(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "INDEXING_WAIT_SECONDS", 0.2)
    store = Store.open(tmp_path)
    with pytest.raises(StoreLocked, match=f"process {holder.pid} is indexing"), store.indexing():
        pass
    with store.reading() as con:  # readers are not kept out
        assert con.value("SELECT count(*) FROM images") == 0
    holder.communicate()
    with store.indexing():
        pass


def test_a_killed_indexer_leaves_no_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate()
    with Store.open(tmp_path).indexing():
        pass


TEXT = "a thesis, and the only copy of it"


def link(target: Path, lock: Path) -> None:
    lock.symlink_to(target)


def link_to_nothing(target: Path, lock: Path) -> None:
    lock.symlink_to(target.with_name("gone.txt"))


def hard_link(target: Path, lock: Path) -> None:
    os.link(target, lock)


def folder(target: Path, lock: Path) -> None:
    lock.mkdir()


def pipe(target: Path, lock: Path) -> None:
    os.mkfifo(lock)


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
@pytest.mark.parametrize("put", [link, link_to_nothing, hard_link, folder, pipe])
def test_a_lock_that_is_no_file_of_the_store_is_refused_and_left_alone(
    tmp_path: Path, put: Callable[[Path, Path], None]
) -> None:
    store, thesis = Store.create(tmp_path / "store"), tmp_path / "thesis.txt"
    thesis.write_text(TEXT)
    lock = store.root / "indexing.lock"
    lock.unlink()
    put(thesis, lock)
    before = lock.lstat()
    with pytest.raises(StoreError, match=r"indexing\.lock is a link, or not a regular") as caught, store.indexing():
        pass
    assert str(lock) in caught.value.hint
    assert (thesis.read_text(), lock.lstat()) == (TEXT, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store", "thesis.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_who_may_write_the_lock_follows_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        store = Store.create(tmp_path / "store")
    finally:
        os.umask(before)
    assert (store.root / "indexing.lock").stat().st_mode & 0o777 == mode


def test_what_may_not_be_written_is_said_with_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.create(tmp_path / "store")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("shotdex.store.lock.os.open", refuse)
    monkeypatch.setattr(Path, "owner", lambda _: "ann")
    for held in ("indexing.lock", "store"):  # without a lock it is the folder that may not be written
        with pytest.raises(StoreError) as caught, store.indexing():
            pass
        path = store.root if held == "store" else store.root / held
        mode = f"{path.stat().st_mode & 0o7777:04o}"
        said = f"cannot write to {store.root}: Permission denied ({held} belongs to ann, mode {mode})"
        assert str(caught.value) == said
        (store.root / "indexing.lock").unlink(missing_ok=True)
