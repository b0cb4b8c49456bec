"""Opening a catalog: waiting for the process that holds it, closing it off from SQL, and what its errors mean.

DuckDB locks the whole file between processes: a writer keeps out every reader and a reader every writer.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import duckdb

from .connection import ROW_GROUP, STORAGE, Connection, ctrl_c, quoted
from .errors import StoreCorrupt, StoreError, StoreLocked
from .gate import Gate, Leave, file_id, gate_of, hold_turnstile, pass_turnstile
from .lock import ownership, who_may_write
from .read_only_files import SCHEME

log = logging.getLogger("shotdex.waiting")
"""Says at the level INFO what is waited for."""

TELL_SECONDS = 0.7
"""After which it is said that somebody is waited for."""

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
SEALING = (
    f"SET allowed_directories = ['{SCHEME}://']",  # what is there is only read; see `read_only_files`
    "SET enable_external_access = false",
    "SET disabled_filesystems = 'LocalFileSystem'",
)


def to_read(catalog: Path, *, allow_external: bool) -> Connection:
    """Open a catalog read-only, with no way from SQL to settings, nor, unless allowed, to other files.

    Raises:
        StoreLocked, StoreCorrupt, StoreError.
    """
    waiting, gate = _Waiting(catalog), gate_of(catalog)
    nested = gate.mine.reading > 0
    while True:
        if not nested:
            pass_turnstile(catalog, waiting.deadline)
        with ExitStack() as tried:
            tried.callback(gate.enter(waiting.deadline) or waiting.give_up())
            try:
                file = file_id(catalog)
                raw = _sealed(catalog, allow_external, gate)
            except duckdb.Error as error:
                waiting.after(error)
                tried.close()
                time.sleep(RETRY_SECONDS)
                continue
            if nested or (file == file_id(catalog) and gate.agrees(file)):
                return Connection(raw, tried.pop_all().close)
            raw.close()
        # Those who read the file that was there before share it with every new reader until all have left.
        with gate.queued():
            (gate.enter(waiting.deadline, to_write=True) or waiting.give_up())()


def _sealed(catalog: Path, allow_external: bool, gate: Gate) -> duckdb.DuckDBPyConnection:
    """Open a catalog read-only and change its settings for the last time."""
    settings = READING | {"autoload_known_extensions": allow_external}
    # One thread at a time: they share the catalog, and a setting that is changed while another thread takes the file
    # system away is an error like that of a damaged file.
    with ExitStack() as failed, gate.sealing:
        raw = duckdb.connect(str(catalog), read_only=True, config=settings)
        failed.callback(raw.close)  # an error that somebody keeps would keep it open, and every writer out
        # Refused where another connection of this process has locked them: they are the catalog's, not its own.
        with ctrl_c(), suppress(duckdb.InvalidInputException):
            for statement in (*(() if allow_external else SEALING), "SET lock_configuration = true"):
                raw.execute(statement)
        failed.pop_all()
        return raw


def to_write(catalog: Path, seconds: float | None = None) -> Connection:
    """Open a catalog to write to it; wait up to `seconds` (default: `WAIT_SECONDS`) for whoever holds it.

    Raises:
        StoreLocked, StoreCorrupt, StoreError.
    """
    # What does not fit into memory goes next to the catalog, as for one that is opened by its name; not where we stand.
    config: Settings = {"temp_directory": f"{catalog}.tmp", "storage_compatibility_version": STORAGE}
    con = Connection(duckdb.connect(config=config))
    opening = f"ATTACH {quoted(catalog)} AS catalog (ROW_GROUP_SIZE {ROW_GROUP}); USE catalog"
    try:
        con.leave = _alone(con, catalog, seconds, opening, "USE memory; DETACH catalog")
    except BaseException:
        con.close()
        raise
    return con


def attach(con: Connection, catalog: Path, name: str) -> Leave:
    """Let a writer of another catalog read this one, under a name; return what is to be called when that is closed.

    Nobody writes to this catalog meanwhile; other processes read it.

    Raises:
        StoreLocked, StoreCorrupt, StoreError.
    """
    return _alone(con, catalog, None, f"ATTACH {quoted(catalog)} AS {name} (READ_ONLY)", f"DETACH {name}")


def _alone(con: Connection, catalog: Path, seconds: float | None, begin: str, undo: str) -> Leave:
    """Attach a catalog as the only thread of this process, before readers that come later; return how to leave it."""
    waiting, gate = _Waiting(catalog, seconds), gate_of(catalog)
    with ExitStack() as held, gate.queued():
        turn: Leave | None = None
        while True:
            with ExitStack() as tried:
                tried.callback(gate.enter(waiting.deadline, to_write=True) or waiting.give_up())
                try:
                    file = file_id(catalog)
                    con.run(begin)
                    if file in (None, file_id(catalog)):  # else another has been put in its place
                        held.push(tried.pop_all())
                        return held.pop_all().close
                    con.run(undo)
                except duckdb.Error as error:
                    waiting.after(error)
            if turn is None and (turn := hold_turnstile(catalog)) is not None:
                held.callback(turn)
            time.sleep(RETRY_SECONDS if turn is None else RETRY_SECONDS / 5)


_ELSEWHERE = "Could not set lock|Conflicting lock|being used by another process"
_HERE = "Unique file handle conflict|with a different configuration"
"""What DuckDB says where another process, or another thread of this one, has the catalog open in another way."""


RETRY_SECONDS = 0.05
"""Between two attempts to open a catalog that somebody holds."""


class _Waiting:
    """Waits for whoever holds a catalog, up to a deadline."""

    def __init__(self, catalog: Path, seconds: float | None = None) -> None:
        self._catalog = catalog
        self._seconds = WAIT_SECONDS if seconds is None else seconds
        self.deadline = time.monotonic() + self._seconds
        self._told = False

    def after(self, error: duckdb.Error) -> None:
        """Go on after an attempt to open the catalog that failed only because somebody holds it in another way.

        Raises:
            StoreLocked: the time is up. StoreCorrupt, StoreError: it failed for another reason.
        """
        if not re.search(f"{_ELSEWHERE}|{_HERE}", str(error)):
            raise _unreadable(self._catalog, error) from error
        if time.monotonic() > self.deadline:
            self.give_up(error)
        if not self._told and self.deadline - time.monotonic() < self._seconds - TELL_SECONDS:
            self._told = True
            log.info("waiting up to %.0f s for %s, which has the store open", self._seconds, _holder(error))

    def give_up(self, error: duckdb.Error | None = None) -> NoReturn:
        """Say that the time is up, and who holds the catalog.

        Raises:
            StoreLocked: always.
        """
        who = _holder(error)
        raise StoreLocked(
            f"{self._catalog} is held by {who}; waited {self._seconds:.0f} s",
            f"wait for it or end it, then try again ({who})",
        ) from error


def _holder(error: duckdb.Error | None) -> str:
    if found := re.search(r"PID (\d+)", str(error)):
        return f"process {found.group(1)}"
    return "another part of this program" if error is None or re.search(_HERE, str(error)) else "another process"


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


_FULL = re.compile("No space left on device|[Qq]uota exceeded|not enough space on the disk|File too large")


def _unreadable(catalog: Path, error: duckdb.Error) -> StoreError:
    first_line = str(error).splitlines()[0]
    if full := _FULL.search(str(error)):
        return StoreError(
            f"cannot write to {catalog}: {full.group()}",
            f"everything written before is intact; make room on the disk of {catalog.parent}, then run the same "
            f"command",
        )
    if "Failed to commit" in first_line:
        return StoreError(
            f"cannot write to {catalog}: {first_line}", "check the disk; everything written before is intact"
        )
    if "Permission denied" in first_line:
        held = catalog if catalog.exists() and not os.access(catalog, os.R_OK | os.W_OK) else catalog.parent
        return StoreError(f"cannot open {catalog}: Permission denied{ownership(held)}", who_may_write(catalog.parent))
    if isinstance(error, duckdb.IOException) and not re.search(
        "valid DuckDB|read enough bytes|checksum|[Cc]orrupt", first_line
    ):
        return StoreError(f"cannot open {catalog}: {first_line}", "check the folder's permissions and free space")
    return StoreCorrupt(
        f"{catalog} cannot be read: {first_line}", "restore it, or index again into another folder: --store DIR"
    )
