"""The store: a folder with the catalog and what is derived from it. Opens the catalog for a moment at a time.

DuckDB locks the whole file between processes: a writer keeps out every reader and a reader every writer. So nothing
here holds the catalog open while it computes; who finds it taken waits a little, then says which process has it.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import duckdb

from . import schema, views
from .connection import Connection, open_for_writing
from .errors import SchemaTooNew, StoreCorrupt, StoreError, StoreLocked, StoreNotFound
from .location import CATALOG
from .lock import only_one

log = logging.getLogger(__name__)

WAIT_SECONDS = 15.0
"""How long to wait for another process to let go: an indexer holds the catalog for a second or two a commit."""

HEADER_BYTES = 3 * 4096
"""What DuckDB writes of a catalog before anything else."""

INDEXING_WAIT_SECONDS = 3.0
"""How long to wait for another indexer, which may go on for hours."""

Settings = dict[str, str | bool | int | float | list[str]]

# Reading happens on behalf of a user who may paste SQL from anywhere. The catalog is opened read-only; no query fills
# the memory or, spilling, the disk; none sees the variables of this program.
READING: Settings = {
    "memory_limit": "50%",
    "temp_directory": "",
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
}

# What else is taken away of an open catalog, in this order, where no other file may be read. Without external access
# DuckDB still lets a query write to the catalog's own file and its write-ahead log (COPY ... TO): only without the file
# system does it not. What is open already stays open.
SEALING = ("SET enable_external_access = false", "SET disabled_filesystems = 'LocalFileSystem'")


class Store:
    """A store on disk. Make one with `Store.create`, open one with `Store.open`.

    With `allow_external` the SQL that is run here may read other files, too; it never writes anything.
    """

    def __init__(self, root: Path, *, allow_external: bool = False) -> None:
        self.root = root
        self.allow_external = allow_external
        self._identity: str | None = None

    @property
    def identity(self) -> str:
        """A random number that this catalog was born with, as 32 hex digits."""
        if self._identity is None:
            with self.reading():
                pass
        assert self._identity is not None
        return self._identity

    @property
    def catalog(self) -> Path:
        """The catalog file."""
        return self.root / CATALOG

    @property
    def index_folder(self) -> Path:
        """Where the FAISS files are."""
        return self.root / "index"

    @classmethod
    def open(cls, root: Path, *, allow_external: bool = False) -> Store:
        """Open an existing store and check that this version can read it.

        Raises:
            StoreNotFound, StoreLocked, SchemaTooNew, StoreCorrupt.
        """
        store = cls.at(root, allow_external=allow_external)
        with store.reading():
            return store

    @classmethod
    def at(cls, root: Path, *, allow_external: bool = False) -> Store:
        """Return the store that is at `root`; the first who reads or writes it meets what `open` raises.

        For commands that read at once: opening a catalog takes as long as most questions to it.

        Raises:
            StoreNotFound, StoreCorrupt.
        """
        store = cls(root, allow_external=allow_external)
        if not store.catalog.is_file():
            raise StoreNotFound(f"there is no store at {root}", f"make one with: shotdex index FOLDER --store {root}")
        if _is_cut_short(store.catalog):
            raise unborn(root)
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
        with store.indexing():  # one at a time: what is unborn for one may be what another is just writing
            if not store.catalog.is_file() or store._is_unborn():
                store._begin_anew()
        return cls.open(root)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open the catalog read-only, with no way from SQL to settings, nor, unless allowed, to other files."""
        con = self._for_reading()
        try:
            with _damage_named(self.catalog):
                if self._identity is None and self._is_older(con):
                    con.close()
                    self._migrate()
                    con = self._for_reading()
                    self._is_older(con)
                yield con
        finally:
            con.close()

    def _for_reading(self) -> Connection:
        raw = _connect(self.catalog, READING | {"autoload_known_extensions": self.allow_external}, read_only=True)
        _lock(raw, () if self.allow_external else SEALING)
        return Connection(raw)

    def _is_older(self, con: Connection) -> bool:
        """Tell whether the catalog has an older form; where it has this version's, learn its identity."""
        found, identity = _facts(con, self.root)
        if found > schema.VERSION:
            raise SchemaTooNew(
                f"the store at {self.root} was made by a newer shotdex (schema {found}; "
                f"this one knows {schema.VERSION})",
                "upgrade with: pip install --upgrade shotdex",
            )
        if found == schema.VERSION:
            self._identity = identity
        return found < schema.VERSION

    @contextmanager
    def writing(self, seconds: float | None = None) -> Iterator[Connection]:
        """Open the catalog for a transaction that is committed when the block ends and undone when it fails.

        Waits up to `seconds` for another process, `WAIT_SECONDS` where none are named.

        Raises:
            StoreLocked: another process held it for all of `seconds`.
            StoreNotFound: it was there once and is not any more.
            StoreError: the disk is full, or does not work.
        """
        if not self.catalog.is_file():  # DuckDB would make an empty one in its place
            raise StoreNotFound(f"{self.catalog} is not there any more", "bring it back, or index again")
        if self._identity is None:
            with self.reading():
                pass
        con = Connection(_connect(self.catalog, {}, read_only=False, seconds=seconds))
        try:
            with _damage_named(self.catalog), con.transaction():
                yield con
        finally:
            con.close()

    def compact(self, tables: Sequence[str]) -> None:
        """Write tables anew, as DuckDB keeps the room of deleted rows; where there is no room for it they stay."""
        if not tables:
            return
        try:
            with self.writing() as con:
                for table in (*tables, "meta"):  # the last table of the file may be that small one
                    con.run(f"CREATE TABLE compacted AS FROM {table}; DROP TABLE {table}")
                    con.run(f"ALTER TABLE compacted RENAME TO {table}")
        except (StoreError, duckdb.Error) as error:
            log.info("the catalog was not made smaller: %s", error)

    def catalog_bytes(self) -> int:
        """Return the size of the catalog with its write-ahead log."""
        files = (self.catalog, self.catalog.with_name(self.catalog.name + ".wal"))
        return sum(path.stat().st_size for path in files if path.is_file())

    @contextmanager
    def indexing(self) -> Iterator[None]:
        """Keep other indexers out: ids are given in memory, between commits. Readers are not kept out.

        Raises:
            StoreLocked: another process is indexing.
        """
        with only_one(self.root / "indexing.lock", INDEXING_WAIT_SECONDS):
            yield

    def _is_unborn(self) -> bool:
        """Tell whether somebody was killed, or the disk full, between making the catalog's file and filling it."""
        if _is_cut_short(self.catalog):
            return True
        con = self._for_reading()
        try:
            with _damage_named(self.catalog):
                return not con.rows("SHOW TABLES")
        finally:
            con.close()

    def _begin_anew(self) -> None:
        """Make the catalog aside and put it into its place when it is whole, so that nobody ever meets half of one."""
        young = self.catalog.with_suffix(".part")
        logs = [path.with_name(path.name + ".wal") for path in (self.catalog, young)]
        for left in (young, *logs):
            left.unlink(missing_ok=True)
        try:
            con = Connection(_connect(young, {}, read_only=False))
            try:
                with _damage_named(self.catalog):
                    with con.transaction():
                        _bring_up(con)
                    con.run("CHECKPOINT")  # nothing of it is in a log of its own any more
            finally:
                con.close()
            young.replace(self.catalog)
        finally:
            for left in (young, *logs):
                left.unlink(missing_ok=True)

    def _migrate(self) -> None:
        con = Connection(_connect(self.catalog, {}, read_only=False))
        try:
            with con.transaction():
                _bring_up(con)
        finally:
            con.close()


