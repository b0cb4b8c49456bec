"""One indexing at a time: a lock on a file beside the catalog, which the system lets go when its process ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import StoreError, StoreLocked

if sys.platform == "win32":
    import msvcrt

    def _try(descriptor: int) -> None:
        # Byte 1024 stands for the file: Windows would keep others from reading the holder's number in a locked range.
        os.lseek(descriptor, 1024, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def only_one(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock `path` for a while; the file stays, the lock does not.

    Raises:
        StoreLocked: another process holds it and did not let go within `seconds`; the message names it.
        StoreError: the folder cannot be written to.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(
            f"cannot write to {path.parent}: {error.strerror}", "check the folder's permissions"
        ) from error
    try:
        _wait(descriptor, path, time.monotonic() + seconds)
        with suppress(OSError):  # the number only helps others; a full disk is told where it matters
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: Path, deadline: float) -> None:
    while True:
        try:
            _try(descriptor)
            return
        except OSError as error:
            if time.monotonic() > deadline:
                holder = path.read_text(errors="replace").strip() or "unknown"
                raise StoreLocked(
                    f"process {holder} is indexing into {path.parent}",
                    "searching and SQL work meanwhile; index again when it is done",
                ) from error
        time.sleep(0.1)
