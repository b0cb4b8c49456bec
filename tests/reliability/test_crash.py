"""Killed, interrupted, stopped: a few of the moments that `crash.py` and `signals.py` try by the hundred."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from shotdex.store.connection import Connection
from tests.conftest import ROOT
from tests.support.interrupts import ctrl_c


def harness(name: str, *numbers: int) -> dict[str, Any]:
    command = [sys.executable, "-m", f"tests.reliability.{name}", *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300)
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["wrong"] == [], done.stderr
    assert done.returncode == 0
    return told


def test_killed_at_random_moments() -> None:
    told = harness("crash", 4, 1, 12, 2)
    assert told["kills"] == sum(told["hit"].values()) == 4


def test_signals_at_random_moments() -> None:
    told = harness("signals", 3, 3, 12)
    assert set(told["sent"]) == {"SIGINT", "SIGTERM", "SIGINT twice"}


ROWS = pa.table({"number": list(range(1000))})


def hold(con: Connection) -> None:
    with con.holding("held", ROWS):
        pass


WORK: dict[str, Callable[[Connection], Any]] = {
    "rows": lambda con: con.rows("SELECT $a", {"a": 1}),
    "a long query": lambda con: con.rows("SELECT count(*) FROM range(9000000) t(i) WHERE i % 7 = 3"),
    "holding": hold,
    "table": lambda con: con.table("SELECT * FROM range(1000)"),
    "batches": lambda con: list(con.batches("SELECT * FROM range(1000)", rows=100)),
    "append": lambda con: con.append("numbers", ROWS),
}


@pytest.mark.parametrize("work", WORK)
def test_ctrl_c_while_duckdb_works_is_a_ctrl_c(work: str) -> None:
    """DuckDB makes errors of its own types of one, which nothing would take for it."""
    con = Connection(duckdb.connect(":memory:"))
    con.run("CREATE TABLE numbers (number BIGINT)")
    sent: list[float] = []
    for i in range(8):
        with pytest.raises(KeyboardInterrupt), ctrl_c(0.002 + 0.003 * i, sent):
            while True:
                WORK[work](con)
    assert len(sent) <= 9, "Python itself loses one where it comes while a finalizer runs, but hardly two"
    con.close()
