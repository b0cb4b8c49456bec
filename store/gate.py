"""Whose turn it is to open the catalog, so that no writer waits for ever next to readers that never pause.

DuckDB lets a writer in only at a moment when no reader has the file open. Among processes a writer that waits holds the
lock of a small file next to the catalog; a reader that is about to open the catalog waits until that lock is free. The
readers that are there finish, the writer gets its turn, and then they go on. The system frees the lock when its holder
ends. Where no such file or lock can be had, as on a disk that is read-only, everybody just tries again.

Among the threads of a process the same is kept in memory. More depends on it there: DuckDB locks files with POSIX
record locks, and a process that merely opens and closes a file that another of its threads has open loses them. So
within a process nobody even tries to open a catalog that a thread has open in the other way.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import StoreError
from .lock import open_lock

PATIENCE = 2.0
"""Seconds for which a reader lets a waiting writer go first: longer only while readers that began before keep it."""

Leave = Callable[[], None]
"""To be called, once, by who leaves."""

FileId = tuple[int, int]
"""Device and inode of a file."""


class _Mine(threading.local):
    """How often a thread has the catalog open for reading."""

    reading = 0


class Gate:
    """Lets the threads of this process to one catalog: any number of readers, or one writer."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writing = False
        self._queued = 0
        self.mine = _Mine()
        self._file: FileId | None = None
        self.sealing = threading.Lock()
        """Held by the thread that opens the catalog for reading, until it has changed its settings."""

    def enter(self, deadline: float, *, to_write: bool = False) -> Leave | None:
        """Let a reader in, after a writer that waits, or a writer when nobody else is in; return how to leave.

        Return None if the time is up.
        """
        mine = self.mine.__dict__  # this thread's, whichever thread leaves
        with self._changed:
            if not to_write and not self.mine.reading:  # a writer waits for this thread itself if it reads already
                patience = min(PATIENCE, deadline - time.monotonic())
                self._changed.wait_for(lambda: not (self._writing or self._queued), patience)
            left = deadline - time.monotonic()
            if not self._changed.wait_for(lambda: not (self._writing or (to_write and self._readers)), left):
                return None
            if to_write:
                self._writing = True
            else:
                self._readers += 1
                mine["reading"] = self.mine.reading + 1

        def leave() -> None:
            with self._changed:
                if to_write:
                    self._writing = False
                else:
                    self._readers -= 1
                    mine["reading"] -= 1
                self._changed.notify_all()

        return leave

    @contextmanager
    def queued(self) -> Iterator[None]:
        """Keep new readers waiting, until a writer is in or gives up."""
        with self._changed:
            self._queued += 1
        try:
            yield
        finally:
            with self._changed:
                self._queued -= 1
                self._changed.notify_all()

    def agrees(self, file: FileId | None) -> bool:
        """Tell whether the readers that are in, this one included, all have this file open and not one before it."""
        with self._changed:
            if self._readers == 1 or self._file is None:
                self._file = file
            return self._file == file


_gates: dict[str, Gate] = {}
_gates_lock = threading.Lock()


def gate_of(catalog: Path) -> Gate:
    """Return the gate of a catalog, the same for every thread and every way to write its path."""
    with _gates_lock:
        return _gates.setdefault(os.path.realpath(catalog), Gate())


def _forget() -> None:
    """Begin again in a forked process, which has none of the threads that stand at the gates."""
    global _gates_lock
    _gates_lock = threading.Lock()
    _gates.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def file_id(path: Path) -> FileId | None:
    """Return what distinguishes a file from one that takes its place, or None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


TURNSTILE = "turnstile.lock"
"""The file next to the catalog whose lock a waiting writer holds."""


if sys.platform == "win32":

    def hold_turnstile(catalog: Path) -> Leave | None:
        """Do nothing: there is no lock here that readers share."""
        return None

    def pass_turnstile(catalog: Path, deadline: float) -> None:
        """Do nothing."""
else:
    import fcntl

    def hold_turnstile(catalog: Path) -> Leave | None:
        """Keep new readers waiting until that is called which this returns; None where another writer does so."""
        try:
            descriptor = open_lock(catalog.with_name(TURNSTILE))
        except StoreError:  # who cannot make the file cannot write to the catalog, or has put something in its place
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None

        def leave() -> None:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough for a process forked meanwhile
            os.close(descriptor)

        return leave

    def pass_turnstile(catalog: Path, deadline: float) -> None:
        """Let a writer go first that waits, whose lock is on the turnstile, for `PATIENCE` at most."""
        try:
            descriptor = os.open(catalog.with_name(TURNSTILE), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return  # no writer ever waited here
        try:
            until = min(deadline, time.monotonic() + PATIENCE)
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough for a process forked meanwhile
                    return
                except BlockingIOError:
                    if time.monotonic() > until:
                        return
                except OSError:
                    return
                time.sleep(0.01)
        finally:
            os.close(descriptor)
