"""The catalog's file: other programs read it, and one of a newer storage version is written again for them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from shotdex.store import create, opening, schema
from shotdex.store.connection import STORAGE, quoted
from shotdex.store.create import rewrite_catalog
from shotdex.store.errors import StoreError
from shotdex.store.store import Store
from shotdex.upkeep.prune import prune
from shotdex.upkeep.status import status
from shotdex.upkeep.verify import VerifyOptions, verify
from tests.conftest import Ran
from tests.support.evaluated import evaluated_store

OWN = """
    CREATE SCHEMA notes;
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE SEQUENCE numbers START 5;
    CREATE TABLE notes.mine (
        id INTEGER PRIMARY KEY DEFAULT nextval('numbers'), text VARCHAR NOT NULL UNIQUE, how mood, CHECK (id > 0)
    );
    INSERT INTO notes.mine (text, how) VALUES ('a', 'ok'), ('b', NULL);
    CREATE TABLE notes.twice (id INTEGER REFERENCES notes.mine (id), doubled INTEGER GENERATED ALWAYS AS (id * 2));
    CREATE INDEX by_mood ON notes.mine (how);
    CREATE MACRO half(a, b := 2) AS a / b;
    CREATE MACRO first_notes(n) AS TABLE SELECT * FROM notes.mine ORDER BY id LIMIT n;
    CREATE VIEW zz AS SELECT half(id) AS h, text FROM notes.mine;
    CREATE VIEW aa AS SELECT * FROM zz;
    COMMENT ON TABLE notes.mine IS 'own';
    COMMENT ON COLUMN notes.mine.text IS 'what I think';
"""


def contents(path: Path) -> dict[str, Any]:
    """Everything in a catalog: what duckdb lists of it, and all rows."""
    with duckdb.connect() as con:
        con.execute(f"ATTACH {quoted(path)} AS c (READ_ONLY); USE c")
        of = "database_name = 'c'"
        found: dict[str, Any] = {
            query: sorted(map(str, con.execute(query.format(of=of)).fetchall())) for query in create._OBJECTS
        }
        constraints = f"SELECT schema_name, table_name, constraint_text FROM duckdb_constraints() WHERE {of}"
        found["constraints"] = sorted(map(str, con.execute(constraints).fetchall()))
        for place in con.execute(f"SELECT schema_name, table_name FROM duckdb_tables() WHERE {of}").fetchall():
            found[str(place)] = con.execute('FROM "{}"."{}"'.format(*place)).fetchall()
        return found


def newer(root: Path) -> None:
    """Make a store's catalog one as DuckDB 2 writes it by itself."""
    aside = root / "newer"
    with duckdb.connect() as con:
        con.execute(f"ATTACH {quoted(root / 'catalog.duckdb')} AS old (READ_ONLY)")
        con.execute(f"ATTACH {quoted(aside)} AS new; COPY FROM DATABASE old TO new")
    aside.replace(root / "catalog.duckdb")


@pytest.fixture
def older(store: Store) -> Store:
    """A store whose catalog has a newer storage version, with what a user added to it."""
    with duckdb.connect(str(store.catalog)) as con:
        con.execute(OWN)
    newer(store.root)
    assert status(store).storage_version == "v2.0.0"
    return store


def test_a_new_catalog_has_the_storage_version_that_all_read(tmp_path: Path) -> None:
    assert status(Store.create(tmp_path / "s")).storage_version == STORAGE


def test_rewriting_keeps_everything(older: Store) -> None:
    before, number = contents(older.catalog), older.catalog.stat().st_ino
    older.catalog.chmod(0o640)
    assert older.update_storage()
    assert older.catalog.stat().st_ino != number
    assert stat.S_IMODE(older.catalog.stat().st_mode) == 0o640
    assert contents(older.catalog) == before
    assert status(older).storage_version == STORAGE
    assert sorted(path.name for path in older.root.iterdir()) == ["catalog.duckdb", "index", "indexing.lock"]
    assert not older.update_storage(), "once is enough"
    with older.writing() as con:
        assert con.value("SELECT nextval('numbers')") == 7


def test_what_stands_in_the_log_is_kept(older: Store) -> None:
    writer = (
        "import duckdb, os, sys\n"
        "con = duckdb.connect(sys.argv[1])\n"
        "con.execute(\"INSERT INTO notes.mine (text) VALUES ('from the log')\")\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", writer, str(older.catalog)], check=False)
    assert (older.root / "catalog.duckdb.wal").stat().st_size
    before = contents(older.catalog)
    assert older.update_storage()
    assert contents(older.catalog) == before
    assert not (older.root / "catalog.duckdb.wal").exists()


