"""Keep a catalog that was just read open: to open one takes 30 to 50 ms, a third of what the tests of stores cost.

DuckDB gives connections of one process to the same file and settings one instance. It lives as long as any of them,
so a spare connection makes the next reading cheap. The spare goes before anything else than that: before a writer, a
reader of another file or with other settings, a reader of the same file once it was changed, and before another
process starts, after which none is kept until the test ends.
"""

from __future__ import annotations

import sys
from pathlib import Path
from threading import RLock
from typing import Any

import duckdb

_connect = duckdb.connect
_STARTS = {"subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec", "os.system"}


class _Spare:
    """At most one open connection, and of what."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.allowed = True
        self._open: duckdb.DuckDBPyConnection | None = None
        self._of: tuple[Any, ...] = ()

    def drop(self) -> None:
        with self.lock:
            spare, self._open, self._of = self._open, None, ()
            if spare is not None:
                spare.close()

    def connect(self, database: Any = ":memory:", read_only: bool = False, config: Any = None) -> Any:
        """Connect as DuckDB does."""
        with self.lock:
            wanted = _identity(database, config) if read_only else ()
            if self._of != wanted:
                self.drop()
            made = _connect(database, read_only=read_only, config=config or {})
            if wanted and self.allowed and self._open is None:
                # No cursor: it closes with the connection it came from.
                self._open, self._of = _connect(database, read_only=True, config=config or {}), wanted
            return made

    def heard(self, event: str, _arguments: Any) -> None:
        if event in _STARTS:
            self.allowed = False
            self.drop()


def _identity(database: Any, config: Any) -> tuple[Any, ...]:
    """Return what tells a file from any other and from itself before a change; nothing sets a file's ctime back."""
    try:
        found = Path(database).stat()
    except OSError:
        return ()
    settings = tuple(sorted((config or {}).items()))
    return str(database), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, settings


catalog = _Spare()


def keep_catalogs() -> None:
    """Do so from now on in this process."""
    duckdb.connect = catalog.connect
    sys.addaudithook(catalog.heard)
