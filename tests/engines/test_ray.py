"""Indexing with real Ray clusters: the store is that of one machine, whatever is killed on the way."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from shotdex.store.store import Store
from tests.indexer.shards import assert_equal
from tests.support.images import save_noise

from .conftest import LONG, Serving, python_of, serving

pytestmark = pytest.mark.engine

IMAGES = int(os.environ.get("SHOTDEX_TESTS_RAY_IMAGES", "160"))
"""Images of the source; more of them make a rehearsal of the kills at a larger size."""

WAIT = LONG + IMAGES / 4
"""Seconds after which a command passes for hung."""

PARTS = 10
PART = IMAGES // PARTS

LOG, COMMITS = "SHOTDEX_TESTS_RAY_LOG", "SHOTDEX_TESTS_RAY_COMMITS"

# Workers write here which parts they begin and end, and end none while there is a file LOG.hold. An image of the name
# poison.png kills its worker. A driver kills itself between a shard that is written and its commit, the COMMITS-th.
HOOK = f"""
import os, signal, time
from shotdex.indexer import ray_crew, shard_commit

real, log = ray_crew.encode_items, os.environ["{LOG}"]

def write(*words):
    with open(log, "a") as file:
        file.write(" ".join(words) + "\\n")

def encode_items(said, *rest):
    addresses = said.column("address").to_pylist()
    write("begin", str(os.getpid()), addresses[0])
    if any(address.endswith("poison.png") for address in addresses):
        os.kill(os.getpid(), signal.SIGKILL)
    while os.path.exists(log + ".hold"):
        time.sleep(0.05)
    found = real(said, *rest)
    write("end", str(os.getpid()), addresses[0])
    return found

def commit_shard(indexing, plan, placer, shard):
    commits.append(shard.name)
    if len(commits) == int(os.environ.get("{COMMITS}", "0")):
        write("uncommitted", str(os.getpid()), shard.name)
        os.kill(os.getpid(), signal.SIGKILL)
    commit(indexing, plan, placer, shard)

ray_crew.encode_items, commits = encode_items, []
commit, shard_commit.ShardIndexing._commit_shard = shard_commit.ShardIndexing._commit_shard, commit_shard
"""


@pytest.fixture(scope="module")
def python() -> Path:
    return python_of("ray")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, among them four copies and two broken ones."""
    folder = tmp_path_factory.mktemp("images") / "all"
    for i in range(IMAGES - 6):
        save_noise(folder / f"cat{i % 3}" / f"{i:05}.jpg", seed=i)
    for i in range(4):
        (folder / "cat0" / f"{i}copy.jpg").write_bytes((folder / "cat1" / "00001.jpg").read_bytes())
    (folder / "cat1" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "cat2" / "empty.jpg").write_bytes(b"")
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables for the driver, which the workers of its cluster have, too: see HOOK."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "ray_hook.py").write_text(HOOK)
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(hooks),
        LOG: str(tmp_path / "log"),
        # The nodes of a cluster have this machine's own address, which needs a token.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


