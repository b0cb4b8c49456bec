"""A picture's address: a file's path, or `archive!member` for one inside a zip or IDX file."""

from __future__ import annotations

import threading
import zipfile
from functools import lru_cache
from pathlib import Path

from .idx import is_idx_name, picture_file

SEPARATOR = "!"

_zip_lock = threading.Lock()


def join(archive: Path, member: str) -> str:
    """Return the address of a member of an archive."""
    return f"{archive}{SEPARATOR}{member}"


def split(address: str) -> tuple[Path, str | None]:
    """Return the file to open and the member in it, or None. A file whose own name has `!` is found first."""
    if _is_file(address):
        return Path(address), None
    position = address.find(SEPARATOR)
    while position >= 0:
        if _is_file(address[:position]):
            return Path(address[:position]), address[position + 1 :]
        position = address.find(SEPARATOR, position + 1)
    return Path(address), None


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # longer than the file system allows, as an archive and its member together may be
        return False


def read_bytes(address: str) -> bytes:
    """Return the file that an address names, archives included.

    Raises:
        OSError: the file or archive cannot be read.
        KeyError: the archive has no such member.
        ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile: the archive is broken or encrypted.
    """
    path, member = split(address)
    if member is None:
        return path.read_bytes()
    if is_idx_name(path.name):
        return picture_file(path, int(member))
    # One open handle a zip, and one reader at a time: finding the member costs a seek instead of a new directory.
    with _zip_lock:
        return _open_zip(path, path.stat().st_mtime_ns).read(member)


@lru_cache(maxsize=4)
def _open_zip(path: Path, modified_ns: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
