"""Several processes with one store: readers during an indexing, two indexers, two that write runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shotdex.query.search import search
from shotdex.store.queries import Query
from shotdex.store.store import Store
from shotdex.upkeep.status import status
from tests.conftest import ROOT, index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_noise

from .classifier import classify_times
from .states import problems

LAYOUT = "{condition}/{category}*"
IMAGES = 40


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    for i in range(IMAGES):
        save_noise(folder / f"cond{i % 2}" / f"{('Cat', 'Dog')[i % 3 == 0]}{i:02}.png", seed=i)
    return folder


@contextmanager
def indexing(root: Path, folder: Path, slow: float) -> Iterator[subprocess.Popen[str]]:
    """Index in another process, for about `slow` seconds a batch of four; it must end well.

    After two batches it waits until there is a file `go` beside the catalog.
    """
    arguments = ["index", str(folder), "--store", str(root), "--layout", LAYOUT, "--batch-size", "4"]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.reliability.command", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "SLOW": str(slow), "ROWS": "4", "UNTIL": str(root / "go")},
    ) as process:
        try:
            yield process
            out, error = process.communicate(timeout=120)
            assert process.returncode == 0, out + error
        finally:
            process.kill()


def present(store: Store) -> int:
    with store.reading() as con:
        return int(con.value("SELECT count(*) FROM images"))


def wait_for(store: Store, images: int) -> None:
    deadline = time.monotonic() + 60
    while present(store) < images:
        assert time.monotonic() < deadline, f"there are {present(store)} images after a minute"
        time.sleep(0.02)


def look_at(store: Store) -> int:
    """Read a store in every way while another process writes to it; return how many images there were in the end."""
    before = present(store)
    hits = search(store, Query(("red",), k=1000), lambda _: FakeEncoder()).hits
    after = present(store)
    assert before <= len(hits) <= after, "an answer is complete for the state that it saw"
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert len({hit.path for hit in hits}) == len(hits)
    assert problems(store, asking=False) == []
    assert before <= status(store).images
    return after


def test_while_one_indexes(store: Store, many: Path) -> None:
    """Others read, search, classify, hold the catalog for longer than a commit, and try to index too."""
    index(store, many / "cond1", FakeEncoder(), "{category}*")
    with indexing(store.root, many, slow=0.1) as first:
        wait_for(store, IMAGES // 2 + 8)  # now it waits for us
        second = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.command", "index", str(many), "--store", str(store.root)],
            stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        counts = [look_at(store)]
        classify_times(store.root, 2, "meanwhile")
        told = second.communicate(timeout=60)[1]
        (store.root / "go").touch()
        with store.reading() as con:
            held = con.value("SELECT count(*) FROM images")
            time.sleep(1.5)
            assert con.value("SELECT count(*) FROM images") == held
        while first.poll() is None:
            counts.append(look_at(store))
    counts.append(present(store))
    assert counts == sorted(counts)
    assert len(set(counts)) >= 2, "several states were seen"
    assert second.returncode == 1
    assert f"process {first.pid} is indexing" in told
    assert "searching and SQL work meanwhile" in told
    assert "Traceback" not in told
    with store.reading() as con:
        runs = con.rows("SELECT name, images, scored FROM runs ORDER BY run_id")
        kept = con.rows("SELECT count(DISTINCT image_id) FROM predictions GROUP BY run_id ORDER BY run_id")
    assert [name for name, _, _ in runs] == ["meanwhile0", "meanwhile1"]
    assert [scored for _, _, scored in runs] == [images for _, images, _ in runs] == [row[0] for row in kept]
    assert present(store) == IMAGES
    assert problems(store) == []
    again = FakeEncoder()
    assert index(store, many, again, LAYOUT).unchanged == IMAGES
    assert again.seen == 0


def test_two_that_write_runs_at_once_lose_none(store: Store, many: Path) -> None:
    index(store, many, FakeEncoder(), LAYOUT)
    commands = [[sys.executable, "-m", "tests.reliability.classifier", str(store.root), "4", name] for name in "ab"]
    writers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for command in commands]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    with store.reading() as con:
        runs = con.rows("SELECT name, run_id, prompt_set_id FROM runs ORDER BY name")
        kept = con.rows("SELECT run_id, count(*) FROM predictions GROUP BY run_id ORDER BY run_id")
        texts = con.value("SELECT count(*) - count(DISTINCT text) FROM text_vectors_1")
    assert [name for name, _, _ in runs] == [f"{name}{i}" for name in "ab" for i in range(4)]
    assert sorted(run_id for _, run_id, _ in runs) == list(range(1, 9))
    assert len({prompts for _, _, prompts in runs}) == 8
    assert kept == [(i, 2 * IMAGES) for i in range(1, 9)]
    assert texts == 0


CREATE = """
import sys, time
from pathlib import Path
from shotdex.store.store import Store
sys.stdin.readline()
for i in range(int(sys.argv[2])):
    print(Store.create(Path(sys.argv[1]) / str(i)).identity, flush=True)
"""


def test_two_that_make_the_same_store_make_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CREATE, str(tmp_path), "5"]
    makers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    made = [maker.communicate(timeout=60)[0].split() for maker in makers]
    assert [maker.returncode for maker in makers] == [0, 0]
    assert made[0] == made[1]
    assert len(made[0]) == len(set(made[0])) == 5
    assert all(re.fullmatch("[0-9a-f]{32}", identity) for identity in made[0])
