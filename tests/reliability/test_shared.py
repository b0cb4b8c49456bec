"""A store that a group shares: modes follow the umask and the folder's set-gid bit, and any member can write to it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shotdex.store.errors import StoreError
from shotdex.store.store import Store
from tests.conftest import ROOT, index
from tests.support.evaluated import save_noisy_colour
from tests.support.fakes import FakeEncoder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes and groups of POSIX")

GROUP, MEMBER, STRANGER = 54_321, 54_322, 54_323

AS_MEMBER = """
import os, sys
from pathlib import Path
from shotdex.query.search import Query, search
from shotdex.store.encoders import list_encoders
from shotdex.store.engines.writing import drop_index, write_index
from shotdex.store.store import Store
from tests.support.fakes import FakeEncoder, fake_id

def work(store, text):
    with store.indexing():
        with store.writing() as con:
            con.run("UPDATE stored_images SET category = 'seen'")
        drop_index(store, 1)
        write_index(store, 1, fake_id())
        store.compact()
    search(store, Query((text,)), lambda _: FakeEncoder())
    with store.reading() as con:
        return con.value("SELECT count(*) FROM text_vectors_1")

work(Store(Path(sys.argv[1])), "warm")  # what is imported late is read before the user changes
os.umask(0o002)
os.setgroups([int(sys.argv[3])])
os.setgid(int(sys.argv[4]))
os.setuid(int(sys.argv[4]))
try:
    print(work(Store(Path(sys.argv[2])), "red"))
except Exception as error:
    print(type(error).__name__, error, getattr(error, "hint", ""))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A set-gid folder that everybody may look into, of a group that this process can use."""
    with tempfile.TemporaryDirectory(prefix="shotdex-group-") as made:
        if os.geteuid() == 0:
            os.chown(made, -1, GROUP)
        Path(made).chmod(0o2775)
        Path(made).parent.chmod(0o711)  # of the tests of this process; another user comes through it
        for number in range(2):
            save_noisy_colour(Path(made) / "p" / f"{number}.png", "red", 0.5, number)
        yield Path(made)


def make(root: Path, photos: Path, umask: int) -> Store:
    before = os.umask(umask)
    try:
        store = Store.create(root)
        index(store, photos, FakeEncoder(), None)
        return store
    finally:
        os.umask(before)


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_modes_follow_the_umask_and_the_group_that_of_the_folder(folder: Path, umask: int) -> None:
    store = make(folder / "store", folder / "p", umask)
    group = folder.stat().st_gid
    for path in (store.root, *store.root.rglob("*")):
        found = path.stat()
        expected = (stat.S_ISGID | 0o777 if path.is_dir() else 0o666) & ~umask
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (expected, group), path


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
class TestAnotherUser:
    """Another process, which is another user's."""

    def answer(self, folder: Path, group: int, user: int) -> str:
        make(folder / "warm", folder / "p", 0o022)
        command = [sys.executable, "-c", AS_MEMBER, str(folder / "warm"), str(folder / "store"), str(group), str(user)]
        surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def test_a_member_of_the_group(self, folder: Path) -> None:
        store = make(folder / "store", folder / "p", 0o002)
        assert self.answer(folder, GROUP, MEMBER) == "1"
        (faiss,) = store.index_folder.glob("*.faiss")
        assert (faiss.stat().st_uid, faiss.stat().st_gid) == (MEMBER, GROUP)
        assert store.catalog.stat().st_gid == GROUP
        with store.indexing(), store.writing() as con:  # and the first one can still write
            con.run("UPDATE stored_images SET category = NULL")

    @pytest.mark.parametrize("file", ["indexing.lock", "catalog.duckdb"])
    def test_what_may_not_be_written_is_named_with_its_owner_and_mode(self, folder: Path, file: str) -> None:
        store = make(folder / "store", folder / "p", 0o002)
        (store.root / file).chmod(0o644)
        said = self.answer(folder, GROUP, MEMBER)
        assert said.startswith("StoreError") and f"({file} belongs to root, mode 0644)" in said
        assert f"chmod -R g+rwX {store.root}" in said

    def test_a_stranger(self, folder: Path) -> None:
        store = make(folder / "store", folder / "p", 0o007)
        said = self.answer(folder, STRANGER, STRANGER)
        assert said.startswith(StoreError.__name__) and "belongs to root, mode 2770)" in said
        assert f"chmod -R g+rwX {store.root}" in said
