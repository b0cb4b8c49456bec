"""The store: a folder with the catalog and what is derived from it. Opens the catalog for a moment at a time.

DuckDB locks the whole file between processes: a writer keeps out every reader and a reader every writer. So nothing
here holds the catalog open while it computes; who finds it taken waits a little, then says which process has it.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import duckdb

from . import schema, views
from .connection import Connection
from .errors import BadSql, SchemaTooNew, StoreCorrupt, StoreError, StoreLocked, StoreNotFound
from .location import CATALOG
from .lock import only_one

WAIT_SECONDS = 15.0
"""How long to wait for another process to let go: an indexer holds the catalog for a second or two a commit."""

INDEXING_WAIT_SECONDS = 3.0
"""How long to wait for another indexer, which may go on for hours."""

# Reading happens on behalf of a user who may paste SQL from anywhere: no files, no network, no extensions, no changes
# to these settings. The catalog itself is opened read-only.
READ_ONLY: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "lock_configuration": "true",
}


class Store:
    """A store on disk. Make one with `Store.create`, open one with `Store.open`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def identity(self) -> str:
        """A random number that this catalog was born with, as 32 hex digits."""
        with self.reading() as con:
            return str(con.value("SELECT value FROM meta WHERE key = 'store_id'"))

    @property
    def catalog(self) -> Path:
        """The catalog file."""
        return self.root / CATALOG

    @property
    def index_folder(self) -> Path:
        """Where the FAISS files are."""
        return self.root / "index"

    @classmethod
    def open(cls, root: Path) -> Store:
        """Open an existing store and check that this version can read it.

        Raises:
            StoreNotFound, StoreLocked, SchemaTooNew, StoreCorrupt.
        """
        store = cls(root)
        if not store.catalog.is_file():
            raise StoreNotFound(f"there is no store at {root}", f"make one with: shotdex index FOLDER --store {root}")
        with store.reading() as con:
            found = _schema_version(con, store.catalog)
        if found > schema.VERSION:
            raise SchemaTooNew(
                f"the store at {root} was made by a newer shotdex (schema {found}; this one knows {schema.VERSION})",
                "upgrade with: pip install --upgrade shotdex",
            )
        if found < schema.VERSION:
            store._migrate()
        return store

    @classmethod
    def create(cls, root: Path) -> Store:
        """Open the store at `root`, making it first where there is none."""
        store = cls(root)
        if store.catalog.is_file() and not store._is_unborn():
            return cls.open(root)
        try:
            store.index_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot make a store at {root}: {error.strerror}", "name another place: --store DIR"
            ) from error
        store._migrate()
        return store

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open the catalog read-only, with no way from SQL to files, network or settings."""
        con = Connection(_connect(self.catalog, read_only=True))
        try:
            with _damage_named(self.catalog):
                yield con
        finally:
            con.close()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open the catalog for a transaction that is committed when the block ends and undone when it fails."""
        con = Connection(_connect(self.catalog, read_only=False))
        try:
            with _damage_named(self.catalog), con.transaction():
                yield con
        finally:
            con.close()

    @contextmanager
    def indexing(self) -> Iterator[None]:
        """Keep other indexers out: ids are given in memory, between commits. Readers are not kept out.

        Raises:
            StoreLocked: another process is indexing.
        """
        with only_one(self.root / "indexing.lock", INDEXING_WAIT_SECONDS):
            yield

    def _is_unborn(self) -> bool:
        """Tell whether somebody was killed between making the catalog's file and filling it."""
        if self.catalog.stat().st_size == 0:
            self.catalog.unlink()
            return True
        with self.reading() as con:
            return not con.rows("SHOW TABLES")

    def _migrate(self) -> None:
        with self.writing() as con:
            con.run("CREATE TABLE IF NOT EXISTS meta (key VARCHAR, value VARCHAR)")
            found = int(con.value("SELECT value FROM meta WHERE key = 'schema_version'") or 0)
            if found == 0:
                con.run("DROP TABLE meta")
            for statements in schema.MIGRATIONS[found:]:
                con.run(statements)
            if found == 0:
                con.run("INSERT INTO meta VALUES ('store_id', $id)", {"id": uuid.uuid4().hex})
            con.run(views.statements())
            con.run("DELETE FROM meta WHERE key IN ('schema_version', 'shotdex_version')")
            con.run(
                "INSERT INTO meta VALUES ('schema_version', $schema), ('shotdex_version', $version)",
                {"schema": str(schema.VERSION), "version": version("shotdex")},
            )


def _schema_version(con: Connection, catalog: Path) -> int:
    try:
        return int(con.value("SELECT value FROM meta WHERE key = 'schema_version'"))
    except (duckdb.Error, TypeError) as error:
        raise StoreCorrupt(
            f"{catalog} is not a catalog of shotdex", "index again into another folder: --store DIR"
        ) from error


def _connect(catalog: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return duckdb.connect(str(catalog), read_only=read_only, config=READ_ONLY if read_only else {})
        except duckdb.Error as error:
            if not re.search("Could not set lock|Conflicting lock|being used by another process", str(error)):
                raise _unreadable(catalog, error) from error
            if time.monotonic() > deadline:
                raise _locked(catalog, error) from error
        time.sleep(0.05)


@contextmanager
def _damage_named(catalog: Path) -> Iterator[None]:
    """Turn what DuckDB says of a damaged file, or a full disk, into one of our errors; its other errors pass."""
    damage = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)
    try:
        yield
    except duckdb.Error as error:
        if isinstance(error, damage) or re.search("Corrupt|checksum", str(error)):
            raise _unreadable(catalog, error) from error
        raise


def _locked(catalog: Path, error: duckdb.Error) -> StoreLocked:
    holder = re.search(r"PID (\d+)", str(error))
    who = f"process {holder.group(1)}" if holder else "another process"
    return StoreLocked(
        f"{catalog} is held by {who}; waited {WAIT_SECONDS:.0f} s", f"wait for it or end it, then try again ({who})"
    )


def _unreadable(catalog: Path, error: duckdb.Error) -> StoreError:
    first_line = str(error).splitlines()[0]
    if isinstance(error, duckdb.IOException) and not re.search(
        "valid DuckDB|read enough bytes|checksum|[Cc]orrupt", first_line
    ):
        return StoreError(f"cannot open {catalog}: {first_line}", "check the folder's permissions and free space")
    return StoreCorrupt(
        f"{catalog} cannot be read: {first_line}", "restore it, or index again into another folder: --store DIR"
    )


@contextmanager
def sql_errors(what: str) -> Iterator[None]:
    """Turn DuckDB's refusals of a user's SQL into `BadSql`, with its explanation and without its traceback."""
    try:
        yield
    except duckdb.Error as error:
        text = str(error).strip()
        hint = 'the tables and their columns: docs/schema.md, or shotdex sql "SHOW TABLES"'
        raise BadSql(f"{what}: {text}", hint) from error
