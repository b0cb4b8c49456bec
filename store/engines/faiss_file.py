"""The FAISS file of an encoder: its layout, its vectors, mapped into memory where they are many, and how it is written.

Only one kind of file is ever opened or written: `IndexIDMap2` over `IndexFlatIP`, byte for byte as `faiss.write_index`
writes it, whose size follows from the number and length of its vectors. A file is written once, under a random name,
and never changed; `validation` says whether it is the one that the catalog records.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from errno import EACCES
from pathlib import Path

import numpy as np

from shotdex.store.errors import StoreError
from shotdex.store.lock import ownership
from shotdex.store.types import Ids, Vectors

from .base import EngineDamaged

# FAISS writes for every index: its kind, the vectors' length, their number, two constants, whether it is trained, and
# how vectors are compared (0: inner product). https://github.com/facebookresearch/faiss, impl/index_write.cpp
_HEADER = struct.Struct("<4siqqqBi")
_KINDS = (b"IxM2", b"IxFI")
_CONSTANT = 1 << 20
_COUNT = struct.Struct("<Q")

VECTORS_AT = 2 * _HEADER.size + _COUNT.size
"""Where in a file its vectors begin. It is not a multiple of 4, so numpy calls them unaligned; FAISS does not mind."""

IN_MEMORY = 1 << 25
"""Bytes up to which a file is read at once, in a few milliseconds: it may then be cut off without harm."""

PIECE = 1 << 23
"""Bytes read, hashed and copied at a time."""


@dataclass(frozen=True, slots=True)
class FaissFile:
    """An open file of `size` bytes: vectors (N, D) of `dim` numbers, one for each of `ids` (N,) in its order.

    `vectors` are in memory where the file is small; of a larger one they are its own bytes, of which only what is
    looked at is ever read. They can only be read.
    """

    path: Path
    size: int
    dim: int
    ids: Ids
    vectors: Vectors
    handle: Handle

    def check(self) -> None:
        """Make sure that the file is as it was when it was opened.

        To be called right before the vectors are read: where a file was cut off, reading them would end the process. A
        large file that is cut off during the few milliseconds of a search still does.

        Raises:
            EngineDamaged: its size or its time is another one. Unlike the inode's time, these stay when it is renamed.
        """
        now = os.fstat(self.handle.number)
        if (now.st_size, now.st_mtime_ns) != (self.handle.opened.st_size, self.handle.opened.st_mtime_ns):
            raise EngineDamaged("it was changed while it was open")

    def read(self, places: Ids) -> Vectors:
        """Return the vectors at some places (N,), rising, read as a file is read and not as memory.

        It takes longer than a look at `vectors`, and what is cut off meanwhile is an error and not the end of the
        process: for whoever goes through all of them.

        Raises:
            EngineDamaged: the file was changed since it was opened.
        """
        self.check()
        if len(places) == 0 or not hasattr(os, "pread"):
            return np.array(self.vectors[places])
        row, first = 4 * self.dim, int(places[0])
        span = int(places[-1]) - first + 1
        if span <= 2 * len(places):
            data, places = os.pread(self.handle.number, span * row, VECTORS_AT + first * row), places - first
        else:
            data = b"".join(os.pread(self.handle.number, row, VECTORS_AT + row * int(place)) for place in places)
            span, places = len(places), np.arange(len(places))
        if len(data) < span * row:
            raise EngineDamaged("it became shorter")
        found: Vectors = np.frombuffer(data, dtype="<f4").reshape(span, self.dim)[places]
        return found


class Handle:
    """An open file as the operating system knows it, closed with the last reference to it."""

    def __init__(self, path: Path) -> None:
        # Windows replaces no file that is open: a new generation has a new name.
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0))
        weakref.finalize(self, os.close, self.number)
        self.opened = os.fstat(self.number)

    def identity(self) -> Identity:
        """Return what is another one after every writing."""
        now = os.fstat(self.number)
        return (now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino)


Identity = tuple[int, int, int, int]
"""Size, time of modification, time of the inode's last change, and inode of a file."""


def is_inside(folder: Path, path: Path) -> bool:
    """Tell whether a file is a regular one of a real folder: a link may lead to anybody's file."""
    return not folder.is_symlink() and not path.is_symlink() and path.is_file()


