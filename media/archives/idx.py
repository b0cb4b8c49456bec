"""IDX, the format of MNIST and Fashion-MNIST: a header of sizes, then bytes; often gzipped.

Format: http://yann.lecun.com/exdb/mnist/ ("THE IDX FILE FORMAT").
"""

from __future__ import annotations

import math
from contextlib import closing

import numpy as np
import numpy.typing as npt

from shotdex.media.files import places
from shotdex.media.files.kept import Kept
from shotdex.media.files.places import Facts, TooManyBytes
from shotdex.store.errors import ContainerFailure
from shotdex.store.types import BYTES_LIMIT, Reason

from .streams import SharedFile, Stream

UNSIGNED_BYTE = 0x08

WHOLE_LIMIT = 64 * 1024 * 1024
"""Bytes up to which a compressed file is kept unpacked, so that going back in it is quick; Fashion-MNIST has 47 MB."""

ARRAY_LIMIT = 256 * 1024 * 1024
"""Bytes above which a file is not read as one array."""


class IdxFile:
    """An IDX file of unsigned bytes; `shape` is that of its array. Safe for several threads.

    Attributes:
        in_memory: whether reading it in any order is quick.

    Raises:
        ContainerFailure: it is not one.
        OSError: it cannot be read.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.facts = places.facts(place)
        with closing(Stream(place)) as stream:
            self.shape, self._start = _shape(stream), stream.tell()
            self._packed = stream.packing is not None
        self.item_bytes = math.prod(self.shape[1:])
        self.in_memory = not self._packed or self.shape[0] * self.item_bytes <= WHOLE_LIMIT
        self._file = SharedFile(place)
        self._whole: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return 0

    def check(self) -> None:
        """Read it to the end.

        Raises:
            ContainerFailure: it has more or less data than its header says, or a wrong checksum.
        """
        with closing(Stream(self.place)) as stream:
            stream.pass_over(math.prod(_shape(stream)))
            _check_end(stream)

    def items(self, first: int, count: int) -> bytes:
        """Return the bytes of some images or labels that follow each other.

        Raises:
            ContainerFailure: the file ends before them or is broken.
        """
        if self._packed and self.in_memory:
            whole = self._whole if self._whole is not None else read_idx(self.place)
            self._whole = whole
            return whole[first : first + count].tobytes()
        data = self._file.read_at(self._start + first * self.item_bytes, count * self.item_bytes)
        if len(data) < count * self.item_bytes:
            raise ContainerFailure(Reason.TRUNCATED, "it ends too early")
        return data

    def wake(self) -> None:
        """Keep the file open from now on."""
        self._file.wake()

    def rest(self) -> None:
        """Close the file, and forget what was kept unpacked."""
        self._file.rest()
        self._whole = None


_kept: Kept[IdxFile] = Kept(IdxFile)


def open_idx(place: str) -> IdxFile:
    """Return the IDX file at a place; opened again where it changed.

    Raises:
        ContainerFailure, OSError: as for `IdxFile`.
    """
    return _kept.get(place)


def read_idx(place: str) -> npt.NDArray[np.uint8]:
    """Return the array of an IDX file of unsigned bytes, as (N,) labels or (N, H, W) images; read-only.

    Raises:
        ContainerFailure: not an IDX file of unsigned bytes, not as long as its header says, or too large for an array.
        OSError: it cannot be read.
    """
    with closing(Stream(place)) as stream:
        shape = _shape(stream)
        if math.prod(shape) > ARRAY_LIMIT:
            raise ContainerFailure(Reason.TOO_LARGE, f"more than {ARRAY_LIMIT:,} bytes")
        data = stream.read_exactly(math.prod(shape))
        _check_end(stream)
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def image_file(place: str, position: int, limit: int = BYTES_LIMIT) -> bytes:
    """Return one image of an IDX file as a PGM file, a form that any image library reads.

    Raises:
        KeyError: there is no image at that position.
        TooManyBytes: it has more than `limit` bytes.
        ContainerFailure, OSError: the file cannot be read.
    """
    file = _with_image(place, position)
    if file.item_bytes > limit:
        raise TooManyBytes(f"more than {limit:,} bytes")
    header = f"P5 {file.shape[2]} {file.shape[1]} 255\n"
    return header.encode("ascii") + file.items(position, 1)


def image_facts(place: str, position: int) -> Facts:
    """Return the size of one image in bytes, and the file's time.

    Raises:
        KeyError, ContainerFailure, OSError: as for `image_file`.
    """
    file = _with_image(place, position)
    return Facts(file.item_bytes, file.facts.modified_ns)


def _with_image(place: str, position: int) -> IdxFile:
    file = open_idx(place)
    if len(file.shape) != 3 or not 0 <= position < file.shape[0]:
        raise KeyError(f"{place} has no image {position}")
    return file


def _shape(stream: Stream) -> tuple[int, ...]:
    head = stream.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] != UNSIGNED_BYTE or not head[3]:
        raise ContainerFailure(Reason.NOT_AN_IMAGE, "it is not an IDX file of unsigned bytes")
    return tuple(int(size) for size in np.frombuffer(stream.read_exactly(4 * head[3]), dtype=">u4"))


def _check_end(stream: Stream) -> None:
    if stream.read(1):
        raise ContainerFailure(Reason.CORRUPT, "it has more data than its header says")
