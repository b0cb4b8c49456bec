"""Where a file keeps its EXIF block: found by walking the file's own headers, without a look at any pixel.

JPEG (APP1), PNG (eXIf), WebP (EXIF), HEIC and AVIF (the item of type `Exif`, ISO/IEC 23008-12) and TIFF, which is one
itself. Nothing here trusts a length or a count in the file: each walk and each read ends by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol

BLOCK_BYTES = 1 << 20
"""How much of a block, or of a table that leads to it, is read; in a JPEG it cannot have more than 64 kB."""

STEPS = 20_000
"""How many segments, chunks, boxes or items are looked at."""

_PREFIX = b"Exif\0\0"
_TIFF = (b"II*\0", b"MM\0*")


class Block(Protocol):
    """A TIFF structure."""

    def part(self, start: int, length: int) -> bytes:
        """Return so many bytes from a place in it, fewer at its end."""


class Piece:
    """A block that was read as a whole."""

    def __init__(self, data: bytes) -> None:
        self._data = data.removeprefix(_PREFIX)

    def part(self, start: int, length: int) -> bytes:
        """Return so many bytes from a place in it, fewer at its end."""
        return self._data[start : start + length]


class WholeFile:
    """A TIFF file, of which only what is needed is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def part(self, start: int, length: int) -> bytes:
        """Return so many bytes from a place in it, fewer at its end."""
        self._file.seek(start)
        return self._file.read(length)


def exif_block(file: BinaryIO) -> Block | None:
    """Return the EXIF block of a file, or None if it has none that can be found.

    Raises:
        OSError: the file cannot be read.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] in _TIFF:
        return WholeFile(file)
    found: bytes | None = None
    if head.startswith(b"\xff\xd8"):
        found = _in_jpeg(file)
    elif head.startswith(b"\x89PNG\r\n\x1a\n"):
        found = _in_chunks(file, 8, b"eXIf", "big")
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        found = _in_chunks(file, 12, b"EXIF", "little")
    elif head[4:8] == b"ftyp":
        found = _in_boxes(file)
    return Piece(found) if found else None


def _in_jpeg(file: BinaryIO) -> bytes | None:
    file.seek(2)
    for _ in range(STEPS):
        marker = file.read(2)
        if len(marker) < 2 or marker[0] != 0xFF:
            return None
        kind = marker[1]
        if kind == 0xFF:  # a fill byte
            file.seek(-1, 1)
            continue
        if kind in (0xD9, 0xDA):  # the end, or the first scan: pixels
            return None
        if kind == 0x01 or 0xD0 <= kind <= 0xD8:  # without a length
            continue
        length = int.from_bytes(file.read(2), "big") - 2
        if length < 0:
            return None
        start = file.tell()
        if kind == 0xE1 and file.read(len(_PREFIX)) == _PREFIX:
            return file.read(max(0, length - len(_PREFIX)))
        file.seek(start + length)
    return None


def _in_chunks(file: BinaryIO, start: int, wanted: bytes, order: str) -> bytes | None:
    """Return what a chunk holds in a PNG, whose chunks begin with their length, or a RIFF file, whose end with it."""
    for _ in range(STEPS):
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            return None
        png = order == "big"
        kind, length = (head[4:], head[:4]) if png else (head[:4], head[4:])
        size = int.from_bytes(length, "big" if png else "little")
        if kind == wanted:
            return file.read(min(size, BLOCK_BYTES))
        start += 8 + size + (4 if png else size % 2)
    return None


def _in_boxes(file: BinaryIO) -> bytes | None:
    """Return the Exif item of a HEIC or AVIF file."""
    end = file.seek(0, 2)
    meta = next((box for box in _boxes(file, 0, end) if box[0] == b"meta"), None)
    if meta is None:
        return None
    inner = {kind: (start, stop) for kind, start, stop in _boxes(file, meta[1] + 4, meta[2])}
    if not {b"iinf", b"iloc"} <= inner.keys():
        return None
    item = _exif_item(file, *inner[b"iinf"])
    if item is None:
        return None
    start, stop = inner[b"iloc"]
    file.seek(start)
    table = file.read(min(stop - start, BLOCK_BYTES))
    idat = inner.get(b"idat", (0, 0))[0]
    data = b"".join(_extents(file, table, item, idat))
    skipped = 4 + int.from_bytes(data[:4], "big")
    return data[skipped:] if data[skipped : skipped + 4] in _TIFF else data[4:]


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of what each box between two places holds."""
    for _ in range(STEPS):
        file.seek(start)
        head = file.read(16)
        if start >= end or len(head) < 8:
            return
        size, inner = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, inner = int.from_bytes(head[8:16], "big"), 16
        stop = end if size == 0 else min(end, start + size)
        if stop < start + inner:
            return
        yield head[4:8], start + inner, stop
        start = stop


def _exif_item(file: BinaryIO, start: int, end: int) -> int | None:
    """Return the id of the item of type Exif in an `iinf` box."""
    file.seek(start)
    wide = file.read(1) != b"\0"
    for kind, inner, stop in _boxes(file, start + (8 if wide else 6), end):
        file.seek(inner)
        entry = file.read(min(stop - inner, 16))
        size = 4 if entry[:1] == b"\3" else 2
        if kind == b"infe" and entry[6 + size : 10 + size] == b"Exif":
            return int.from_bytes(entry[4 : 4 + size], "big")
    return None


def _extents(file: BinaryIO, table: bytes, wanted: int, idat: int) -> Iterator[bytes]:
    """Yield the parts of an item that an `iloc` box names, up to `BLOCK_BYTES` in all."""
    cursor = _Cursor(table)
    version = cursor.number(1)
    cursor.number(3)
    sizes = cursor.number(2)
    offsets, lengths, bases, indexes = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 4 if version == 2 else 2
    left = BLOCK_BYTES
    for _ in range(min(cursor.number(wide), STEPS)):
        item = cursor.number(wide)
        method = cursor.number(2) & 15 if version in (1, 2) else 0
        cursor.number(2)
        base = cursor.number(bases)
        for _ in range(min(cursor.number(2), STEPS)):
            cursor.number(indexes if version in (1, 2) else 0)
            offset, length = cursor.number(offsets), cursor.number(lengths)
            if item == wanted and method in (0, 1) and left > 0:
                file.seek(min(base + offset + (idat if method == 1 else 0), 1 << 62))
                yield file.read(min(length or left, left))
                left -= length or left
        if item == wanted or cursor.at_end():
            return


class _Cursor:
    """Numbers one after the other; what lies beyond the end is zero."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, size: int) -> int:
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at], "big")

    def at_end(self) -> bool:
        return self._at >= len(self._data)
