"""What SQL of a user cannot do, through `sql` and through a filter: write, look elsewhere, change settings, go on."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from shotdex.analysis.results import category_counts, count_by
from shotdex.query.sql import Rows, SqlLimits, run_statements
from shotdex.store import ids as ids_module
from shotdex.store.encoders import add_encoder
from shotdex.store.errors import BadSql
from shotdex.store.ids import filtered_ids
from shotdex.store.sql_guard import NEVER
from shotdex.store.store import Store
from shotdex.store.types import ImageVectors
from tests.cli.checks import failed
from tests.conftest import Ran
from tests.support.fakes import fake_id
from tests.support.interrupts import ctrl_c
from tests.support.rows import ImageRow, add_images, add_vectors


def run_sql(store: Store, sql: str) -> Rows:
    """Return the rows of the last statement."""
    return run_statements(store, sql)[-1]


ENDLESS = "SELECT count(*) FROM range(100000000000) a, range(100000) b"

# {root} is the store's folder, {here} another one with a file f.csv.
REFUSED = """
COPY (SELECT 1) TO '{root}/catalog.duckdb.wal'
COPY (SELECT 1) TO '{root}/catalog.duckdb' (USE_TMP_FILE false)
COPY images TO '{root}/catalog.duckdb.tmp/x.csv'
COPY (SELECT 1) TO '{here}/o.csv'
COPY images FROM '{here}/f.csv'
COPY images FROM '/dev/stdin'
WITH x AS (COPY (SELECT 1) TO '{root}/catalog.duckdb.wal') FROM x
WITH x AS (COPY (SELECT 1) TO '{root}/catalog.duckdb.wal') PIVOT x ON count USING count(*)
WITH x AS (INSERT INTO failures (path) VALUES ('x') RETURNING *) FROM x
EXPLAIN ANALYZE COPY (SELECT 1) TO '{root}/catalog.duckdb.wal'
EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{root}/catalog.duckdb.wal'
EXPLAIN ANALYZE DELETE FROM failures
EXPLAIN ANALYZE SELECT sleep_ms(1)
PREPARE p AS COPY (SELECT 1) TO '{root}/catalog.duckdb.wal'; EXECUTE p
SELECT 1; COPY (SELECT 1) TO '{root}/catalog.duckdb.wal'
CREATE TEMP TABLE t AS SELECT 1; COPY t TO '{root}/catalog.duckdb.wal'
EXPORT DATABASE '{here}/e'
IMPORT DATABASE '{here}/e'
INSERT INTO failures (path) VALUES ('x')
DELETE FROM failures
UPDATE stored_images SET path = 'x'
MERGE INTO failures USING failures f ON (true) WHEN MATCHED THEN DELETE
TRUNCATE failures
DROP TABLE failures
DROP VIEW images
ALTER TABLE failures ADD COLUMN x INT
CREATE TABLE t (i INT)
CREATE TEMP TABLE t AS SELECT * FROM range(10)
CREATE TEMP VIEW v AS SELECT 1
CREATE MACRO m() AS 1
CREATE TEMP MACRO m() AS 1
CREATE TEMP SEQUENCE s
CREATE SECRET s (TYPE S3, KEY_ID 'x', SECRET 'y')
COMMENT ON TABLE failures IS 'x'
ATTACH ':memory:' AS m
ATTACH '{here}/n.duckdb' AS n
ATTACH '{root}/catalog.duckdb' AS again (READ_WRITE)
DETACH catalog
USE memory
INSTALL httpfs
INSTALL httpfs FROM '{here}'
FORCE INSTALL httpfs
LOAD httpfs
LOAD json
LOAD '{here}/f.csv'
UPDATE EXTENSIONS
SET threads = 1
SET memory_limit = '1TB'
SET temp_directory = '{here}'
SET enable_external_access = true
SET lock_configuration = false
SET disabled_filesystems = ''
SET VARIABLE a = 1
RESET disabled_filesystems
PRAGMA enable_profiling
PRAGMA profiling_output = '{here}/p.json'
PRAGMA table_info('images')
PRAGMA json_execute_serialized_sql('x')
CALL enable_logging(storage = 'file', storage_path = '{here}/l')
SELECT * FROM enable_logging()
SELECT * FROM enable_profiling()
CHECKPOINT
FORCE CHECKPOINT
VACUUM
ANALYZE
BEGIN
SELECT * FROM read_csv('{here}/f.csv')
SELECT * FROM read_text('{here}/f.csv')
SELECT * FROM read_blob('{root}/catalog.duckdb')
SELECT * FROM read_blob('{root}/indexing.lock')
SELECT * FROM read_json('{here}/f.csv')
SELECT * FROM read_parquet('{here}/f.csv')
SELECT * FROM parquet_metadata('{here}/f.csv')
SELECT * FROM read_duckdb('{here}/f.csv')
SELECT * FROM sniff_csv('{here}/f.csv')
SELECT * FROM glob('{here}/*')
SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')
SELECT * FROM read_csv('s3://bucket/x.csv')
SELECT * FROM '{here}/f.csv'
FROM 'f.csv'
FROM "f.csv"
FROM '/dev/stdin'
SELECT * FROM duckdb_extensions()
SELECT getenv('HOME')
FROM ours
FROM ids_module
SELECT * FROM pandas_scan(1)
SELECT * FROM arrow_scan(1, 1, 1)
SELECT * FROM query('SELECT ' || 'sleep_ms(1)')
SELECT * FROM query('COPY (SELECT 1) TO ''{here}/o.csv''')
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))
SELECT sleep_ms(1)
SELECT "sleep_ms"(1)
SELECT system.main.SLEEP_MS(1)
SELECT list_transform([1], lambda x: sleep_ms(x))
PIVOT (SELECT sleep_ms(1) a) ON a USING count(*)
SELECT count(DISTINCT (joint, vision)) FROM vectors_1
SELECT DISTINCT Row(v) FROM Vectors_1 v
WITH a AS (SELECT joint AS j FROM vectors_1), b AS (SELECT j AS i FROM a) SELECT count(DISTINCT ([i],)) FROM b
SELECT count(*) FROM vectors_1 a JOIN vectors_1 b ON (a.joint, a.vision) = (b.joint, b.vision)
SELECT count(DISTINCT (array_value(image_id), 1)) FROM images
SELECT count(DISTINCT (([image_id])::BIGINT[1], 1)) FROM images
""".strip().splitlines()

FILTERS = """
true); COPY (SELECT 1) TO '{root}/catalog.duckdb.wal'; SELECT (true
true) UNION ALL SELECT 5 WHERE (true
true) ORDER BY (1
true), (false
1 = 1) --
true; DELETE FROM failures
image_id IN (WITH x AS (COPY (SELECT 1) TO '{root}/catalog.duckdb.wal') SELECT 1 FROM x)
image_id IN (WITH x AS (INSERT INTO failures (path) VALUES ('x') RETURNING 1) FROM x)
path IN (SELECT content FROM read_text('{here}/f.csv'))
path IN (SELECT a FROM read_csv('{here}/f.csv'))
path IN (SELECT a FROM '{here}/f.csv')
path IN (SELECT file FROM glob('{here}/*'))
path IN (SELECT a FROM ours)
EXISTS (FROM read_blob('{root}/catalog.duckdb'))
EXISTS (FROM query('SELECT 1'))
EXISTS (FROM json_execute_serialized_sql('x'))
EXISTS (FROM enable_logging())
sleep_ms(1) IS NULL
getenv('HOME') = ''
path = $a
path = ?
image_id IN (SELECT max(image_id) FROM vectors_1 GROUP BY ALL HAVING count(DISTINCT (joint,)) = 1)
nonsense = 1
/* never ended
""".strip().splitlines()

ALLOWED = {
    "FROM images": 3,
    "TABLE images": 3,
    "VALUES (1), (2)": 2,
    "SHOW TABLES": None,
    "DESCRIBE images": None,
    "SUMMARIZE images": None,
    "EXPLAIN SELECT 1": 1,
    "EXPLAIN ANALYZE SELECT count(*) FROM images": 1,
    "EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1": 1,
    "PIVOT images ON category USING count(*)": None,
    "UNPIVOT (SELECT 1 a, 2 b) ON a, b": 2,
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) FROM t": 5,
    "WITH a AS (FROM images), b AS (FROM a) FROM b UNION ALL FROM b": 6,
    "SELECT 1; SELECT 2": 1,
    "-- what\nSELECT 'sleep_ms(1); COPY x TO y', '\"type\":\"COPY_QUERY_NODE\"'": 1,
    "SELECT list_transform([1, 2], lambda x: x + 1)": 1,
    "SELECT count(DISTINCT joint), count(DISTINCT {'a': joint, 'b': vision}) FROM vectors_1": 1,
    "SELECT DISTINCT joint, vision FROM vectors_1": 3,
    "SELECT DISTINCT (image_id, array_distance(joint, joint), len(vision), joint[1] > 0) FROM vectors_1": 3,
    "FROM images JOIN vectors_1 USING (image_id) WHERE (category, 1) = ('cat', 1) AND joint = joint": 3,
    "SELECT path, sum(image_id) OVER (ORDER BY path) FROM images QUALIFY true": 3,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for all, as none of them may change it."""
    store = Store.create(tmp_path_factory.mktemp("safe") / "store")
    with store.writing() as con:
        number = add_encoder(con, fake_id())
        rows = [ImageRow(i, f"/p/{i}.png", "/p", "cat", None, None, f"{i:064x}") for i in (1, 2, 3)]
        add_images(con, rows)
        add_vectors(con, number, [1, 2, 3], ImageVectors(np.eye(3, 12, dtype=np.float32), np.ones((3, 16), np.float32)))
    return store


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "f.csv").write_text("a,b\n/p/2.png,x\n")
    monkeypatch.chdir(folder)
    return folder


def everything(*folders: Path) -> dict[str, str]:
    files = [path for folder in folders for path in folder.rglob("*")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for path in files}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_sql_cannot_do(store: Store, here: Path, statement: str) -> None:
    ours = {"a": np.array([1])}
    before = everything(store.root, here)
    with pytest.raises(BadSql):
        run_sql(store, statement.format(root=store.root, here=here))
    assert everything(store.root, here) == before
    assert ours


@pytest.mark.parametrize("where", FILTERS)
def test_what_a_filter_cannot_do(store: Store, here: Path, where: str) -> None:
    before = everything(store.root, here)
    condition = where.format(root=store.root, here=here)
    with store.reading() as con:
        for use in (filtered_ids, category_counts, lambda con, where: count_by(con, "category", "split", where)):
            with pytest.raises(BadSql):
                use(con, condition)
    assert everything(store.root, here) == before


@pytest.mark.parametrize("statement", ALLOWED)
def test_what_sql_can_do(store: Store, statement: str) -> None:
    answer = run_sql(store, statement)
    expected = ALLOWED[statement]
    assert len(answer.rows) == expected if expected is not None else answer.rows


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("path LIKE '%2.png' -- and no more", [2]),
        ("path = 'a); DROP TABLE images' OR image_id > 2", [3]),
        ("image_id IN (WITH x AS (SELECT 2) FROM x)", [2]),
        ("image_id = (SELECT max(image_id) FROM images)", [3]),
        ("", None),
        ("NULL", []),
    ],
)
def test_what_a_filter_can_do(store: Store, where: str, ids: list[int] | None) -> None:
    with store.reading() as con:
        if ids is None:
            with pytest.raises(BadSql, match="empty"):
                filtered_ids(con, where)
        else:
            assert filtered_ids(con, where).tolist() == ids
            assert category_counts(con, where) == ({"cat": len(ids)} if ids else {})


class TestWhatIsAlwaysForbidden:
    """Also where our own look at a statement would let it pass: DuckDB itself has no way to a file."""

    @pytest.mark.parametrize(
        "statement",
        [
            "COPY (SELECT 1) TO '{root}/catalog.duckdb' (USE_TMP_FILE false)",
            "COPY (SELECT 1) TO '{root}/catalog.duckdb.wal'",
            "WITH x AS (COPY (SELECT 1) TO '{root}/catalog.duckdb.wal') FROM x",
            "SELECT * FROM read_blob('{root}/catalog.duckdb')",
            "SELECT * FROM read_csv('{here}/f.csv')",
            "ATTACH '{here}/n.duckdb'",
            "EXPORT DATABASE '{here}/e'",
            "SET disabled_filesystems = ''",
            "SET memory_limit = '1TB'",
            "INSERT INTO failures (path) VALUES ('x')",
        ],
    )
    def test_by_duckdb(self, store: Store, here: Path, statement: str) -> None:
        before = everything(store.root, here)
        with store.reading() as con:
            assert store.identity, "a second connection, which finds the settings locked"
            with pytest.raises(duckdb.Error):
                con.run(statement.format(root=store.root, here=here))
        assert everything(store.root, here) == before

    def test_memory_and_disk_are_bounded(self, store: Store) -> None:
        names = ("memory_limit", "temp_directory", "python_enable_replacements", "lock_configuration")
        query = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
        unit = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
        for opened in (store, Store(store.root, allow_external=True)):
            memory, *others = run_sql(opened, query).rows[0]
            amount, name = memory.split()
            if hasattr(os, "sysconf"):
                everything_there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
                assert float(amount) * unit[name] <= 0.51 * everything_there
            assert others == ["", False, True]


class TestAllowExternal:
    @pytest.fixture
    def open_store(self, store: Store) -> Store:
        return Store.open(store.root, allow_external=True)

    def test_it_reads_other_files(self, open_store: Store, here: Path) -> None:
        assert run_sql(open_store, "SELECT image_id, b FROM images JOIN 'f.csv' ON a = path").rows == ((2, "x"),)
        assert run_sql(open_store, f"SELECT content FROM read_text('{here}/f.csv')").rows == (("a,b\n/p/2.png,x\n",),)
        with open_store.reading() as con:
            assert filtered_ids(con, "path IN (SELECT a FROM 'f.csv')").tolist() == [2]

    WRITES = tuple(
        line
        for line in REFUSED
        if line.split()[0] in ("COPY", "WITH", "EXPLAIN", "PREPARE", "EXPORT", "INSERT", "DELETE", "UPDATE", "ATTACH")
        or (
            line.split()[0] in ("SET", "RESET", "INSTALL", "LOAD", "CREATE", "DROP", "CALL", "CHECKPOINT", "SELECT")
            and ("read_" not in line and "f.csv" not in line and "glob" not in line and "duckdb_" not in line)
        )
    )

    @pytest.mark.parametrize("statement", WRITES)
    def test_it_writes_nothing(self, open_store: Store, here: Path, statement: str) -> None:
        before = everything(open_store.root, here)
        with pytest.raises(BadSql):
            run_sql(open_store, statement.format(root=open_store.root, here=here))
        assert everything(open_store.root, here) == before

    def test_a_file_that_is_not_there(self, open_store: Store, here: Path) -> None:
        with pytest.raises(BadSql, match=r"none\.csv"):
            run_sql(open_store, "FROM 'none.csv'")
        assert (here / "f.csv").is_file()

    @pytest.mark.parametrize("statement", ["FROM 'f.csv'", "FROM read_csv('f.csv')", "FROM 'https://host/x.csv'"])
    def test_the_command_says_what_would_allow_it(
        self, store: Store, here: Path, shotdex: Callable[..., Ran], statement: str
    ) -> None:
        failed(shotdex("sql", statement, "--store", store.root), 1, "--allow-external")
        assert (here / "f.csv").is_file()

    def test_the_commands(self, store: Store, here: Path, shotdex: Callable[..., Ran]) -> None:
        joined = "SELECT image_id FROM images JOIN 'f.csv' ON a = path"
        ran = shotdex("sql", "--allow-external", joined, "--format", "csv", "--store", store.root)
        assert (ran.status, ran.out) == (0, "image_id\n2\n")
        where = ("--where", "path IN (SELECT a FROM 'f.csv')", "--store", store.root)
        failed(shotdex("plot", "counts", "--out", "c.png", *where), 1, "shotdex sql --allow-external")
        failed(shotdex("plot", "counts", "--out", "c.png", "--allow-external", *where), 2, "no such option")
        assert not (here / "c.png").exists()


class TestItEnds:
    def interrupted(self, work: Callable[[], object], after: float = 0.4) -> float:
        sent: list[float] = []
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt), ctrl_c(after, sent):
            work()
        assert len(sent) == 1
        return time.monotonic() - started

    def test_ctrl_c_ends_a_statement(self, store: Store) -> None:
        assert self.interrupted(lambda: run_sql(store, ENDLESS)) < 3
        assert run_sql(store, "SELECT count(*) FROM images").rows == ((3,),)
        with store.writing() as con:
            con.run("DELETE FROM failures")

    def test_ctrl_c_ends_a_filter(self, store: Store) -> None:
        with store.reading() as con:
            assert self.interrupted(lambda: filtered_ids(con, f"image_id < ({ENDLESS})")) < 3
            assert filtered_ids(con, "image_id < 3").tolist() == [1, 2]

    @pytest.mark.parametrize("begun", [False, True])
    def test_ctrl_c_while_the_thread_is_being_started(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, begun: bool
    ) -> None:
        start = threading.Thread.start

        def interrupted(thread: threading.Thread) -> None:
            if thread.name != "query":
                return start(thread)
            if begun:
                start(thread)
                time.sleep(0.3)
            raise KeyboardInterrupt

        monkeypatch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_sql(store, ENDLESS)
        with store.writing() as con:  # nobody has the catalog open
            con.run("DELETE FROM failures")

    def test_the_command_says_so(self, store: Store, shotdex: Callable[..., Ran]) -> None:
        sent: list[float] = []
        with ctrl_c(0.6, sent):
            ran = shotdex("sql", ENDLESS, "--store", store.root)
        assert len(sent) == 1
        assert (ran.status, ran.out, ran.err.strip()) == (130, "", "interrupted")

    def test_the_clock_ends_it(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ids_module, "QUERY_SECONDS", 0.2)
        started = time.monotonic()
        with pytest.raises(BadSql, match=r"longer than 0\.2 s"):
            run_statements(store, ENDLESS, limits=SqlLimits(seconds=0.2))
        with store.reading() as con, pytest.raises(BadSql, match=r"longer than 0\.2 s"):
            filtered_ids(con, f"image_id < ({ENDLESS})")
        assert time.monotonic() - started < 5

    def test_a_result_is_bounded(self, store: Store) -> None:
        limits = SqlLimits(bytes=1_000_000)
        assert len(run_statements(store, "FROM range(1000)", limits=limits)[0].rows) == 1000
        for statement in ("FROM range(1000000000)", "SELECT repeat('x', 100000) FROM range(100)"):
            with pytest.raises(BadSql, match=r"more than 1,000,000 bytes"):
                run_statements(store, statement, limits=limits)


def test_kept_secrets_are_not_seen(store: Store) -> None:
    assert run_sql(store, "SELECT * FROM duckdb_secrets()").rows == ()


def test_the_functions_that_are_refused_are_there(store: Store) -> None:
    """Under another name in a later DuckDB they would pass."""
    found = run_sql(store, "SELECT DISTINCT function_name FROM duckdb_functions()").rows
    assert {row[0] for row in found} >= NEVER.keys()
