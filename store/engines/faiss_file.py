"""What a FAISS file must look like, and its vectors where they are: mapped into memory, not read.

Only one kind of file is ever opened or written: `IndexIDMap2` over `IndexFlatIP`, byte for byte as `faiss.write_index`
writes it, whose size follows from the number and length of its vectors. After FAISS's own part stands a stamp of ours.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from shotdex.store.types import Ids, Vectors

# FAISS writes for every index: its kind, the vectors' length, their number, two constants, whether it is trained, and
# how vectors are compared (0: inner product). https://github.com/facebookresearch/faiss, impl/index_write.cpp
_HEADER = struct.Struct("<4siqqqBi")
_KINDS = (b"IxM2", b"IxFI")
_CONSTANT = 1 << 20
_COUNT = struct.Struct("<Q")

VECTORS_AT = 2 * _HEADER.size + _COUNT.size
"""Where in a file its vectors begin. It is no multiple of 4, so numpy calls them unaligned; FAISS does not mind."""

STAMP = b"shotdex1"
"""What our stamp begins with; the SHA-256 of what the file covers follows."""

STAMP_BYTES = len(STAMP) + 32


class BadIndexFile(Exception):
    """A file that FAISS must not parse. Never leaves shotdex: the catalog is read instead."""


@dataclass(frozen=True, slots=True)
class IndexLayout:
    """What a file holds: vectors of `dim` numbers, one for each of `ids` in the file's order; and its stamp, if any.

    `vectors` (N, D) are the file's own bytes, of which only what is looked at is ever read. They can only be read.
    """

    dim: int
    ids: Ids
    stamp: bytes | None
    vectors: Vectors


def is_inside(folder: Path, path: Path) -> bool:
    """Tell whether a file is a regular one of a real folder: a link may lead to anybody's file."""
    return not folder.is_symlink() and not path.is_symlink() and path.is_file()


def read_layout(path: Path) -> IndexLayout:
    """Return what a file holds.

    Raises:
        BadIndexFile: it is not of that kind, or not exactly as long as that takes.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        count, dim = _header(file, _KINDS[0])
        if (count, dim) != _header(file, _KINDS[1]) or count < 0 or dim < 1:
            raise BadIndexFile("its two headers contradict each other")
        ids_at = VECTORS_AT + 4 * count * dim
        whole = ids_at + _COUNT.size + 8 * count
        if size not in (whole, whole + STAMP_BYTES):
            raise BadIndexFile(f"it has {size:,} bytes, and {count:,} vectors of {dim:,} numbers take {whole:,}")
        _expect(file, count * dim)
        file.seek(ids_at)
        _expect(file, count)
        ids = np.fromfile(file, dtype="<i8", count=count).astype(np.int64, copy=False)
        stamp = file.read(STAMP_BYTES) or None
        # Of the very file that was looked at: by its name another could be met.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    vectors = np.frombuffer(mapped, dtype="<f4", count=count * dim, offset=VECTORS_AT).reshape(count, dim)
    return IndexLayout(dim, ids, stamp, vectors)


def head(count: int, dim: int) -> bytes:
    """Return what stands before the vectors."""
    headers = (_HEADER.pack(kind, dim, count, _CONSTANT, _CONSTANT, 1, 0) for kind in _KINDS)
    return b"".join(headers) + _COUNT.pack(count * dim)


def tail(ids: Ids, stamp: bytes) -> bytes:
    """Return what stands after the vectors: their ids, and our stamp."""
    return _COUNT.pack(len(ids)) + ids.astype("<i8").tobytes() + stamp


def _header(file: BinaryIO, kind: bytes) -> tuple[int, int]:
    """Return number and length of the vectors, with the file at the end of the header."""
    data = file.read(_HEADER.size)
    if len(data) < _HEADER.size:
        raise BadIndexFile(f"it ends after {file.tell():,} bytes")
    found, dim, count, _, _, trained, metric = _HEADER.unpack(data)
    if (found, trained, metric) != (kind, 1, 0):
        raise BadIndexFile("it is another kind of file")
    return count, dim


def _expect(file: BinaryIO, count: int) -> None:
    if _COUNT.unpack(file.read(_COUNT.size))[0] != count:
        raise BadIndexFile("its parts do not have the number of vectors that its header says")