def remove_file(path: Path) -> None:
    """Delete a file of this name, or a link; a folder of this name is the user's, with all that it holds, and stays."""
    with suppress(NotADirectoryError):  # what should be the index folder is a file
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)


def read_file(path: Path) -> FaissFile:
    """Return what a file holds; whether it is the recorded one, `validation.validate` says.

    Raises:
        EngineDamaged: it is not of that kind, or not exactly as long as that takes.
        OSError: it cannot be read.
    """
    handle = Handle(path)
    size = handle.opened.st_size
    with os.fdopen(os.dup(handle.number), "rb") as file:
        start = file.read(VECTORS_AT)
        if len(start) < VECTORS_AT:
            raise EngineDamaged(f"it ends after {len(start):,} bytes")
        kind, dim, count, *_ = _HEADER.unpack_from(start)
        if kind != _KINDS[0] or count < 0 or dim < 1:
            raise EngineDamaged("it is another kind of file")
        whole = VECTORS_AT + 4 * count * dim + _COUNT.size + 8 * count
        if size != whole:
            raise EngineDamaged(f"it has {size:,} bytes, and {count:,} vectors of {dim:,} numbers take {whole:,}")
        file.seek(VECTORS_AT + 4 * count * dim)
        if start != head(count, dim) or file.read(_COUNT.size) != _COUNT.pack(count):
            raise EngineDamaged("its headers contradict each other")
        ids = np.frombuffer(file.read(8 * count), dtype="<i8").astype(np.int64)
        file.seek(0)
        held = file.read() if size <= IN_MEMORY else mmap.mmap(handle.number, 0, access=mmap.ACCESS_READ)
    if len(held) != size:
        raise EngineDamaged("it is being changed")
    vectors = np.frombuffer(held, dtype="<f4", count=count * dim, offset=VECTORS_AT).reshape(count, dim)
    return FaissFile(path, size, dim, ids, vectors, handle)


def head(count: int, dim: int) -> bytes:
    """Return what stands before the vectors."""
    headers = (_HEADER.pack(kind, dim, count, _CONSTANT, _CONSTANT, 1, 0) for kind in _KINDS)
    return b"".join(headers) + _COUNT.pack(count * dim)


def tail(ids: Ids) -> bytes:
    """Return what stands after the vectors: their ids."""
    return _COUNT.pack(len(ids)) + ids.astype("<i8").tobytes()


def write_file(target: Path, pieces: Iterable[bytes]) -> tuple[FaissFile, str]:
    """Write a file aside, flush it to disk, rename it; and return what it holds and its SHA-256.

    Raises:
        StoreError: it cannot be written, as where the disk is full. Nothing is left.
    """
    aside, hashed = target.with_suffix(f".{os.getpid()}.part"), hashlib.sha256()
    try:
        with aside.open("wb") as file, ThreadPoolExecutor(1, thread_name_prefix="sha256") as pool:
            hashing: Future[None] | None = None
            for piece in pieces:  # hashed while it is written and the next one is made
                if hashing is not None:
                    hashing.result()
                hashing = pool.submit(hashed.update, piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        # Not every file system says so when the last of a writing fails.
        _whole(aside)
        aside.replace(target)
        return read_file(target), hashed.hexdigest()
    except OSError as error:
        raise StoreError(
            f"cannot write {target}: {error.strerror}{ownership(target.parent) if error.errno == EACCES else ''}",
            "the catalog is intact and searches read it meanwhile; make room, then: shotdex verify --repair",
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _whole(path: Path) -> None:
    try:
        read_file(path)
    except EngineDamaged as error:
        raise OSError(0, f"what was written is not there: {error}") from error


def read_pieces(path: Path, start: int, size: int) -> Iterator[bytes]:
    """Yield `size` bytes of a file from `start` on.

    Raises:
        EngineDamaged: it ends before.
    """
    with path.open("rb") as file:
        file.seek(start)
        while size:
            piece = file.read(min(size, PIECE))
            if not piece:
                raise EngineDamaged("it became shorter")
            yield piece
            size -= len(piece)
