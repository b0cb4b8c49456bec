"""Opening a catalog: waiting for the process that holds it, closing it off from SQL, and what its errors mean.

DuckDB locks the whole file between processes: a writer keeps out every reader and a reader every writer.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import duckdb

from .connection import Connection, open_for_writing, quoted
from .errors import StoreCorrupt, StoreError, StoreLocked

WAIT_SECONDS = 15.0
"""How long to wait for another process to let go: an indexer holds the catalog for a second or two a commit."""

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


def to_read(catalog: Path, *, allow_external: bool) -> Connection:
    """Open a catalog read-only, with no way from SQL to settings, nor, unless allowed, to other files.

    Raises:
        StoreLocked, StoreCorrupt, StoreError.
    """
    settings = READING | {"autoload_known_extensions": allow_external}
    raw = _patiently(catalog, lambda: duckdb.connect(str(catalog), read_only=True, config=settings))
    _lock(raw, () if allow_external else SEALING)
    return Connection(raw)


def to_write(catalog: Path, seconds: float | None = None) -> Connection:
    """Open a catalog to write to it; wait up to `seconds` for who holds it, `WAIT_SECONDS` where none are named.

    Raises:
        StoreLocked, StoreCorrupt, StoreError.
    """
    return Connection(_patiently(catalog, lambda: open_for_writing(catalog), seconds))


def attach(con: Connection, catalog: Path, name: str) -> None:
    """Let a connection read one more catalog, under a name; while it does, nobody writes to that.

    Raises:
        StoreLocked, StoreCorrupt, StoreError.
    """
    _patiently(catalog, lambda: con.run(f"ATTACH {quoted(catalog)} AS {name} (READ_ONLY)"))


_ELSEWHERE = "Could not set lock|Conflicting lock|being used by another process"
_HERE = "Unique file handle conflict|with a different configuration"
"""What DuckDB says where another process, or another thread of this one, has the catalog open in another way."""


T = TypeVar("T")


def _patiently(catalog: Path, begin: Callable[[], T], seconds: float | None = None) -> T:
    """Open a catalog as soon as nobody holds it in another way."""
    seconds = WAIT_SECONDS if seconds is None else seconds
    deadline = time.monotonic() + seconds
    while True:
        try:
            return begin()
        except duckdb.Error as error:
            if not re.search(f"{_ELSEWHERE}|{_HERE}", str(error)):
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
def damage_named(catalog: Path) -> Iterator[None]:
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
    other = "another part of this program" if re.search(_HERE, str(error)) else "another process"
    who = f"process {holder.group(1)}" if holder else other
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
