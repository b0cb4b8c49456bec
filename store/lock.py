"""One indexing at a time: a lock on a file next to the catalog, which the system lets go when its process ends."""

from __future__ import annotations

import errno
import os
import stat
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
        StoreError: the folder cannot be written to, or what is at `path` is not an ordinary file of the store.
    """
    descriptor = open_lock(path)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                _try(descriptor)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise StoreLocked(
                        f"process {_holder(descriptor)} is indexing into {path.parent}",
                        "searching and SQL work meanwhile; index again when it has finished",
                    ) from error
            time.sleep(0.1)
        with suppress(OSError):  # the number only helps others; a full disk is reported where it matters
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


# O_NONBLOCK: to open a pipe would wait for its other end.
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

_NO_FILE = (errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO, errno.ENODEV)
"""What systems say of a link that may not be followed, a folder, a socket and a device."""


def open_lock(path: Path) -> int:
    """Open a lock's own file, making it first if it does not exist: whoever may write by the umask shares it.

    Raises:
        StoreError: the folder cannot be written to, or what is at `path` is not an ordinary file of the store.
    """
    try:
        if path.is_symlink():  # not every system has O_NOFOLLOW
            raise _not_ours(path)
        descriptor = os.open(path, _FLAGS, 0o666)
    except OSError as error:
        raise _not_ours(path) if error.errno in _NO_FILE else _unwritable(path, error) from error
    found = os.fstat(descriptor)
    # A second name is a hard link: the file may be anybody's.
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise _not_ours(path)
    return descriptor


def _not_ours(path: Path) -> StoreError:
    return StoreError(
        f"{path} is a link, or not a regular file; nothing is written to it",
        f"check what it is, then remove it: rm {path}",
    )


def _unwritable(path: Path, error: OSError) -> StoreError:
    held = path if os.path.lexists(path) else path.parent
    return StoreError(f"cannot write to {path.parent}: {error.strerror}{ownership(held)}", who_may_write(path.parent))


def who_may_write(folder: Path) -> str:
    """Return the hint for a store, in `folder`, that this user may not write to."""
    return f"check the folder's permissions; its owner can share it with a group: chmod -R g+rwX {folder}"


def _holder(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"


def ownership(path: Path) -> str:
    """Return " (NAME belongs to OWNER, mode 0644)" for a file or folder, or nothing if it is not known."""
    try:
        found = path.stat()
        try:
            owner = path.owner()
        except KeyError:  # the number where it has no name
            owner = f"user {found.st_uid}"
    except (OSError, NotImplementedError):
        return ""
    return f" ({path.name} belongs to {owner}, mode {found.st_mode & 0o7777:04o})"
