"""`shotdex engine`, and what the other commands do with an engine: over Milvus Lite, and where nothing answers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from shotdex.store.engines import milvus_upload
from shotdex.store.engines.milvus_collection import Collection
from shotdex.store.engines.milvus_connection import TOKEN, disconnect
from shotdex.store.engines.milvus_rows import read_record, write_record
from tests.upkeep.stores import whole_store

pytest.importorskip("milvus_lite")

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "vectors.db"
    disconnect()


def test_added_listed_searched_verified_and_removed(
    shotdex: Callable[..., object], tmp_path: Path, place: Path
) -> None:
    store = whole_store(tmp_path / "store")

    def run(*arguments: object) -> object:
        return shotdex(*arguments, "--store", store.root)

    assert "no engines yet" in run("engine", "list").err
    failed = run("search", "red", "--engine", "milvus")
    assert (failed.status, "engine add milvus" in failed.err) == (2, True)
    # In a process of its own, with which Milvus Lite ends: it starts again with every collection released.
    command = [sys.executable, "-m", "shotdex", "engine", "add", "milvus", "--uri", place, "--store", store.root]
    added = subprocess.run(command, capture_output=True, text=True, check=False)
    assert added.returncode == 0, added.stderr
    assert "Traceback" not in added.stderr
    assert added.stdout.startswith(f"milvus at {place}: FLAT, ")
    [listed] = json.loads(run("engine", "list", "--json").out)
    assert (listed["ready"], listed["lacking"]) == (True, 0)
    assert f"encoder 1 in milvus at {place}: FLAT" in run("status").out
    for engine in ("auto", "milvus", "faiss"):
        found = run("search", "red", "--json", "--engine", engine)
        assert json.loads(found.out) == json.loads(run("search", "red", "--json", "--engine", "faiss").out)
    assert "ok       Milvus collection of encoder 1" in run("verify").out
    Collection(str(place), listed["collection"], "FLAT").drop()
    broken = run("verify")
    assert (broken.status, "there is no collection" in broken.out) == (1, True)
    assert "FAISS answered instead" in run("search", "red").err
    assert run("search", "red", "--engine", "milvus").status == 1
    assert "brought the Milvus collection of encoder 1" in run("verify", "--repair").out
    assert run("search", "red", "--engine", "milvus").status == 0
    assert run("remove", "--where", "category = 'red'", "--yes").status == 0
    [listed] = json.loads(run("engine", "list", "--json").out)
    assert (listed["ready"], listed["lacking"]) == (True, 0)
    with store.reading() as con:
        assert listed["images"] == con.value("SELECT count(*) FROM vectors_1")
    assert run("engine", "remove", "milvus").err == "removed milvus\n"
    assert run("engine", "remove", "milvus").err == "there is no milvus to remove\n"


def test_where_nothing_answers(shotdex: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is added there; once added, auto says so and answers, by name it is an error, and indexing goes on."""
    monkeypatch.setenv(TOKEN, "root:correct-horse")
    store = whole_store(tmp_path / "store")
    failed = shotdex("engine", "add", "milvus", "--uri", NOWHERE, "--store", store.root)
    assert (failed.status, "does not respond as expected" in failed.err) == (1, True)
    assert json.loads(shotdex("engine", "list", "--json", "--store", store.root).out) == []
    with store.writing() as con:
        record = milvus_upload.MilvusRecord(NOWHERE, "FLAT", "shotdex_x", ("a",), 5, True, "")
        write_record(con, 1, record)
    by_itself = shotdex("search", "red", "--json", "--store", store.root)
    assert by_itself.status == 0
    assert "FAISS answered instead" in by_itself.err
    by_name = shotdex("search", "red", "--engine", "milvus", "--store", store.root)
    assert (by_name.status, by_name.out) == (1, "")
    assert "not ready" in shotdex("engine", "list", "--store", store.root).out
    assert shotdex("status", "--store", store.root).status == 0
    assert shotdex("remove", "--where", "category = 'red'", "--yes", "--store", store.root).status == 0
    assert shotdex("verify", "--repair", "--store", store.root).status == 1
    refused = shotdex("engine", "add", "milvus", "--uri", "http://root:correct-horse@host", "--store", store.root)
    assert refused.status == 2
    assert "correct-horse" not in by_itself.err + by_name.err + refused.err


KILLED = """
import os, signal, sys
from pathlib import Path
from shotdex.store.engines.milvus_collection import Collection
from shotdex.store.engines.milvus_upload import add_milvus
from shotdex.store.encoders import list_encoders
from shotdex.store.store import Store

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(Collection, sys.argv[3], killed)
store = Store(Path(sys.argv[1]))
with store.reading() as con:
    [encoder] = list_encoders(con).values()
add_milvus(store, 1, encoder, sys.argv[2], "FLAT")
"""


@pytest.mark.parametrize("moment", ["create", "put", "finish"])
def test_killed_while_it_is_added(shotdex: Callable[..., object], tmp_path: Path, place: Path, moment: str) -> None:
    store = whole_store(tmp_path / "store")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(store.root), str(place), moment], check=False)
    assert ended.returncode == -signal.SIGKILL
    found = shotdex("search", "red", "--json", "--store", store.root)
    assert (found.status, "FAISS answered instead" in found.err) == (0, True)
    done = shotdex("engine", "add", "milvus", "--uri", place, "--store", store.root)
    assert (done.status, done.out.endswith("; ready\n")) == (0, True)
    with store.reading() as con:
        record = read_record(con, 1)
    assert record is not None
    ids = Collection(str(place), record.collection, "FLAT").ids()
    assert len(ids) == record.rows == len(np.unique(ids))
    by_name = shotdex("search", "red", "--json", "--engine", "milvus", "--store", store.root)
    assert by_name.out == found.out
