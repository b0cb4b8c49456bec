"""What a FAISS file must look like, read from its bytes before FAISS parses any of them.

Only one kind of file is ever opened: `IndexIDMap2` over `IndexFlatIP`, as `faiss.write_index` writes it, whose size
follows from the number and length of its vectors to the last byte. After FAISS's own part stands a stamp of ours.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .words import Ids

# FAISS writes for every index: its kind, the vectors' length, their number, two constants, whether it is trained, and
# how vectors are compared (0: inner product). https://github.com/facebookresearch/faiss, impl/index_write.cpp
_HEADER = struct.Struct("<4siqqqBi")
_KINDS = (b"IxM2", b"IxFI")
_COUNT = struct.Struct("<Q")

STAMP = b"shotdex1"
"""What our stamp begins with; the SHA-256 of what the file covers follows."""

STAMP_BYTES = len(STAMP) + 32


class BadIndexFile(Exception):
    """A file that FAISS must not parse. Never leaves shotdex: the catalog is read instead."""


@dataclass(frozen=True, slots=True)
class IndexLayout:
    """What a file holds: vectors of `dim` numbers, one for each of `ids` in the file's order; and its stamp, if any."""

    dim: int
    ids: Ids
    stamp: bytes | None


def is_inside(folder: Path, path: Path) -> bool:
    """Tell whether a file is a regular one of a real folder: a link may lead to anybody's file."""
    return not folder.is_symlink() and not path.is_symlink() and path.is_file()


def read_layout(path: Path) -> IndexLayout:
    """Return what a file holds.

    Raises:
        BadIndexFile: it is not of that kind, or not exactly as long as that takes.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        count, dim = _header(file, _KINDS[0])
        if (count, dim) != _header(file, _KINDS[1]) or count < 0 or dim < 1:
            raise BadIndexFile("its two headers contradict each other")
        vectors = file.tell() + _COUNT.size + 4 * count * dim
        whole = vectors + _COUNT.size + 8 * count
        if size not in (whole, whole + STAMP_BYTES):
            raise BadIndexFile(f"it has {size:,} bytes, and {count:,} vectors of {dim:,} numbers take {whole:,}")
        _expect(file, count * dim)
        file.seek(vectors)
        _expect(file, count)
        ids = np.fromfile(file, dtype="<i8", count=count).astype(np.int64, copy=False)
        return IndexLayout(dim, ids, file.read(STAMP_BYTES) or None)


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
