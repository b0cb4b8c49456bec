"""Taking things out: what goes, that nothing refers to it any more, that its bytes are gone, and being killed at it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from shotdex.store.engines.faiss_file import read_file
from shotdex.store.errors import EncoderMismatch, OptionError
from shotdex.store.store import Store
from shotdex.upkeep.remove import Removed, RemoveOptions, count_removal, remove
from shotdex.upkeep.verify import VerifyOptions, verify
from tests.conftest import ROOT, index
from tests.support.engines import file_of
from tests.support.evaluated import NAMES, change, rows, run
from tests.support.fakes import FakeEncoder, fake_id

from .stores import problems, template, whole_store

OTHER = fake_id("other", "2" * 64)
RED = "category = 'red'"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """79 images, 75 of them in runs; 78 are present, and all but the removed one are on a map."""
    return whole_store(tmp_path / "store")


def source_of(store: Store, like: str) -> str:
    return str(rows(store, f"SELECT any_value(source) FROM stored_images WHERE source LIKE '{like}'")[0][0])


def every_byte(store: Store) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(store.root.rglob("*")) if path.is_file())


def accuracy(store: Store) -> list[tuple[object, ...]]:
    return rows(store, "SELECT run, condition, n, correct FROM accuracy_by_condition ORDER BY ALL")


class TestWhere:
    def test_images_and_what_was_made_of_them(self, store: Store) -> None:
        red = rows(store, f"SELECT count(*) FROM images WHERE {RED}")[0][0]
        expected = rows(
            store,
            "SELECT run, condition, count(*), count(*) FILTER (correct) FROM outcomes WHERE NOT (category = 'red') "
            "GROUP BY ALL ORDER BY ALL",
        )
        before = count_removal(store, RemoveOptions(where=RED))
        found = remove(store, RemoveOptions(where=RED))
        assert found == replace(before, freed_bytes=found.freed_bytes, compacted=True)
        assert (found.images, found.vectors, found.maps) == (red, red, 1)
        assert found.runs == ()
        assert found.shortened == ("names", "words")
        assert len(found.returning) == 3
        assert problems(store) == {}
        assert accuracy(store) == expected
        assert rows(store, f"SELECT count(*) FROM stored_images WHERE {RED}") == [(0,)]
        assert len(read_file(file_of(store)).ids) == rows(store, "SELECT count(*) FROM vectors_1")[0][0]
        assert rows(store, "SELECT count(*) FROM meta WHERE key = 'removal_unfinished'") == [(0,)]

    def test_counting_changes_nothing(self, store: Store) -> None:
        before = every_byte(store)
        assert count_removal(store, RemoveOptions(where=RED)).images > 0
        assert every_byte(store) == before

    def test_the_bytes_are_gone(self, store: Store) -> None:
        secret = "/home/somebody/private-7f3a.png"
        told = '{"note": "whisper-19c2"}'
        update = f"UPDATE stored_images SET path = '{secret}', metadata = '{told}' WHERE image_id = 3"
        change(store, f"PRAGMA force_compression = 'uncompressed'; {update}")  # DuckDB draws a sample to choose by
        assert secret.encode() in every_byte(store)
        remove(store, RemoveOptions(where=f"path = '{secret}'"))
        left = every_byte(store)
        assert secret.encode() not in left
        assert b"private-7f3a" not in left
        assert b"whisper-19c2" not in left
        assert problems(store) == {}

    def test_a_run_without_images_goes(self, store: Store) -> None:
        found = remove(store, RemoveOptions(where="true"))
        assert found.runs == ("names", "words")
        assert rows(store, "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM predictions)") == [(0, 0)]
        assert problems(store) == {}
        assert count_removal(store, RemoveOptions(where="true")) == Removed()

    def test_what_is_still_there_comes_back_with_a_new_id(self, store: Store, tmp_path: Path) -> None:
        highest = rows(store, "SELECT max(image_id) FROM stored_images")[0][0]
        extra = template() / "extra"
        remove(store, RemoveOptions(where="path LIKE '%/extra/%'"))
        assert index(store, extra, FakeEncoder(), "{category}/*").added == 3
        assert rows(store, f"SELECT count(*) FROM images WHERE image_id > {highest}") == [(3,)]
        assert problems(store) == {}


class TestSource:
    def test_a_source_with_its_failures_and_labelling(self, store: Store) -> None:
        source = source_of(store, "%/extra")
        found = remove(store, RemoveOptions(source=source))
        assert (found.images, found.failures, found.sources, found.returning) == (3, 1, (source,), ())
        for table in ("stored_images", "failures", "sources"):
            assert rows(store, f"SELECT count(*) FROM {table} WHERE source = '{source}'") == [(0,)]
        assert problems(store) == {}
        assert (b"extra/red/own.png" in every_byte(store)) is False

    def test_a_source_that_is_not_there(self, store: Store) -> None:
        with pytest.raises(OptionError, match="no source elsewhere; it has"):
            remove(store, RemoveOptions(source="elsewhere"))

    @pytest.mark.parametrize("options", [RemoveOptions(), RemoveOptions(source="a", where="true")])
    def test_exactly_one_thing(self, store: Store, options: RemoveOptions) -> None:
        with pytest.raises(OptionError, match="takes exactly one"):
            remove(store, options)


class TestEncoder:
    def test_one_of_two(self, store: Store) -> None:
        extra = template() / "extra"
        index(store, extra, FakeEncoder(OTHER), "{category}/*")
        run(store, NAMES, FakeEncoder(OTHER), name="of the other", encoder_name="2")
        found = remove(store, RemoveOptions(encoder="2"))
        assert (found.images, found.vectors, found.runs) == (0, 3, ("of the other",))
        assert rows(
            store, "SELECT count(*) FROM duckdb_tables() WHERE table_name IN ('vectors_2', 'text_vectors_2')"
        ) == [(0,)]
        assert problems(store) == {}

    def test_images_that_nothing_else_has_vectors_of_go_with_it(self, store: Store) -> None:
        index(store, template() / "extra", FakeEncoder(OTHER), "{category}/*")
        found = remove(store, RemoveOptions(encoder="1"))
        assert found.images == 75
        assert rows(store, "SELECT count(*) FROM images") == [(3,)]
        assert list(store.index_folder.glob("encoder-1-*")) == []
        assert problems(store) == {}

    def test_the_only_one(self, store: Store) -> None:
        remove(store, RemoveOptions(encoder="1"))
        assert rows(store, "SELECT count(*) FROM images") == [(0,)]
        assert list(store.index_folder.iterdir()) == []
        assert problems(store) == {}

    def test_one_that_is_not_there(self, store: Store) -> None:
        with pytest.raises(EncoderMismatch):
            remove(store, RemoveOptions(encoder="9"))


CHILD = """
import os, signal, sys
from pathlib import Path
import shotdex.upkeep.remove as removal, shotdex.store.create as create
from shotdex.store.store import Store
store, moment = Store(Path(sys.argv[1])), sys.argv[2]
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
place, _, name = moment.rpartition(".")
if name:
    setattr({"": removal, "create": create, "Store": Store}[place], name, die)
