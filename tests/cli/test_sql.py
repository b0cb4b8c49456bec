"""shotdex sql: statements from the command line, a file and a pipe; several of them; values for other programs."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shotdex.store.store import Store
from tests.cli.checks import failed
from tests.conftest import Ran

Run = Callable[..., Ran]

COMMENT_FIRST = "-- the surest mistakes\nSELECT 1 AS one /* and */ -- the end"


@pytest.fixture(autouse=True)
def here(evaluated: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOTDEX_STORE", str(evaluated.root))


def piped(text: bytes, *arguments: str) -> Ran:
    command = [sys.executable, "-m", "shotdex", "sql", *arguments]
    done = subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize(
    "text",
    [COMMENT_FIRST, "--SELECT 2 AS two\nSELECT 1 AS one", "--x=1 or so\nSELECT 1 AS one", "/* a */SELECT 1 AS one"],
)
def test_a_comment_comes_first(shotdex: Run, text: str) -> None:
    ran = shotdex("sql", text, "--format", "csv")
    assert (ran.status, ran.out) == (0, "one\n1\n"), ran


def test_an_unknown_option_is_still_one(shotdex: Run) -> None:
    failed(shotdex("sql", "--formt", "csv", "SELECT 1"), 2, "--formt")
    failed(shotdex("sql", "--format=c s v", "SELECT 1"), 2, "c s v")


def test_from_a_pipe_and_a_file(shotdex: Run, tmp_path: Path) -> None:
    for arguments in (["-"], [], ["--file", "-"]):
        ran = piped(COMMENT_FIRST.encode(), *arguments, "--json")
        assert (ran.status, json.loads(ran.out)) == (0, [{"one": 1}]), ran
    file = tmp_path / "q.sql"
    file.write_bytes("\N{BYTE ORDER MARK}-- ü\nSELECT 'ü' AS u".encode())
    assert shotdex("sql", "-f", file, "--format", "csv").out == "u\nü\n"


def test_what_cannot_be_read(shotdex: Run, tmp_path: Path) -> None:
    failed(piped(b""), 2, "STATEMENT")
    failed(piped(b"SELECT '\xff'", "-"), 2, "standard input is not UTF-8")
    failed(shotdex("sql", "-f", tmp_path / "none.sql"), 2, "none.sql")
    failed(shotdex("sql", "-f", tmp_path), 2, "cannot read")
    failed(shotdex("sql", "SELECT 1", "-f", "x.sql"), 2, "leave out one")
    failed(shotdex("sql", "-- nothing but a comment"), 1, "empty")


SEVERAL = "SELECT 1 AS a; -- then\nPIVOT (FROM range(2) t(i)) ON i USING count(*); SELECT 2 AS b;"


def test_every_statement_is_answered(shotdex: Run) -> None:
    ran = shotdex("sql", SEVERAL)
    assert ran.out == "a\n-\n1\n\n0  1\n-  -\n1  1\n\nb\n-\n2\n"
    assert ran.err == "1 row\n" * 3
    found = json.loads(shotdex("sql", SEVERAL, "--json").out)
    assert found == [[{"a": 1}], [{"0": 1, "1": 1}], [{"b": 2}]]
    lines = shotdex("sql", SEVERAL, "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 1}, {"0": 1, "1": 1}, {"b": 2}]
    assert shotdex("sql", SEVERAL, "--format", "csv").out == "a\n1\n\n0,1\n1,1\n\nb\n2\n"


def test_one_that_writes_keeps_all_from_running(shotdex: Run) -> None:
    failed(shotdex("sql", "SELECT 1; DELETE FROM images; SELECT 2"), 1, "read-only")


def test_lists_structs_and_blobs_are_for_other_programs(shotdex: Run) -> None:
    statement = "SELECT ['it''s', NULL] AS l, {'a': [1]} AS s, 'x\\x00\"\\xC3\\xA9'::BLOB AS b"
    lines = shotdex("sql", statement, "--format", "csv").out
    (_, row) = csv.reader(io.StringIO(lines))
    assert [json.loads(row[0]), json.loads(row[1]), row[2]] == [["it's", None], {"a": [1]}, r"x\x00\x22\xC3\xA9"]


def test_summary_of_a_table_ends(shotdex: Run) -> None:
    """DuckDB's function `summary` of a table's name returns rows without end."""
    failed(shotdex("sql", "FROM summary(images)"), 1, "SUMMARIZE images")
    assert shotdex("sql", "SUMMARIZE images").status == 0
