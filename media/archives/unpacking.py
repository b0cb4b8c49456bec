"""Decompression in bounded steps: gzip, bzip2, xz and, from Python 3.14 on, Zstandard."""

from __future__ import annotations

import bz2
import lzma
import sys
import zlib
from typing import Protocol

from shotdex.store.errors import ContainerFailure
from shotdex.store.types import Reason

MEMORY_LIMIT = 256 * 1024 * 1024
"""Bytes that unpacking may take for its own tables. An xz file may ask for 4 GiB; `xz -9` needs 65 MiB."""

CHUNK = 128 * 1024
"""Packed bytes read at a time."""

MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
LONGEST_MAGIC = 6


class Decompressor(Protocol):
    """What bz2, lzma and zstd have in common; `Inflating` adds deflate."""

    @property
    def eof(self) -> bool:
        """Whether the end of the packed data was met."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out before more is put in."""

    @property
    def unused_data(self) -> bytes:
        """What was put in and lies behind the end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Put bytes in; get at most so many out."""


class Inflating:
    """Deflate as a `Decompressor`; with `wbits` 31 gzip, its checksum included."""

    def __init__(self, wbits: int) -> None:
        self._inner = zlib.decompressobj(wbits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """Whether the end of the packed data was met."""
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        """What was put in and lies behind the end."""
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Put bytes in; get at most so many out."""
        tail = self._inner.unconsumed_tail
        piece = self._inner.decompress(tail + data if tail else data, max_length)
        self.needs_input = len(piece) < max_length and not self._inner.unconsumed_tail
        return piece


def packing_of(head: bytes) -> str | None:
    """Return by a file's first bytes how it is packed, or None."""
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)


def decompressor(packing: str) -> Decompressor:
    """Return what unpacks one stream.

    Raises:
        ContainerFailure: this Python cannot; the reason is UNSUPPORTED.
    """
    if packing == "gzip":
        return Inflating(31)
    if packing == "bzip2":
        return bz2.BZ2Decompressor()
    if packing == "xz":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_LIMIT)
    return _zstd()


def _zstd() -> Decompressor:
    if sys.version_info < (3, 14):
        raise ContainerFailure(Reason.UNSUPPORTED, "Zstandard needs Python 3.14; unpack it first with: zstd -d")
    from importlib import import_module

    made: Decompressor = import_module("compression.zstd").ZstdDecompressor()
    return made


def decompress(inner: Decompressor, source: bytes, most: int) -> bytes:
    """Put bytes in and get at most `most` out.

    Raises:
        ContainerFailure: they are broken.
    """
    try:
        return inner.decompress(source, most)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:  # bz2 raises OSError
        raise ContainerFailure(Reason.CORRUPT, str(error)) from error
    except Exception as error:
        if type(error).__name__ == "ZstdError":  # known to Python 3.14 only
            raise ContainerFailure(Reason.CORRUPT, str(error)) from error
        raise