print("ready", flush=True)
sys.stdin.readline()
removal.remove(store, removal.RemoveOptions(where=sys.argv[3]))
"""

MOMENTS = ["renew_images_generation", "_finish", "write_index", "Store.compact", "create._compare", "create._sync"]


def killed(store: Store, moment: str, after: float | None = None) -> int:
    """Remove the red images in a process of its own that is killed; return its status."""
    command = [sys.executable, "-c", CHILD, str(store.root), moment, RED]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdin is not None and child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.stdin.write(b"\n")
    child.stdin.flush()
    if after is not None:
        time.sleep(after)
        child.kill()
    with child.stdin, child.stdout:
        return child.wait(60)


class TestKilled:
    @pytest.mark.parametrize("moment", MOMENTS)
    def test_at_a_moment(self, store: Store, moment: str) -> None:
        self._old_or_new(store, moment)

    def test_at_any_moment(self, tmp_path: Path) -> None:
        draw = random.Random(28)
        for number in range(8):
            self._old_or_new(whole_store(tmp_path / str(number)), "", draw.uniform(0, 0.4))

    def _old_or_new(self, store: Store, moment: str, after: float | None = None) -> None:
        old = rows(store, "SELECT count(*) FROM images")[0][0]
        new = rows(store, f"SELECT count(*) FROM images WHERE NOT ({RED})")[0][0]
        status = killed(store, moment, after)
        assert status == -signal.SIGKILL or (after is not None and status == 0)
        found = verify(store.root, VerifyOptions())
        assert found.whole, [check for check in found.checks if not check.ok]
        images = rows(store, "SELECT count(*) FROM images")[0][0]
        assert images in (old, new)
        assert rows(store, "SELECT count(*) FROM meta WHERE key = 'removal_unfinished'") == [(0,)]
        remove(store, RemoveOptions(where=RED))
        assert rows(store, "SELECT count(*) FROM images") == [(new,)]
        assert problems(store) == {}
