"""The prompt of shotdex sql, in a terminal of its own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest

from shotdex.store.store import Store
from tests.support.terminal import terminal

READY = "\x1b\\[\\?2004h"
"""What a terminal gets when a line is about to be read."""

UP, CTRL_C, CTRL_D = "\x1b[A", "\x03", "\x04"


@contextmanager
def prompt(store: Store, state: Path) -> Iterator[Any]:
    env = {
        **os.environ,
        "XDG_STATE_HOME": str(state),
        "TERM": "xterm",
        "PROMPT_TOOLKIT_NO_CPR": "1",
        "SHOTDEX_STORE": str(store.root),
    }
    with terminal([sys.executable, "-m", "shotdex", "sql"], env) as typing:
        typing.expect(READY)
        typing.expect("sql>")
        yield typing


@pytest.fixture
def child(own: Store, tmp_path: Path) -> Iterator[Any]:
    with prompt(own, tmp_path) as typing:
        yield typing


def test_a_session(child: Any, own: Store, tmp_path: Path) -> None:
    def typed(keys: str, *shown: str) -> None:
        child.send(keys)
        for text in (*shown, READY, "sql>"):
            child.expect(text)

    child.send("SELECT 40 +\r")
    child.expect("\\.\\.\\.>")
    typed("2 AS answer;\r", "42", "1 row")
    typed("SELECT nope;\r", "error: DuckDB refuses", "try: ")
    with own.writing(1.0) as con:  # nobody has the catalog open between two statements
        con.run("CREATE TABLE mine (i INTEGER); DROP TABLE mine")
    child.send("SELECT max(accuracy) AS best FROM accuracy_by_con\t")
    child.expect("dition")
    typed(";\r", "best", "1 row")
    typed("SELECT this is dropped" + CTRL_C)
    typed(UP + UP + UP + "\r", "42")
    typed(".format json\r")
    typed("SELECT 'a' AS b;\r", '"b": "a"')
    typed(".schema confusion\r", "### confusion")
    child.send("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b;\r")
    time.sleep(1)
    typed(CTRL_C, "interrupted")
    child.send(CTRL_D)
    child.expect(pexpect.EOF)
    assert child.ended() == 0
    history = tmp_path / "shotdex" / "sql_history"
    assert "2 AS answer;" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_history_is_kept_for_the_next_time(own: Store, tmp_path: Path) -> None:
    for keys in ("SELECT 'kept' AS word;\r", UP + "\r"):
        with prompt(own, tmp_path) as child:
            child.send(keys)
            for text in ("----\r\nkept", READY, "sql>"):
                child.expect(text)
            child.send(CTRL_D)
            child.expect(pexpect.EOF)
            assert child.ended() == 0