def _bring_up(con: Connection) -> None:
    """Make the tables, or bring older ones to this version's form."""
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


def _is_cut_short(catalog: Path) -> bool:
    """Tell whether a catalog ends within its headers, so that nothing can ever have been in it."""
    if catalog.stat().st_size >= HEADER_BYTES:
        return False
    with catalog.open("rb") as file:
        head = file.read(12)
    return head == b"" or head[8:] == b"DUCK"


def unborn(root: Path) -> StoreCorrupt:
    """Return the error for a store whose first indexing ended before it wrote anything."""
    return StoreCorrupt(
        f"the store at {root} is empty: an indexing ended before it had begun to write",
        f"nothing is lost; index into it again: shotdex index SOURCE --store {root}",
    )


def _facts(con: Connection, root: Path) -> tuple[int, str]:
    """Return a catalog's schema version and its identity."""
    try:
        told = dict(con.rows("SELECT key, value FROM meta WHERE key IN ('schema_version', 'store_id')"))
        return int(told["schema_version"]), str(told.get("store_id"))
    except (duckdb.Error, KeyError, ValueError) as error:
        if not con.rows("SHOW TABLES"):
            raise unborn(root) from error
        raise StoreCorrupt(
            f"{root / CATALOG} is not a catalog of shotdex", "index again into another folder: --store DIR"
        ) from error


