"""Decompression in bounded steps: gzip, bzip2, xz and, from Python 3.14 on, Zstandard; deflate and LZMA as in zips."""

from __future__ import annotations

import bz2
import lzma
import struct
import sys
import zlib
from collections.abc import Callable
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
    """Deflate as a `Decompressor`; with `wbits` 31 gzip, its checksum included, with -15 bare, as in zips."""

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


ZIP_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 14: "LZMA", 95: "XZ", 96: "JPEG", 97: "WavPack", 98: "PPMd"}


def zip_decompressor(method: int) -> Decompressor:
    """Return what unpacks a zip's member by the number of its method (APPNOTE.TXT 4.4.5); 14, LZMA, is not among them.

    Raises:
        ContainerFailure: the method is not supported.
    """
    if method == 8:
        return Inflating(-15)
    if method == 12:
        return bz2.BZ2Decompressor()
    if method == 93:
        return _zstd()
    raise ContainerFailure(Reason.UNSUPPORTED, f"packed by method {method} ({ZIP_METHODS.get(method, 'unknown')})")


def zip_lzma(head: bytes) -> Decompressor:
    """Return what unpacks a member of method 14, by its first nine bytes (APPNOTE.TXT 5.8.8).

    Raises:
        ContainerFailure: they make no sense, or ask for too much memory.
    """
    _, length, mode, dictionary = struct.unpack("<HHBI", head)
    if length != 5 or mode >= 9 * 5 * 5 or dictionary > MEMORY_LIMIT:
        raise ContainerFailure(Reason.CORRUPT, "its LZMA header makes no sense")
    options = {"id": lzma.FILTER_LZMA1, "dict_size": dictionary}
    options |= {"lc": mode % 9, "lp": mode // 9 % 5, "pb": mode // 45}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options])


def unpack(inner: Decompressor, read: Callable[[int], bytes], packed: int, size: int) -> bytes:
    """Return the `size` bytes that `packed` bytes hold; never makes more than one beyond.

    Raises:
        ContainerFailure: they hold fewer or more, or are broken.
    """
    pieces, made = [], 0
    while not inner.eof and made <= size:
        source = read(min(packed, CHUNK)) if inner.needs_input and packed else b""
        packed -= len(source)
        piece = decompress(inner, source, size + 1 - made)
        if not piece and not source:
            break
        pieces.append(piece)
        made += len(piece)
    if made != size:
        raise ContainerFailure(Reason.CORRUPT, f"it does not hold the {size:,} bytes that the archive says")
    return b"".join(pieces)


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
