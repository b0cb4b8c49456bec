"""shotdex sql: statements from the command line, a file and a pipe; several of them; values for other programs."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def test_parameters_are_values_and_never_sql(shotdex: Run) -> None:
    evil = "x'; DROP TABLE images; --"
    ran = shotdex("sql", "SELECT $a AS a, $b AS b", "-p", "a", evil, "--param", "b", "-5", "--json")
    assert json.loads(ran.out) == [{"a": evil, "b": "-5"}]
    assert shotdex("sql", "FROM images WHERE path = $p", "-p", "p", "' OR true --", "--json").out == "[]\n"
    assert (
        shotdex("sql", "SELECT image_id FROM images LIMIT $n", "-p", "n", "2", "--format", "csv").out.count("\n") == 3
    )
    assert shotdex("sql", "SELECT $n::INT + 1 AS n", "-p", "n", "2", "--format", "csv").out == "n\n3\n"
    assert shotdex("sql", "SELECT $allow_external AS a", "-p", "allow_external", "2", "--format", "csv").out == "a\n2\n"
    failed(shotdex("sql", "SELECT $a", "-p", "a", "1", "-p", "a", "2"), 2, "two values")
    failed(shotdex("sql", "SELECT $a AS a"), 1, "a")
    failed(shotdex("sql", "SELECT 1", "-p", "b", "1"), 1, "b")


TYPES = """SELECT 1::TINYINT AS small, 2.5::DECIMAL(6, 2) AS price, true AS yes, 'x|y' AS text, NULL::VARCHAR AS none,
    TIMESTAMP '2026-01-02 03:04:05' AS at, DATE '2026-01-02' AS day, [1.5, NULL] AS list, {'a': 1, 'b': 'c'} AS struct,
    'x\\xFF'::BLOB AS blob, [1, 2]::FLOAT[2] AS vector, '{"k": 1}'::JSON AS json"""


def test_parquet_and_arrow_keep_the_types(shotdex: Run, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for form in ("parquet", "arrow"):
        ran = shotdex("sql", TYPES, "-o", tmp_path / f"rows.{form}")
        assert (ran.status, ran.out) == (0, ""), ran
        assert "wrote 1 row " in ran.err
    expected = shotdex_open().sql(TYPES).to_arrow()
    read = pa.ipc.open_file(tmp_path / "rows.arrow").read_all()
    assert read.schema.equals(expected.schema)
    assert read.equals(expected)
    read = pq.read_table(tmp_path / "rows.parquet")
    assert read.schema.field("vector").type == pa.list_(pa.float32(), 2)
    assert read.to_pylist() == expected.to_pylist()


def shotdex_open() -> Any:
    import shotdex as door

    return door.open()


def test_files_are_never_overwritten_unasked(shotdex: Run, tmp_path: Path) -> None:
    target = tmp_path / "rows.md"
    assert shotdex("sql", "SELECT 1 AS one, 'a|b' AS b", "-o", target).status == 0
    assert target.read_text().splitlines() == ["| one | b    |", "| --: | ---- |", "|   1 | a\\|b |"]
    failed(shotdex("sql", "SELECT 2 AS two", "-o", target), 2, "exists", "--overwrite")
    assert "one" in target.read_text()
    assert shotdex("sql", "SELECT 2 AS two", "-o", target, "--overwrite", "--format", "tsv").status == 0
    assert target.read_text() == "two\n2\n"
    failed(shotdex("sql", "SELECT 1", "-o", tmp_path / "rows.xyz"), 2, ".parquet")
    failed(shotdex("sql", "SELECT 1", "-o", tmp_path / "none" / "rows.csv"), 2, "cannot write")
    failed(shotdex("sql", "SELECT 1; SELECT 2", "-o", tmp_path / "two.parquet"), 2, "one statement")
    failed(shotdex("sql", "SELECT INTERVAL 1 DAY AS i", "-o", tmp_path / "i.parquet"), 2, "VARCHAR")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.md"]
    assert shotdex("sql", "SELECT 1", "-o", "/dev/null", "--format", "csv").status == 0


def test_values_are_written_as_duckdb_writes_them(shotdex: Run) -> None:
    statement = "SELECT true AS yes, NULL AS none, '' AS empty, [1, NULL] AS list, {'a': 'b'} AS struct"
    assert shotdex("sql", statement).out.splitlines()[2].split() == ["true", "NULL", "[1,", "NULL]", "{'a':", "b}"]
    assert shotdex("sql", statement, "--format", "tsv").out.splitlines()[1] == 'true\t\t\t[1, null]\t"{""a"": ""b""}"'