def _connect(
    catalog: Path, settings: Settings, *, read_only: bool, seconds: float | None = None
) -> duckdb.DuckDBPyConnection:
    seconds = WAIT_SECONDS if seconds is None else seconds
    deadline = time.monotonic() + seconds
    while True:
        try:
            if not read_only:
                return open_for_writing(catalog, settings)
            return duckdb.connect(str(catalog), read_only=True, config=settings)
        except duckdb.Error as error:
            if not re.search("Could not set lock|Conflicting lock|being used by another process", str(error)):
                raise _unreadable(catalog, error) from error
            if time.monotonic() > deadline:
                raise _locked(catalog, error, seconds) from error
        time.sleep(0.05)


def _lock(raw: duckdb.DuckDBPyConnection, statements: Sequence[str]) -> None:
    """Change settings for the last time."""
    # Refused where another connection of this process has locked them: they are the catalog's, not the connection's.
    with suppress(duckdb.InvalidInputException):
        for statement in (*statements, "SET lock_configuration = true"):
            raw.execute(statement)


@contextmanager
def _damage_named(catalog: Path) -> Iterator[None]:
    """Turn what DuckDB says of a damaged file, or a full disk, into one of our errors; its other errors pass."""
    damage = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)
    try:
        yield
    except duckdb.Error as error:
        first = error  # what fails while a failed transaction is tidied up hides why it failed
        while isinstance(first.__context__, duckdb.Error):
            first = first.__context__
        if isinstance(first, damage) or re.search("Corrupt|checksum|Failed to commit", str(first)):
            raise _unreadable(catalog, first) from error
        raise


def _locked(catalog: Path, error: duckdb.Error, seconds: float) -> StoreLocked:
    holder = re.search(r"PID (\d+)", str(error))
    who = f"process {holder.group(1)}" if holder else "another process"
    return StoreLocked(
        f"{catalog} is held by {who}; waited {seconds:.0f} s", f"wait for it or end it, then try again ({who})"
    )


_FULL = re.compile("No space left on device|[Qq]uota exceeded|not enough space on the disk|File too large")


def _unreadable(catalog: Path, error: duckdb.Error) -> StoreError:
    first_line = str(error).splitlines()[0]
    if full := _FULL.search(str(error)):
        return StoreError(
            f"cannot write to {catalog}: {full.group()}",
            f"what was written before is whole; make room on the disk of {catalog.parent}, then run the same command",
        )
    if "Failed to commit" in first_line:
        return StoreError(
            f"cannot write to {catalog}: {first_line}", "check the disk; what was written before is whole"
        )
    if isinstance(error, duckdb.IOException) and not re.search(
        "valid DuckDB|read enough bytes|checksum|[Cc]orrupt", first_line
    ):
        return StoreError(f"cannot open {catalog}: {first_line}", "check the folder's permissions and free space")
    return StoreCorrupt(
        f"{catalog} cannot be read: {first_line}", "restore it, or index again into another folder: --store DIR"
    )
