"""IDX, the format of MNIST and Fashion-MNIST: a header of sizes, then bytes; often gzipped.

Format: http://yann.lecun.com/exdb/mnist/ ("THE IDX FILE FORMAT").
"""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shotdex.media.files import places
from shotdex.media.files.kept import Kept
from shotdex.media.files.places import Facts, TooManyBytes
from shotdex.store.errors import ContainerFailure
from shotdex.store.types import BYTES_LIMIT

from .reader import Reader, Readers

UNSIGNED_BYTE = 0x08

IDX_ENDINGS = tuple(ending + packing for ending in ("-ubyte", ".idx1", ".idx3", ".idx") for packing in ("", ".gz"))

WHOLE_LIMIT = 64 * 1024 * 1024
"""Bytes up to which a compressed file is kept unpacked, so that going back in it is quick; Fashion-MNIST has 47 MB."""

ARRAY_LIMIT = 256 * 1024 * 1024
"""Bytes above which a file is not read as one array."""


class IdxFile:
    """An IDX file of unsigned bytes; `shape` is that of its array. Safe for several threads.

    Raises:
        ValueError: it is not one.
        OSError: it cannot be read.
    """

    def __init__(self, place: str) -> None:
        self.name = place.rsplit("/", 1)[-1]
        self.facts = places.facts(place)
        self._readers = Readers(place)
        self._whole: bytes | None = None
        try:
            with closing(Reader(place)) as reader:
                self.packed = reader.packed
                self.shape = self._header(reader)
                self._start = reader.position
        except ContainerFailure as error:
            raise ValueError(f"{self.name}: {error.detail}") from error

    def __len__(self) -> int:
        return 0

    @property
    def item_bytes(self) -> int:
        """Bytes of one image or label."""
        return math.prod(self.shape[1:])

    @property
    def in_memory(self) -> bool:
        """Whether reading it in any order is quick."""
        return not self.packed or self.shape[0] * self.item_bytes <= WHOLE_LIMIT

    def check(self) -> None:
        """Read it to the end.

        Raises:
            ValueError: it has more or less data than its header says, or a wrong checksum.
        """
        wanted = self.shape[0] * self.item_bytes
        try:
            with self._readers.at(self._start) as reader:
                reader.pass_over(wanted)
                if reader.read_some(1):
                    raise ValueError(f"{self.name} has more than the {wanted:,} bytes of data that its header says")
        except ContainerFailure as error:
            raise ValueError(f"{self.name}: {error.detail}; its header says {wanted:,} bytes of data") from error

    def items(self, first: int, count: int) -> bytes:
        """Return the bytes of some images or labels that follow each other.

        Raises:
            ValueError: the file ends before them or is broken.
        """
        start, length = first * self.item_bytes, count * self.item_bytes
        try:
            if self.packed and self.in_memory:
                if self._whole is None:
                    with self._readers.at(self._start) as reader:
                        self._whole = reader.read(self.shape[0] * self.item_bytes)
                return self._whole[start : start + length]
            with self._readers.at(self._start + start) as reader:
                return reader.read(length)
        except ContainerFailure as error:
            raise ValueError(f"{self.name}: {error.detail}") from error

    def wake(self) -> None:
        """Keep files open from now on."""
        self._readers.wake()

    def rest(self) -> None:
        """Close what is open, and forget what was kept unpacked."""
        self._readers.rest()
        self._whole = None

    def _header(self, reader: Reader) -> tuple[int, ...]:
        head = reader.read_some(4)
        if len(head) < 4 or head[:2] != b"\0\0" or head[2] != UNSIGNED_BYTE or not head[3]:
            raise ValueError(f"{self.name} is not an IDX file of unsigned bytes")
        return tuple(int(size) for size in np.frombuffer(reader.read(4 * head[3]), dtype=">u4"))


_kept: Kept[IdxFile] = Kept(IdxFile)


def open_idx(place: str) -> IdxFile:
    """Return the IDX file at a place; opened anew where it changed.

    Raises:
        ValueError, OSError: as for `IdxFile`.
    """
    return _kept.get(place)


def read_idx(place: str | Path) -> npt.NDArray[np.uint8]:
    """Return the array of an IDX file of unsigned bytes, as (N,) labels or (N, H, W) images; read-only.

    Raises:
        ValueError: not an IDX file of unsigned bytes, not as long as its header says, or larger than an array may be.
        OSError: it cannot be read.
    """
    file = IdxFile(str(place))
    try:
        if file.shape[0] * file.item_bytes > ARRAY_LIMIT:
            raise ValueError(f"{file.name} has more than {ARRAY_LIMIT:,} bytes")
        file.check()
        return np.frombuffer(file.items(0, file.shape[0]), dtype=np.uint8).reshape(file.shape)
    finally:
        file.rest()


def image_file(place: str, position: int, limit: int = BYTES_LIMIT) -> bytes:
    """Return one image of an IDX file as a PGM file, a form that any image library reads.

    Raises:
        KeyError: there is no image at that position.
        TooManyBytes: it has more than `limit` bytes.
        ValueError, OSError: the file cannot be read.
    """
    file = _with_image(place, position)
    if file.item_bytes > limit:
        raise TooManyBytes(f"more than {limit:,} bytes")
    header = f"P5 {file.shape[2]} {file.shape[1]} 255\n"
    return header.encode("ascii") + file.items(position, 1)


def image_facts(place: str, position: int) -> Facts:
    """Return the size of one image in bytes, and the file's time.

    Raises:
        KeyError, ValueError, OSError: as for `picture_file`.
    """
    file = _with_image(place, position)
    return Facts(file.item_bytes, file.facts.modified_ns)


def _with_image(place: str, position: int) -> IdxFile:
    file = open_idx(place)
    if len(file.shape) != 3 or not 0 <= position < file.shape[0]:
        raise KeyError(f"{file.name} has no image {position}")
    return file


def is_idx_name(name: str) -> bool:
    """Tell by the name whether a file is an IDX file, gzipped or not."""
    return name.endswith(IDX_ENDINGS)
