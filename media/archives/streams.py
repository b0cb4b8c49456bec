"""A file that is read from its start on, unpacked by the modules for gzip, bzip2, xz and Zstandard, within bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import BinaryIO, cast

from shotdex.media.files import places
from shotdex.store.errors import ContainerFailure
from shotdex.store.types import Reason

MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
LONGEST_MAGIC = 6

PIECE = 256 * 1024
"""Bytes asked for at once: a file makes room for all that it is asked for, however little it has."""

MEMORY_LIMIT = 256 * 1024 * 1024
"""Bytes that unpacking xz may take for its table. A file may ask for 4 GiB; `xz -9` needs 65 MiB."""

FREE_BYTES = 4 * 1024**3
RATIO = 250
"""A packed file may unpack to 4 GiB, and beyond that to 250 times what was read of it: archives of images hardly
shrink, and ten kilobytes of bzip2 can hold hours of zeros."""


class Stream:
    """An open file; positions count unpacked bytes. To go back in a packed one is to start again. For one thread.

    Attributes:
        packing: gzip, bzip2, xz or zstd, or None.
        size: the size in bytes; None where it is packed.

    Raises:
        ContainerFailure: by the constructor, where it cannot be unpacked here.
        OSError: it cannot be opened.
    """

    def __init__(self, place: str, unpack: bool = True) -> None:
        self._at = 0
        self._file = places.open_binary(place)
        try:
            self.packing = packing_of(self._file.read(LONGEST_MAGIC)) if unpack else None
            self.size = None if self.packing else self._file.seek(0, io.SEEK_END)
            self._file.seek(0)
            self._unpacked = _unpacked(self._file, self.packing) if self.packing else self._file
        except BaseException:
            self._file.close()
            raise

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer than `count` only at the end.

        Raises:
            ContainerFailure: the packed data are broken, or end too early, or unpack to too much.
            OSError: the file cannot be read.
        """
        parts = []
        while count > 0 and (part := self._piece(min(count, PIECE))):
            parts.append(part)
            count -= len(part)
            self._at += len(part)
            if self.packing and self._at > FREE_BYTES + RATIO * self._file.tell():
                raise ContainerFailure(
                    Reason.TOO_LARGE, f"it unpacks to more than {RATIO} times its size: a decompression bomb"
                )
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_exactly(self, count: int) -> bytes:
        """Return the next `count` bytes.

        Raises:
            ContainerFailure, OSError: as for `read`, and where the file ends before.
        """
        if self.size is not None and count > self.size - self._at:  # or the memory would be asked for first
            raise ContainerFailure(Reason.TRUNCATED, "it ends too early")
        data = self.read(count)
        if len(data) < count:
            raise ContainerFailure(Reason.TRUNCATED, "it ends too early")
        return data

    def pass_over(self, count: int) -> int:
        """Go forward; return the CRC-32 of what was passed over, or 0 where nothing had to be read.

        Raises:
            ContainerFailure, OSError: as for `read_exactly`.
        """
        if self.size is not None:
            if count > self.size - self._at:
                raise ContainerFailure(Reason.TRUNCATED, "it ends too early")
            self.seek(self._at + count)
            return 0
        checksum = 0
        while count:
            data = self.read_exactly(min(count, PIECE))
            checksum = zlib.crc32(data, checksum)
            count -= len(data)
        return checksum

    def seek(self, position: int) -> int:
        """Go to a position, in a packed file at most to the end; return where it stands.

        Raises:
            ContainerFailure, OSError: as for `read`.
        """
        if self.packing is None or position < self._at:
            self._at = self._unpacked.seek(0 if self.packing else position)
        while self._at < position and self.read(min(position - self._at, PIECE)):
            pass
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _piece(self, count: int) -> bytes:
        try:
            return self._unpacked.read(count)
        except EOFError as error:
            raise ContainerFailure(Reason.TRUNCATED, "the compressed data end too early") from error
        except gzip.BadGzipFile as error:
            if self._at and str(error).startswith("Not a gzipped file"):  # gzip, too, ignores what follows its data
                return b""
            raise ContainerFailure(Reason.CORRUPT, str(error)) from error
        except (zlib.error, lzma.LZMAError) as error:
            raise ContainerFailure(Reason.CORRUPT, str(error)) from error
        except Exception as error:
            # bzip2 has no error of its own, and that of Zstandard is known to Python 3.14 only.
            if type(error).__name__ == "ZstdError" or (self.packing == "bzip2" and error.args[1:] == ()):
                raise ContainerFailure(Reason.CORRUPT, str(error)) from error
            raise


class SharedFile:
    """A file that several threads read by position. It may be closed meanwhile: it is opened again when needed.

    In a packed file, going on from the last position is quick, and going back is not.
    """

    def __init__(self, place: str, unpack: bool = True) -> None:
        self._place, self._unpack = place, unpack
        self._stream: Stream | None = None
        self._lock = threading.Lock()
        self._keep = True

    def read_at(self, position: int, count: int) -> bytes:
        """Return the bytes at a position, fewer than `count` only at the end.

        Raises:
            ContainerFailure, OSError: as for `Stream`.
        """
        with self._opened() as stream:
            stream.seek(position)
            return stream.read(count) if stream.tell() == position else b""

    def size(self) -> int:
        """Return the size in bytes of a file that is not unpacked."""
        with self._opened() as stream:
            assert stream.size is not None
            return stream.size

    def wake(self) -> None:
        """Keep the file open from now on."""
        self._keep = True

    def rest(self) -> None:
        """Close the file, after the read that goes on; it is closed after each read from now on."""
        self._keep = False
        if self._lock.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._lock.release()

    @contextmanager
    def _opened(self) -> Iterator[Stream]:
        sound = False
        with self._lock:
            if self._stream is None:
                self._stream = Stream(self._place, self._unpack)
            try:
                yield self._stream
                sound = True
            finally:  # after an error nobody knows where a decompressor stands
                if not (sound and self._keep):
                    self._close()

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def packing_of(head: bytes) -> str | None:
    """Return by a file's first bytes how it is packed, or None."""
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)


def _unpacked(file: BinaryIO, packing: str) -> BinaryIO:
    if packing == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if packing == "bzip2":
        return cast(BinaryIO, bz2.BZ2File(file))
    if packing == "xz":
        try:
            lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_LIMIT).decompress(file.read(4096), 1)
        except lzma.LZMAError as error:
            raise ContainerFailure(Reason.CORRUPT, str(error)) from error
        file.seek(0)
        return cast(BinaryIO, lzma.LZMAFile(file))
    if sys.version_info < (3, 14):
        raise ContainerFailure(Reason.UNSUPPORTED, "Zstandard needs Python 3.14; unpack it first with: zstd -d")
    return cast(BinaryIO, import_module("compression.zstd").ZstdFile(file))
