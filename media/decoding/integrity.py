"""Whether a file has all of its image, as far as its structure tells: before anything is decoded.

Decoders are lenient: they leave black, grey or transparent what is not there. What decoding itself shows is in
`loading.py`.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from shotdex.store.errors import ImageFailure, corrupt, truncated
from shotdex.store.types import Reason

_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"tRNS"})


def check_png(data: bytes) -> None:
    """Check the sums of all chunks that make pixels; Pillow skips those of the data.

    Raises:
        ImageFailure: a sum is wrong, or the data ends within a chunk that makes pixels.
    """
    position, in_data = 8, False
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if in_data and kind != b"IDAT":
            return
        in_data = kind == b"IDAT"
        end = position + 8 + length
        if kind in _CRITICAL:
            if end + 4 > len(data):
                raise truncated(f"a chunk {kind.decode()} is cut off")
            if zlib.crc32(memoryview(data)[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
                raise corrupt(f"a chunk {kind.decode()} does not match its checksum")
        position = end + 4
    if not in_data:
        raise truncated("the file ends before its pixels")


def check_pcx(data: bytes) -> None:
    """Check that the palette at the end is there: without it Pillow takes its numbers for grey values."""
    one_plane_of_bytes = len(data) > 65 and data[3] == 8 and data[65] == 1
    if one_plane_of_bytes and (len(data) < 769 or data[-769] != 12):
        raise truncated("the palette at the end is missing")


def check_pnm(data: bytes) -> None:
    """Check that the last number of a plain PNM is whole: 25 may be what is left of 255."""
    if data[:2] in (b"P2", b"P3") and data[-1:].isdigit():
        raise truncated("the last number may be cut off")


def check_j2k(data: bytes) -> None:
    """Walk through the tile parts of a JPEG 2000 codestream (ISO 15444-1, annex A): all tiles, then the end marker."""
    start = _codestream(data)
    position, wanted, seen = start + 2, 0, set()
    while data[position : position + 2] != b"\xff\xd9":
        if len(data) < position + 12 or data[position] != 0xFF:
            raise truncated("the end marker is missing")
        if data[position + 1] != 0x90:
            if data[position + 1] == 0x51:
                wanted = _tiles(data, position + 4)
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            continue
        tile, length = struct.unpack_from(">HI", data, position + 4)
        seen.add(tile)
        if length == 0:  # this part goes on to the end marker
            if b"\xff\xd9" not in data[position:]:
                raise truncated("the end marker is missing")
            break
        position += max(length, 14)
    if len(seen) < wanted:
        raise truncated(f"{len(seen)} of {wanted} tiles are there")


def _codestream(data: bytes) -> int:
    """Return where the codestream begins: at once, or in the box jp2c."""
    if data.startswith(b"\xff\x4f"):
        return 0
    position = 0
    while position + 16 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if length == 1:
            length, header = struct.unpack_from(">Q", data, position + 8)[0], 16
        if kind == b"jp2c":
            return position + header
        if length < 8:
            break
        position += length
    raise truncated("there is no codestream")


_SIZ = struct.Struct(">8I")


def _tiles(data: bytes, size: int) -> int:
    right, bottom, _, _, width, height, left, top = _SIZ.unpack_from(data, size + 2)
    if not width or not height:
        raise corrupt("tiles without size")
    return int(-(-(right - left) // width) * -(-(bottom - top) // height))


_STRIPS, _STRIP_BYTES, _ROWS, _TILES, _TILE_BYTES, _TILE_SIZE = 273, 279, 278, 324, 325, (322, 323)
_COMPRESSION, _FILL_ORDER, _PLANAR, _OLD_JPEG = 259, 266, 284, 6
_FAX_WITHOUT_END = {2: "modified Huffman", 3: "fax group 3", 32771: "modified Huffman"}
_FAX_4 = 4


def check_tiff(opened: Image.Image, data: bytes) -> None:
    """Check that there are as many strips or tiles as the image needs, and that each lies within the file.

    Raises:
        ImageFailure: one is missing, or its coding does not tell whether it is whole.
    """
    tags: Mapping[int, Any] = opened.tag_v2  # type: ignore[attr-defined]
    coding = tags.get(_COMPRESSION, 1)
    if coding in _FAX_WITHOUT_END:
        raise ImageFailure(Reason.UNSUPPORTED, f"TIFF with {_FAX_WITHOUT_END[coding]} does not tell if it is whole")
    if coding == _OLD_JPEG:
        raise ImageFailure(Reason.UNSUPPORTED, "TIFF with old-style JPEG")
    tiled = _TILES in tags
    starts = _numbers(tags.get(_TILES if tiled else _STRIPS))
    counts = _numbers(tags.get(_TILE_BYTES if tiled else _STRIP_BYTES))
    planes = len(opened.getbands()) if tags.get(_PLANAR, 1) == 2 else 1
    if len(starts) < planes * _parts(opened.size, tags, tiled):
        raise truncated(f"{len(starts)} strips or tiles are too few")
    if any(start == 0 or start >= len(data) for start in starts):
        raise truncated("a strip or tile is missing")
    if coding != 1:
        if len(counts) < len(starts) or not all(counts):
            raise corrupt("a strip or tile has no length")
        if any(start + count > len(data) for start, count in zip(starts, counts, strict=False)):
            raise truncated("a strip or tile is cut off")
    if coding == _FAX_4:
        _check_fax([data[start : start + count] for start, count in zip(starts, counts, strict=False)], tags)


def _numbers(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, tuple) else (value,)


def _parts(size: tuple[int, int], tags: Mapping[int, Any], tiled: bool) -> int:
    if tiled:
        width, height = (int(tags.get(tag, 0)) for tag in _TILE_SIZE)
        if not width or not height:
            raise corrupt("tiles without size")
        return -(-size[0] // width) * -(-size[1] // height)
    rows = int(tags.get(_ROWS, 0)) or size[1]
    return -(-size[1] // rows)


def _check_fax(strips: list[bytes], tags: Mapping[int, Any]) -> None:
    # libtiff leaves white what a group 4 strip does not have; a whole one ends in two end-of-line codes (T.6, 2.4.1).
    for strip in strips:
        tail = strip[-16:].rstrip(b"\0")
        if tags.get(_FILL_ORDER, 1) == 2:
            tail = bytes(int(f"{byte:08b}"[::-1], 2) for byte in tail)
        bits = "".join(f"{byte:08b}" for byte in tail).rstrip("0")
        if not bits.endswith("000000000001" * 2):
            raise truncated("a strip of fax data has no end")


def check_gif(data: bytes) -> None:
    """Check that the first frame's data ends with an empty block."""
    flags = data[10] if len(data) > 13 else 0
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while position < len(data) and data[position] == 0x21:
        position = _after_blocks(data, position + 2)
    if data[position : position + 1] != b",":
        raise corrupt("there is no frame")
    flags = data[position + 9] if len(data) > position + 9 else 0
    _after_blocks(data, position + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))


def _after_blocks(data: bytes, position: int) -> int:
    while position < len(data):
        if data[position] == 0:
            return position + 1
        position += data[position] + 1
    raise truncated("the file ends within a block")


def check_xbm(data: bytes) -> None:
    """Check that the list of numbers is closed, and that they are numbers."""
    start, end = data.find(b"{"), data.rfind(b"}")
    if start < 0 or end < start:
        raise truncated("the list of numbers is not closed")
    if re.fullmatch(rb"(?:\s*0[xX][0-9a-fA-F]{2}\s*,)*(?:\s*0[xX][0-9a-fA-F]{2})?\s*", data[start + 1 : end]) is None:
        raise corrupt("the list of numbers has something else")


CHECKS: Mapping[str, Callable[[bytes], None]] = {
    "PNG": check_png,
    "PCX": check_pcx,
    "PPM": check_pnm,
    "JPEG2000": check_j2k,
    "GIF": check_gif,
    "XBM": check_xbm,
}
"""What to check of a file by its format, beside TIFF and JPEG."""
