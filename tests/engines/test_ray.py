"""Indexing with real Ray clusters: the store is that of one machine, whatever is killed on the way."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from shotdex.store.encoders import list_encoders
from shotdex.store.store import Store
from shotdex.store.types import Space
from shotdex.store.vectors import load_vectors
from tests.support.images import save_noise

from .conftest import python_of

pytestmark = pytest.mark.engine

PART = 16
LOG = "SHOTDEX_TESTS_RAY_LOG"

# Workers write here which parts they begin and end; an image of this name kills the worker that is given it.
HOOK = f"""
import os, signal
from shotdex.indexer import ray_crew

real = ray_crew.encode_items

def encode_items(said, *rest):
    addresses = said.column("address").to_pylist()
    with open(os.environ["{LOG}"], "a") as log:
        log.write(f"begin {{os.getpid()}} {{addresses[0]}}\\n")
    if any(address.endswith("poison.png") for address in addresses):
        os.kill(os.getpid(), signal.SIGKILL)
    found = real(said, *rest)
    with open(os.environ["{LOG}"], "a") as log:
        log.write(f"end {{os.getpid()}} {{addresses[0]}}\\n")
    return found

ray_crew.encode_items = encode_items
"""


@pytest.fixture(scope="module")
def python() -> Path:
    return python_of("ray")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 images, among them copies and broken ones."""
    folder = tmp_path_factory.mktemp("images") / "all"
    for i in range(154):
        save_noise(folder / f"cat{i % 3}" / f"{i:03}.png", seed=i)
    for i in range(4):
        (folder / "cat0" / f"{i}copy.png").write_bytes((folder / "cat1" / "001.png").read_bytes())
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


@contextmanager
def cluster(python: Path, environment: dict[str, str], nodes: int, cpus: int) -> Iterator[subprocess.Popen[str]]:
    command = [str(python), str(Path(__file__).with_name("ray_cluster.py")), str(nodes), str(cpus)]
    running = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        yield running
    finally:
        running.stdin.close()
        try:
            running.wait(60)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        running.stdout.close()


def address_of(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("ready "):
            return line.split()[1]
    raise AssertionError("the cluster did not start")


def logged(environment: dict[str, str]) -> list[list[str]]:
    log = Path(environment[LOG])
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def begun(environment: dict[str, str], count: int, running: subprocess.Popen[str]) -> list[str]:
    """Wait until so many parts were begun, and return the processes that have one in hand."""
    end = time.monotonic() + 180
    while len([1 for line in logged(environment) if line[0] == "begin"]) < count:
        assert time.monotonic() < end, running.communicate(timeout=5)[0]
        assert running.poll() is None, running.communicate()[0]
        time.sleep(0.05)
    lines = logged(environment)
    ended = {(process, first) for kind, process, first in lines if kind == "end"}
    return [process for kind, process, first in lines if kind == "begin" and (process, first) not in ended]


def contents(store: Path) -> tuple[object, ...]:
    with Store.open(store).reading() as con:
        rows = con.rows("SELECT * EXCLUDE (added_at) FROM stored_images ORDER BY image_id")
        failures = con.rows("SELECT * EXCLUDE (failed_at) FROM failures ORDER BY path")
        return rows, failures


def vectors(store: Path) -> list[np.ndarray]:
    with Store.open(store).reading() as con:
        encoder = list_encoders(con)[1]
        return [load_vectors(con, 1, encoder, space)[1] for space in Space]


def assert_same(one: Path, other: Path) -> None:
    assert contents(one) == contents(other)
    for mine, theirs in zip(vectors(one), vectors(other), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def alone(python: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("alone") / "store"
    done = index(python, folder, store, dict(os.environ), "--batch-size", 8)
    said = done.communicate(timeout=300)[0]
    assert done.returncode == 0, said
    return store


def test_two_workers_on_this_machine(python: Path, folder: Path, alone: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = index(python, folder, store, dict(os.environ), *with_ray(store, "--workers", 2))
    said = done.communicate(timeout=300)[0]
    assert done.returncode == 0, said
    assert "158 added" in said
    assert_same(alone, store)


def test_a_worker_a_node_and_the_driver_are_killed(
    python: Path, folder: Path, alone: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    hooked(python, environment)
    store = tmp_path / "store"
    with cluster(python, environment, nodes=3, cpus=1) as running:
        options = with_ray(store, "--ray-address", address_of(running), "--workers", 3)
        driver = index(python, folder, store, environment, *options)
        os.kill(int(begun(environment, 2, driver)[0]), signal.SIGKILL)
        begun(environment, 5, driver)
        assert running.stdin is not None
        running.stdin.write("1\n")
        running.stdin.flush()
        begun(environment, 7, driver)
        driver.kill()
        driver.communicate()
        done = index(python, folder, store, environment, *options)
        said = done.communicate(timeout=300)[0]
    assert done.returncode == 0, said
    assert_same(alone, store)
    lines = logged(environment)
    starts = [line for line in lines if line[0] == "begin"]
    ends = [line for line in lines if line[0] == "end"]
    assert len({first for _, _, first in ends}) == 10
    # In flight at a kill: the worker's part, the node's, and the driver's, one of each of up to three workers.
    assert len(starts) - len(ends) <= 1 + 1 + 3
    assert len(ends) <= 10 + 3, "what had a shard is not encoded again"
    assert not list((tmp_path / "shards").glob(".*"))


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
    said = done.communicate(timeout=300)[0]
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
    started = time.monotonic()
    done = index(python, folder, store, environment, *with_ray(store, "--workers", 2, "--gpus-per-worker", 3))
    said = done.communicate(timeout=300)[0]
    assert done.returncode == 1, said
    assert "no worker could start" in said
    assert "each worker needs 1 CPU and 3 GPU, the cluster has" in said
    assert time.monotonic() - started < 300  # two minutes, and the time in which Python and Ray start on a busy machine


def test_addresses_beyond_this_machine_need_a_token(python: Path, folder: Path, tmp_path: Path) -> None:
    for address in ("10.1.2.3:6379", "auto", "ray://head:10001"):
        done = index(python, folder, tmp_path / "store", dict(os.environ), "--runner", "ray", "--ray-address", address)
        said = done.communicate(timeout=120)[0]
        assert done.returncode == 2, said
        assert "RAY_AUTH_MODE=token" in said
    assert not (tmp_path / "store").exists()