def test_a_link_to_a_catalog_stays_one(older: Store, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.duckdb"
    older.catalog.rename(elsewhere)
    older.catalog.symlink_to(elsewhere)
    assert older.update_storage()
    assert older.catalog.is_symlink()
    assert status(older).storage_version == STORAGE


@pytest.mark.parametrize("how", ["index", "repair"])
def test_index_and_repair_do_it(older: Store, how: str, colours: Path, shotdex: Callable[..., Ran]) -> None:
    if how == "index":
        assert shotdex("index", colours, "--model", "demo", "--store", older.root).status == 0
    else:
        found = verify(older.root, VerifyOptions(repair=True))
        assert found.whole
        assert [line for line in found.done if f"storage version {STORAGE}" in line]
    assert status(older).storage_version == STORAGE
    assert verify(older.root, VerifyOptions()).whole


def test_a_copy_that_is_not_complete_is_not_taken(older: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(older.catalog)
    monkeypatch.setattr(create, "_compare", lambda con: (con.run("DROP VIEW catalog.aa"), _compare(con)))
    with pytest.raises(StoreError, match="could not be copied in full"):
        rewrite_catalog(older.catalog)
    assert not older.update_storage()
    assert contents(older.catalog) == before
    assert not (older.root / "catalog.part").exists()


_compare = create._compare


def test_readers_go_on_meanwhile_and_writers_wait(older: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import duckdb, sys; duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'r').execute('FROM meta')"
    ended: dict[str, int] = {}

    def meanwhile(con: Any) -> None:
        for mode in "rw":
            arguments = [sys.executable, "-c", code, str(older.catalog), mode]
            ended[mode] = subprocess.run(arguments, check=False, capture_output=True).returncode
        _compare(con)

    monkeypatch.setattr(create, "_compare", meanwhile)
    rewrite_catalog(older.catalog)
    assert ended["r"] == 0 and ended["w"] != 0


KILLED = """
import os, sys
from pathlib import Path
from shotdex.store import create, opening
from shotdex.store.connection import Connection
from shotdex.store.store import Store

count, last = 0, int(sys.argv[2])

def counted(work):
    def wrapper(*arguments, **named):
        global count
        made = work(*arguments, **named)
        count += 1
        if count == last:
            os.kill(os.getpid(), 9)
        return made
    return wrapper

Connection.run = counted(Connection.run)
Path.replace = counted(Path.replace)
create._sync = counted(create._sync)
store = Store.open(Path(sys.argv[1]))
with store.indexing():
    assert store.update_storage()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills itself by a signal")
def test_killed_anywhere_it_is_the_old_or_the_new_one_whole(older: Store, tmp_path: Path) -> None:
    before = contents(older.catalog)
    versions = []
    for last in range(1, 40):
        copy = tmp_path / str(last)
        shutil.copytree(older.root, copy)
        ended = subprocess.run([sys.executable, "-c", KILLED, str(copy), str(last)], check=False).returncode
        versions.append(status(Store(copy)).storage_version)
        assert contents(copy / "catalog.duckdb") == before
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        assert Store(copy).update_storage() is (versions[-1] != STORAGE)
        assert not list(copy.glob("*.part*"))
    assert ended == 0
    assert versions[0] == "v2.0.0" and versions == sorted(versions, reverse=True)


def cached_duckdb() -> Path:
    """Return the interpreter of an environment with an older duckdb, made once."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shotdex-tests" / "duckdb-1.5"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = folder / "ready"
    if not ready.exists():
        try:
            venv.create(folder, with_pip=True, clear=True)
            install = [str(python), "-m", "pip", "install", "-q", "duckdb==1.5.*"]
            subprocess.run(install, check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"duckdb 1.5 cannot be installed here: {error}")
        ready.touch()
    return python


READER = """
import json, sys, duckdb
assert duckdb.__version__.startswith("1.5.")
con = duckdb.connect(sys.argv[1], read_only=True)
names = [row[0] for row in con.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall()]
rows = {name: sorted(map(str, con.execute(f'SELECT * FROM "{name}"').fetchall())) for name in names}
print(json.dumps(rows))
"""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that was indexed, classified, pruned and repaired."""
    store = evaluated_store(tmp_path_factory.mktemp("used") / "store")
    with store.writing() as con:
        con.run("UPDATE stored_images SET removed_at = now()::TIMESTAMP WHERE image_id % 5 = 0")
        con.run("UPDATE stored_images SET removed_at = NULL WHERE image_id = 5; DROP VIEW accuracy")
    assert prune(store).vectors
    assert verify(store.root, VerifyOptions(repair=True)).done
    return store


@pytest.mark.parametrize("how", ["as it is", "written again"])
def test_duckdb_1_5_reads_every_table_and_view(used: Store, tmp_path: Path, how: str) -> None:
    python = cached_duckdb()
    root = tmp_path / "copy"
    shutil.copytree(used.root, root)
    if how == "written again":
        newer(root)
        assert Store(root).update_storage()
    read = subprocess.run([str(python), "-c", READER, str(root / "catalog.duckdb")], capture_output=True, text=True)
    assert read.returncode == 0, read.stderr
    found = json.loads(read.stdout)
    assert {name for name, _ in schema.VIEWS} | {"stored_images", "vectors_1"} <= set(found)
    con = opening.to_read(used.catalog, allow_external=False)
    expected = {name: sorted(map(str, con.rows(f'SELECT * FROM "{name}"'))) for name in found}
    con.close()
    assert found == expected
    assert all(found[name] for name in ("outcomes", "accuracy", "topk_accuracy", "images", "vectors_1"))
