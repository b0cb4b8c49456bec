"""How a catalog comes to be: its tables made or migrated, and the whole file written again, aside and then renamed."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from . import opening, schema
from .connection import Connection
from .errors import StoreCorrupt, StoreError, StoreLocked
from .gate import Leave

HEADER_BYTES = 3 * 4096
"""What DuckDB writes of a catalog before anything else."""

ATTEMPTS = 5
"""How often to look for such a moment."""

_OBJECTS = (
    "SELECT schema_name, '' FROM duckdb_schemas() WHERE {of}",
    "SELECT schema_name, sql, comment FROM duckdb_tables() WHERE {of}",
    "SELECT schema_name, sql, comment FROM duckdb_views() WHERE {of}",
    "SELECT schema_name, sql, last_value FROM duckdb_sequences() WHERE {of}",
    "SELECT schema_name, sql FROM duckdb_indexes() WHERE {of}",
    "SELECT schema_name, type_name, logical_type, labels FROM duckdb_types() WHERE {of}",
    "SELECT schema_name, function_name, parameters, macro_definition FROM duckdb_functions() WHERE {of}",
    "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() WHERE {of}",
)
"""What there may be in a catalog, the user's own included."""


def create_catalog(catalog: Path) -> None:
    """Make an empty catalog.

    Raises:
        StoreError: the disk is full, or the folder cannot be written to.
    """
    _wal(catalog).unlink(missing_ok=True)
    with _in_place_of(catalog) as con, con.transaction():
        bring_up(con, 0)


def rewrite_catalog(catalog: Path) -> None:
    """Write a catalog again, in the storage version `connection.STORAGE` and without the room of deleted rows.

    Everything in it is kept, the user's own tables, views, macros, sequences and types included. Readers are not kept
    out. The caller holds the store's indexing lock; other writers wait.

    Raises:
        StoreError: the disk is full, or the copy was not complete; the catalog is as it was.
        StoreLocked: another process held it all the time.
    """
    with ExitStack() as held, _in_place_of(catalog.resolve()) as con:
        held.callback(_attach_without_log(con, catalog))
        con.run("COPY FROM DATABASE old TO catalog")
        _compare(con)


def _attach_without_log(con: Connection, catalog: Path) -> Leave:
    """Attach a catalog as `old`, which keeps writers out, at a moment when its log, which belongs to it, is empty."""
    for _ in range(ATTEMPTS):
        if _wal(catalog).exists():
            writer = opening.to_write(catalog)
            try:
                with opening.damage_named(catalog):
                    writer.run("CHECKPOINT")
            finally:
                writer.close()
        leave = opening.attach(con, catalog, "old")
        if not _wal(catalog).exists():
            return leave
        con.run("DETACH old")
        leave()
    raise StoreLocked(
        f"other processes kept writing to {catalog}", "run the same command again when they have finished"
    )


def _compare(con: Connection) -> None:
    """Compare the catalog with the one that it was copied from."""
    for query in _OBJECTS:
        old, new = (
            sorted(map(str, con.rows(query.format(of=f"database_name = '{name}'")))) for name in ("old", "catalog")
        )
        if old != new:
            raise StoreError("the catalog could not be copied in full", "the catalog is unchanged; nothing is lost")
    for schema_name, table in con.rows(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'old'"
    ):
        name = ".".join('"' + part.replace('"', '""') + '"' for part in (schema_name, table))
        if con.value(f"SELECT (SELECT count(*) FROM old.{name}) <> (SELECT count(*) FROM catalog.{name})"):
            raise StoreError("the catalog could not be copied in full", "the catalog is unchanged; nothing is lost")


@contextmanager
def _in_place_of(catalog: Path) -> Iterator[Connection]:
    """Fill a new file, and put it into a catalog's place when it is whole, so that nobody ever meets half of one."""
    young = catalog.with_suffix(".part")
    _remove(young)
    try:
        con = opening.to_write(young)
        try:
            with opening.damage_named(catalog):
                yield con
                con.run("CHECKPOINT catalog")  # nothing of it is in a log of its own any more
                con.run("USE memory; DETACH catalog")
            if catalog.is_file():
                _keep_mode(catalog, young)
            _sync(young)
            if sys.platform == "win32":  # which does not replace a file that is open
                con.close()
            young.replace(catalog)
            _sync(catalog.parent)
        finally:
            con.close()
    finally:
        _remove(young)


def _wal(catalog: Path) -> Path:
    return catalog.with_name(catalog.name + ".wal")


def _remove(young: Path) -> None:
    for left in (young, _wal(young)):
        left.unlink(missing_ok=True)


def _keep_mode(old: Path, young: Path) -> None:
    """Give a file the mode, and where that is possible the group, of the one that it replaces."""
    found = old.stat()
    young.chmod(found.st_mode & 0o777)
    with suppress(OSError, AttributeError):
        os.chown(young, -1, found.st_gid)


def _sync(path: Path) -> None:
    with suppress(OSError):  # some systems cannot do this with a folder
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def bring_up(con: Connection, found: int) -> None:
    """Bring the tables from schema version `found`, 0 where there are none, to this one."""
    encoders = [row[0] for row in con.rows("SELECT encoder_id FROM encoders")] if found else []
    for statements in schema.migration(found, encoders):
        con.run(statements)
    if found == 0:
        con.run("INSERT INTO meta VALUES ('store_id', $id)", {"id": uuid.uuid4().hex})
    con.run(schema.view_statements())
    con.run("DELETE FROM meta WHERE key IN ('schema_version', 'shotdex_version')")
    con.run(
        "INSERT INTO meta VALUES ('schema_version', $schema), ('shotdex_version', $version)",
        {"schema": str(schema.VERSION), "version": version("shotdex")},
    )


def is_cut_short(catalog: Path) -> bool:
    """Tell whether a catalog ends within its headers, so that nothing can ever have been in it."""
    if catalog.stat().st_size >= HEADER_BYTES:
        return False
    with catalog.open("rb") as file:
        head = file.read(12)
    return head == b"" or head[8:] == b"DUCK"


def unborn(root: Path) -> StoreCorrupt:
    """Return the error for a store whose first indexing ended before it wrote anything."""
    return StoreCorrupt(
        f"the store at {root} is empty: an earlier shotdex index ended before it wrote anything",
        f"nothing is lost; index into it again: shotdex index SOURCE --store {root}",
    )
