"""A file that is read forward and unpacked on the way; and a few of them kept open for many threads."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from shotdex.media.files import places
from shotdex.store.errors import ContainerFailure
from shotdex.store.types import Reason

from .unpacking import CHUNK, LONGEST_MAGIC, Decompressor, decompress, decompressor, packing_of

FREE_BYTES = 4 * 1024**3
RATIO = 250
"""A packed file may unpack to 4 GiB, and beyond that to 250 times what was read of it: archives of images hardly
shrink, and ten kilobytes of bzip2 can hold hours of zeros."""

KEPT = 8
"""Readers kept open a file: as many as threads decode at once."""


class Reader:
    """An open file; `position` counts unpacked bytes from its start. Not for several threads at once."""

    def __init__(self, place: str, unpack: bool = True) -> None:
        self.position = 0
        self._file = places.open_binary(place)
        try:
            self._packing = packing_of(self._file.read(LONGEST_MAGIC)) if unpack else None
            self.size = None if self._packing else self._file.seek(0, 2)
            self._file.seek(0)
            self._unpacker = _Unpacker(self._file, self._packing) if self._packing else None
        except BaseException:
            self._file.close()
            raise

    @property
    def packed(self) -> bool:
        """Whether the file is compressed, so that it can be read forward only."""
        return self._unpacker is not None

    def read_some(self, count: int) -> bytes:
        """Return the next bytes, fewer than `count` only at the end."""
        data = (self._unpacker or self._file).read(count)
        self.position += len(data)
        return data

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes.

        Raises:
            ContainerFailure: the file ends before.
        """
        if self.size is not None and count > self.size - self.position:  # or the memory would be asked for first
            raise ContainerFailure(Reason.TRUNCATED, "it ends too early")
        data = self.read_some(count)
        if len(data) < count:
            raise ContainerFailure(Reason.TRUNCATED, "it ends too early")
        return data

    def pass_over(self, count: int) -> int:
        """Go forward; return the CRC-32 of what was passed over, or 0 where nothing had to be read.

        Raises:
            ContainerFailure: the file ends before.
        """
        if self.size is not None:
            if count > self.size - self.position:
                raise ContainerFailure(Reason.TRUNCATED, "it ends too early")
            self.position = self._file.seek(self.position + count)
            return 0
        checksum = 0
        while count:
            data = self.read(min(count, CHUNK))
            checksum = zlib.crc32(data, checksum)
            count -= len(data)
        return checksum

    def reaches(self, position: int) -> bool:
        """Tell whether `move_to` can go there."""
        return not self.packed or position >= self.position

    def move_to(self, position: int) -> None:
        """Go to a position that `reaches` allows."""
        self.pass_over(position - self.position)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Unpacker:
    """The unpacked bytes of an open file, packed streams one after another as one."""

    def __init__(self, file: BinaryIO, packing: str) -> None:
        self._file, self._packing = file, packing
        self._inner: Decompressor = decompressor(packing)
        self._buffer, self._taken, self._pending = b"", 0, b""
        self._eaten = self._made = 0

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer than `count` only at the end."""
        pieces = []
        while count:
            if self._taken == len(self._buffer):
                self._buffer, self._taken = self._more(), 0
                if not self._buffer:
                    break
            piece = self._buffer[self._taken : self._taken + count]
            self._taken += len(piece)
            count -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def _more(self) -> bytes:
        while True:
            if self._inner.eof and not self._next_stream():
                return b""
            source = self._packed() if self._inner.needs_input else b""
            if not source and self._inner.needs_input:
                raise ContainerFailure(Reason.TRUNCATED, "the compressed data end too early")
            piece = decompress(self._inner, source, CHUNK)
            if piece:
                self._count(len(piece))
                return piece

    def _next_stream(self) -> bool:
        """Begin the next packed stream; False where only padding or something else follows, as gzip ignores it."""
        rest = self._inner.unused_data or self._packed()
        while rest and not rest.strip(b"\0"):
            rest = self._packed()
        rest = rest.lstrip(b"\0")
        if len(rest) < LONGEST_MAGIC:
            rest += self._packed()
        if packing_of(rest) != self._packing:
            return False
        self._pending = rest
        self._inner = decompressor(self._packing)
        return True

    def _packed(self) -> bytes:
        if self._pending:
            data, self._pending = self._pending, b""
            return data
        data = self._file.read(CHUNK)
        self._eaten += len(data)
        return data

    def _count(self, made: int) -> None:
        self._made += made
        if self._made > FREE_BYTES + RATIO * self._eaten:
            raise ContainerFailure(
                Reason.TOO_LARGE, f"it unpacks to more than {RATIO} times its size: a decompression bomb"
            )


class Readers:
    """Open readers of one file for many threads, each in use by one at a time; kept open until `rest`."""

    def __init__(self, place: str, unpack: bool = True) -> None:
        self._place, self._unpack = place, unpack
        self._lock = threading.Lock()
        self._idle: list[Reader] = []
        self._keep = KEPT

    @contextmanager
    def at(self, position: int) -> Iterator[Reader]:
        """Give a reader that stands at a position: of packed files the one that is nearest before it.

        Raises:
            ContainerFailure: the file ends before.
            OSError: it cannot be opened.
        """
        reader = self._take(position) or Reader(self._place, self._unpack)
        sound = False
        try:
            reader.move_to(position)
            yield reader
            sound = True
        finally:
            # After an error of any kind nobody knows where a decompressor stands.
            self._give_back(reader, sound or not reader.packed)

    def wake(self) -> None:
        """Keep readers open from now on."""
        self._keep = KEPT

    def rest(self) -> None:
        """Close what is open; a reader in use is closed after its use."""
        with self._lock:
            self._keep, idle, self._idle = 0, self._idle, []
        for reader in idle:
            reader.close()

    def _take(self, position: int) -> Reader | None:
        with self._lock:
            fitting = [reader for reader in self._idle if reader.reaches(position)]
            if not fitting:
                return None
            best = max(fitting, key=lambda reader: reader.position)
            self._idle.remove(best)
            return best

    def _give_back(self, reader: Reader, sound: bool) -> None:
        with self._lock:
            if sound and self._keep:
                self._idle.append(reader)
                if len(self._idle) <= self._keep:
                    return
                reader = self._idle.pop(0)
        reader.close()
