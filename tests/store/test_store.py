"""Creating, opening, locking and breaking a store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from shotdex.store import opening, schema
from shotdex.store.encoders import add_encoder, list_encoders
from shotdex.store.errors import SchemaTooNew, ShotdexError, StoreCorrupt, StoreError, StoreLocked, StoreNotFound
from shotdex.store.location import find_store, nearest_store, store_to_write
from shotdex.store.store import Store
from shotdex.upkeep.status import status
from tests.conftest import Ran, index
from tests.support.fakes import FakeEncoder, fake_id


def test_a_new_store_is_empty_and_opens_again(tmp_path: Path) -> None:
    Store.create(tmp_path / "s")
    again = Store.open(tmp_path / "s")
    with again.reading() as con:
        assert con.rows("SELECT * FROM images") == []
        assert con.value("SELECT value FROM meta WHERE key = 'schema_version'") == str(schema.VERSION)
    assert Store.create(tmp_path / "s").root == again.root


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match=str(tmp_path / "nowhere")) as caught:
        Store.open(tmp_path / "nowhere")
    assert "shotdex index" in caught.value.hint


def test_a_newer_schema_is_refused(store: Store) -> None:
    with store.writing() as con:
        con.run("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(SchemaTooNew, match="99") as caught:
        Store.open(store.root)
    assert "upgrade" in caught.value.hint


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with duckdb.connect(str(tmp_path / "s" / "catalog.duckdb")) as con:
        con.execute("CREATE TABLE meta (key VARCHAR); CREATE TABLE other (a INT)")
    with pytest.raises(StoreCorrupt, match="not a catalog of shotdex"):
        Store.open(tmp_path / "s")


@pytest.mark.parametrize("value", [None, "0", "-1", "", "three", "3.0", "1e3", "٣"])
@pytest.mark.parametrize("way", ["reading", "writing"])
def test_a_schema_version_that_is_not_a_number_from_1_is_corrupt(store: Store, value: str | None, way: str) -> None:
    with store.writing() as con:
        con.run("UPDATE meta SET value = $value WHERE key = 'schema_version'", {"value": value})
    with pytest.raises(StoreCorrupt, match="schema version is") as caught, getattr(Store.at(store.root), way)():
        pass
    assert "--store DIR" in caught.value.hint


@pytest.mark.parametrize("value", [None, "", "0" * 31, "0" * 33, "A" * 32, "/../../../zz", "../" * 10 + "zz"])
def test_a_store_id_of_which_no_file_name_can_be_made_is_corrupt(
    store: Store, tmp_path: Path, value: str | None, shotdex: Callable[..., Ran]
) -> None:
    outside = [tmp_path / "zz.faiss", store.root / "zz.faiss", tmp_path / "zz.cells"]
    for path in outside:
        path.write_bytes(b"somebody's")
    (store.index_folder / "encoder-1-").mkdir()
    with store.writing() as con:
        add_encoder(con, fake_id())
        con.run("UPDATE meta SET value = $value WHERE key = 'store_id'", {"value": value})
    with pytest.raises(StoreCorrupt, match="store_id is"):
        Store.open(store.root)
    ran = shotdex("verify", "--repair", "--store", store.root)
    assert ran.status == 1
    assert "store_id is" in ran.out + ran.err
    assert all(path.read_bytes() == b"somebody's" for path in outside)


def test_an_encoder_whose_number_is_not_one_is_corrupt(store: Store) -> None:
    with store.writing() as con:
        add_encoder(con, fake_id())
        con.run("ALTER TABLE encoders ALTER encoder_id TYPE VARCHAR; UPDATE encoders SET encoder_id = '/../../x'")
    with store.reading() as con, pytest.raises(StoreCorrupt, match="encoder_id is not a number"):
        list_encoders(con)


@pytest.mark.parametrize("junk", [b"not a database", b"", b"\0" * 20_000], ids=["text", "empty", "zeros"])
def test_garbage_is_corrupt_not_a_traceback(store: Store, junk: bytes) -> None:
    store.catalog.write_bytes(junk)
    with pytest.raises(StoreCorrupt):
        Store.open(store.root)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_truncated_catalog_is_an_error_of_ours(
    store: Store, fake: FakeEncoder, colours: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "WAIT_SECONDS", 0.2)
    index(store, colours, fake)
    data = store.catalog.read_bytes()
    store.catalog.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(StoreCorrupt):
        status(Store.open(store.root))


def test_a_damaged_block_is_corrupt_not_locked(
    store: Store, fake: FakeEncoder, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "WAIT_SECONDS", 0.2)
    index(store, colours, fake)
    data = store.catalog.read_bytes()
    # DuckDB keeps a checksum for each header, 4,096 bytes, and each block of 262,144; four places in each.
    for place in [*range(0, 12288, 4096), *range(12288, len(data), 65536)]:
        damaged = bytearray(data)
        damaged[place + 64 : place + 128] = bytes(255 - byte for byte in damaged[place + 64 : place + 128])
        store.catalog.write_bytes(bytes(damaged))
        try:
            status(Store.open(store.root))
        except StoreLocked as error:
            pytest.fail(f"damage at byte {place} is called a lock: {error.__cause__}")
        except ShotdexError:
            continue


def test_a_folder_called_lock_does_not_make_a_broken_catalog_a_locked_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "WAIT_SECONDS", 0.2)
    root = tmp_path / "clocks"
    root.mkdir()
    (root / "catalog.duckdb").write_bytes(b"not a database")
    with pytest.raises(StoreCorrupt):
        Store.open(root)


def test_a_kill_while_the_store_was_being_made_leaves_something_that_can_be_made(tmp_path: Path) -> None:
    root = tmp_path / "s"
    root.mkdir()
    duckdb.connect(str(root / "catalog.duckdb")).close()  # what is there before the first commit
    Store.create(root)
    assert status(Store.open(root)).images == 0


def test_a_place_that_cannot_be_made_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot make a store") as caught:
        Store.create(tmp_path / "file" / "s")
    assert "--store" in caught.value.hint


HOLD = """
import sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_held_catalog_names_its_holder(store: Store, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "WAIT_SECONDS", 0.2)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.catalog), kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreLocked, match=f"process {holder.pid}") as caught, store.writing():
            pass
        assert str(holder.pid) in caught.value.hint
        holder.communicate("go\n")
    with store.writing() as con:
        assert con.value("SELECT count(*) FROM images") == 0