def index(
    python: Path, source: Path, store: Path, environment: dict[str, str], *options: object
) -> subprocess.Popen[str]:
    command = [python, "-m", "shotdex", "index", source, "--store", store, "--model", "demo", *options]
    return subprocess.Popen(
        [str(part) for part in command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def with_ray(store: Path, *options: object) -> tuple[object, ...]:
    return ("--runner", "ray", "--part-rows", PART, "--out", store.parent / "shards", "--batch-size", 8, *options)


def cluster(
    python: Path, log: Path, environment: dict[str, str], nodes: int, cpus: int
) -> AbstractContextManager[Serving]:
    program = Path(__file__).with_name("ray_cluster.py")
    return serving(log, python, program, nodes, cpus, environment=environment)


def logged(environment: dict[str, str]) -> list[list[str]]:
    log = Path(environment[LOG])
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def in_hand(lines: list[list[str]]) -> list[list[str]]:
    """Return the process and first image of each part that was begun and has not ended."""
    ended = [line[1:] for line in lines if line[0] == "end"]
    return [line[1:] for line in lines if line[0] == "begin" and line[1:] not in ended]


def wait_for(
    environment: dict[str, str], running: subprocess.Popen[str], holds: Callable[[list[list[str]]], bool]
) -> list[list[str]]:
    """Wait until something holds of what was logged, and return that."""
    end = time.monotonic() + WAIT
    while not holds(lines := logged(environment)):
        assert time.monotonic() < end, lines
        assert running.poll() is None, running.communicate()[0]
        time.sleep(0.05)
    return lines


@pytest.fixture(scope="module")
def alone(python: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("alone") / "store"
    done = index(python, folder, store, dict(os.environ), "--batch-size", 8)
    said = done.communicate(timeout=WAIT)[0]
    assert done.returncode == 0, said
    return store


def test_two_workers_on_this_machine(python: Path, folder: Path, alone: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = index(python, folder, store, dict(os.environ), *with_ray(store, "--workers", 2))
    said = done.communicate(timeout=WAIT)[0]
    assert done.returncode == 0, said
    assert f"{IMAGES - 2:,} added" in said
    assert_equal(alone, store)


def test_a_worker_a_node_and_the_driver_are_killed(
    python: Path, folder: Path, alone: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """The worker and the node while every worker has a part in hand, the driver between a written shard and its commit.

    What had a shard then is not encoded again: at most one part for the worker, one for the node, and one for each of
    the two workers that are left when the driver dies.
    """
    hooked(python, environment)
    store, hold = tmp_path / "store", Path(environment[LOG] + ".hold")
    hold.touch()
    with cluster(python, tmp_path / "cluster", environment, nodes=3, cpus=1) as running:
        options = with_ray(store, "--ray-address", running.words[0], "--workers", 3)
        driver = index(python, folder, store, environment | {COMMITS: "6"}, *options)
        lines = wait_for(environment, driver, lambda lines: len(in_hand(lines)) == 3)
        os.kill(int(in_hand(lines)[0][0]), signal.SIGKILL)
        wait_for(environment, driver, lambda lines: len(in_hand(lines)) == 4)  # another worker has taken that part
        running.tell("1")
        hold.unlink()
        driver.communicate(timeout=WAIT)
        assert driver.returncode == -signal.SIGKILL
        before = logged(environment)
        [uncommitted] = [line[2] for line in before if line[0] == "uncommitted"]
        written = {path.name for path in (tmp_path / "shards").glob("*.parquet")}
        with Store.open(store).reading() as con:
            committed = {row[0] for row in con.rows("SELECT name FROM shards")}
        assert len(committed) == 5
        assert committed | {uncommitted} <= written
        done = index(python, folder, store, environment, *options)
        said = done.communicate(timeout=WAIT)[0]
    assert done.returncode == 0, said
    assert f"{len(written - committed)} of {PARTS - 5} parts are encoded already" in said
    assert_equal(alone, store)
    lines = logged(environment)
    parts = [line[2] for line in lines if line[0] == "begin"]
    assert len(set(parts)) == PARTS
    assert len(parts) - PARTS <= 1 + 1 + 2
    again = {line[2] for line in lines[len(before) :] if line[0] == "begin"}
    assert len(again) == PARTS - len(written), "what had a shard is not encoded again"
    assert not list((tmp_path / "shards").glob(".*"))
    print(f"{IMAGES:,} images: {len(parts)} parts begun for {PARTS}, {len(again)} of them after the driver died")


def hooked(python: Path, environment: dict[str, str]) -> None:
    """Let every Python with these variables run HOOK as soon as shotdex's crew is imported."""
    hooks = Path(environment["PYTHONPATH"])
    (hooks / "sitecustomize.py").write_text(
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'shotdex.indexer.ray_crew':\n"
        "            import importlib.util\n"
        "            sys.meta_path.remove(self)\n"
        "            spec = importlib.util.find_spec(name)\n"
        "            real = spec.loader.exec_module\n"
        "            def exec_module(module):\n"
        "                real(module)\n"
        "                sys.modules[name] = module\n"
        "                import ray_hook\n"
        "            spec.loader.exec_module = exec_module\n"
        "            return spec\n"
        "sys.meta_path.insert(0, Finder())\n"
    )


def test_a_part_that_kills_every_worker(
    python: Path, folder: Path, alone: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    hooked(python, environment)
    source = tmp_path / "images"
    for i in range(200):
        save_noise(source / f"{i:03}.png", seed=i)
    save_noise(source / "100poison.png", seed=1000)
    store = tmp_path / "store"
    options = with_ray(store, "--workers", 2, "--part-rows", 100)
    done = index(python, source, store, environment, *options)
    said = done.communicate(timeout=WAIT)[0]
    assert done.returncode == 1, said
    assert "images of part 1 were given up" in said
    assert "try 3 of 3" in said
    assert "trying both halves" in said
    with Store.open(store).reading() as con:
        lost = int(con.value("SELECT count(*) FROM failures WHERE detail LIKE '%died%'"))
        assert con.value("SELECT count(*) FROM images") + lost == 201
        assert con.value("SELECT count(*) FROM failures WHERE path LIKE '%100poison.png'") == 1
    assert 0 < lost <= 64


def test_no_room(python: Path, folder: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    store = tmp_path / "store"
    done = index(
        python,
        folder,
        store,
        environment,
        *with_ray(store, "--workers", 2, "--gpus-per-worker", 3, "--cpus-per-worker", 2),
    )
    said = done.communicate(timeout=WAIT)[0]
    assert done.returncode == 1, said
    assert "no worker could start" in said
    assert "each worker needs 2 CPU and 3 GPU, the cluster has" in said


def test_addresses_beyond_this_machine_need_a_token(python: Path, folder: Path, tmp_path: Path) -> None:
    for address in ("10.1.2.3:6379", "auto", "ray://head:10001"):
        done = index(python, folder, tmp_path / "store", dict(os.environ), "--runner", "ray", "--ray-address", address)
        said = done.communicate(timeout=WAIT)[0]
        assert done.returncode == 2, said
        assert "RAY_AUTH_MODE=token" in said
    assert not (tmp_path / "store").exists()