def test_what_does_not_fit_into_memory_goes_beside_the_catalog(store: Store) -> None:
    with store.writing() as con:
        assert con.value("SELECT current_setting('temp_directory')") == f"{store.catalog}.tmp"


def test_a_transaction_is_undone_whole(store: Store) -> None:
    def fail() -> None:
        with store.writing() as con:
            add_encoder(con, fake_id())
            con.run("INSERT INTO failures (path) VALUES ('x')")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with store.reading() as con:
        assert con.rows("SELECT path FROM failures") == []
        assert con.rows("SELECT * FROM encoders") == []
        assert con.rows("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'vectors%'") == []


REFUSED = [
    "CREATE TABLE t (a INT)",
    "INSERT INTO failures (path) VALUES ('x')",
    "DELETE FROM stored_images",
    "DROP VIEW images",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_csv('{file}')",
    "FROM '{file}'",
    "SELECT * FROM glob('{folder}/*')",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "EXPORT DATABASE '{folder}/out'",
    "ATTACH '{folder}/other.duckdb'",
    "ATTACH ':memory:' AS m; CREATE TABLE m.t AS FROM read_text('{file}')",
    "SET enable_external_access = true",
    "SET threads = 1",
    "RESET lock_configuration",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CREATE SECRET (TYPE s3)",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_a_reading_connection_refuses(store: Store, tmp_path: Path, statement: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    before = sorted(tmp_path.iterdir())
    with store.reading() as con, pytest.raises(duckdb.Error):
        con.rows(statement.format(file=secret, folder=tmp_path))
    assert sorted(tmp_path.iterdir()) == before


def test_sql_cannot_see_the_programs_own_variables(store: Store) -> None:
    import pyarrow as pa

    hidden = pa.table({"a": [1]})
    assert len(hidden) == 1
    with store.reading() as con, pytest.raises(duckdb.Error):
        con.rows("SELECT * FROM hidden")


class TestLocation:
    """--store, then the environment, then the nearest upward."""

    def make(self, folder: Path) -> Path:
        return Store.create(folder).root

    def test_order(self, tmp_path: Path) -> None:
        named, env, near = (self.make(tmp_path / name) for name in ("named", "env", "near/.shotdex"))
        here = tmp_path / "near" / "a" / "b"
        here.mkdir(parents=True)
        environ = {"SHOTDEX_STORE": str(env)}
        assert find_store(named, environ, here) == named
        assert find_store(None, environ, here) == env
        assert find_store(None, {"SHOTDEX_STORE": ""}, here) == near
        assert nearest_store(here) == near

    def test_nearer_wins_and_a_folder_without_catalog_does_not_count(self, tmp_path: Path) -> None:
        self.make(tmp_path / ".shotdex")
        inner = self.make(tmp_path / "a" / ".shotdex")
        (tmp_path / "a" / "b" / ".shotdex").mkdir(parents=True)
        assert find_store(None, {}, tmp_path / "a" / "b") == inner

    def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(StoreNotFound, match=f"no store in {tmp_path} or above it") as caught:
            find_store(None, {}, tmp_path)
        assert "--store" in caught.value.hint

    def test_a_named_one_that_is_not_there_is_an_error_even_when_another_is_near(self, tmp_path: Path) -> None:
        self.make(tmp_path / ".shotdex")
        with pytest.raises(StoreNotFound, match="elsewhere"):
            find_store(Path("elsewhere"), {}, tmp_path)

    def test_writing_goes_to_the_named_the_nearest_or_a_new_one(self, tmp_path: Path) -> None:
        below = tmp_path / "x"
        assert store_to_write(None, {}, below) == below / ".shotdex"
        assert store_to_write(Path("n"), {"SHOTDEX_STORE": "e"}, below) == Path("n")
        assert store_to_write(None, {"SHOTDEX_STORE": "e"}, below) == Path("e")
        near = self.make(tmp_path / ".shotdex")
        assert store_to_write(None, {}, below) == near


@pytest.mark.parametrize("content", ["nothing", "no tables"])
def test_a_catalog_that_was_never_filled_says_what_to_do(tmp_path: Path, content: str) -> None:
    """Left by a kill between making the file and filling it; `create` takes it up."""
    catalog = tmp_path / "catalog.duckdb"
    if content == "nothing":
        catalog.touch()
    else:
        duckdb.connect(str(catalog)).close()
    with pytest.raises(StoreCorrupt, match="is empty") as caught:
        Store.open(tmp_path)
    assert caught.value.hint == f"nothing is lost; index into it again: shotdex index SOURCE --store {tmp_path}"
    assert len(Store.create(tmp_path).identity) == 32
    assert len(Store.open(tmp_path).identity) == 32


def test_what_this_process_has_open_otherwise_is_waited_for_and_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "WAIT_SECONDS", 0.2)
    other = Store.at(store.root, allow_external=True)
    with store.reading():
        for taken in (store.writing, other.reading):
            with pytest.raises(StoreLocked, match="held by another part of this program; waited"), taken():
                pass
    with store.writing(), pytest.raises(StoreLocked, match="another part of this program"), store.reading():
        pass
    with other.reading() as con:
        assert con.value("SELECT 1") == 1
