"""Image files without the place where they were taken: the rest of the file stays as it is, byte for byte.

The place is in an EXIF block, which is a TIFF file inside of the image's, and may be in XMP, which is XML. What says it
is overwritten with zeros or blanks, so nothing else moves.
"""

from __future__ import annotations

import re
import struct
import zlib

_TIFF = re.compile(rb"II\*\0|MM\0\*")
_XMP = re.compile(rb"(exif:GPS\w+\s*=\s*)(\"[^\"]*\"|'[^']*')|(<exif:GPS\w+[^>]*>)([^<]*)(?=</exif:GPS)")
_GPS_POINTER = 0x8825
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


def without_gps(data: bytes) -> bytes:
    """Return the bytes of an image file without its place; the same bytes where it says none."""
    cleaned = bytearray(data)
    for found in _TIFF.finditer(data):
        _clear_block(cleaned, found.start())
    text = _XMP.sub(_blank, bytes(cleaned)) if b"exif:GPS" in data else bytes(cleaned)
    if text == data:
        return data
    return _with_checksums(text) if data.startswith(b"\x89PNG\r\n\x1a\n") else text


def _blank(found: re.Match[bytes]) -> bytes:
    if found[1] is not None:
        return found[1] + found[2][:1] + b" " * (len(found[2]) - 2) + found[2][-1:]
    return found[3] + b" " * len(found[4])


def _clear_block(data: bytearray, start: int) -> None:
    """Empty the directory of the place in the TIFF block at `start`, if it is one and has one."""
    order = "<" if data[start : start + 2] == b"II" else ">"
    try:
        (first,) = struct.unpack_from(f"{order}I", data, start + 4)
        pointer = _entries(data, start, start + first, order).get(_GPS_POINTER)
        if pointer is None:
            return
        (offset,) = struct.unpack_from(f"{order}I", data, pointer + 8)
        (count,) = struct.unpack_from(f"{order}H", data, start + offset)
        for entry in _entries(data, start, start + offset, order).values():
            kind, length = struct.unpack_from(f"{order}HI", data, entry + 2)
            size = _SIZES.get(kind, 1) * length
            if size > 4:
                (place,) = struct.unpack_from(f"{order}I", data, entry + 8)
                end = min(start + place + size, len(data))
                data[start + place : end] = bytes(max(0, end - start - place))
        end = min(start + offset + 2 + 12 * min(count, 64), len(data))
        data[start + offset : end] = bytes(end - start - offset)  # no entries
    except struct.error:
        return


def _entries(data: bytearray, start: int, place: int, order: str) -> dict[int, int]:
    """Return where the entries of a directory stand, by tag."""
    (count,) = struct.unpack_from(f"{order}H", data, place)
    if count > 512 or place < start:
        return {}
    tags = [(struct.unpack_from(f"{order}H", data, place + 2 + 12 * i)[0], place + 2 + 12 * i) for i in range(count)]
    return dict(tags)


def _with_checksums(data: bytes) -> bytes:
    """Return a PNG whose pieces have the checksums of what is in them."""
    parts, place = [data[:8]], 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        piece = data[place + 4 : place + 8 + length]
        if len(data) < place + 12 + length:  # what follows the image is not a piece of it
            break
        parts.append(data[place : place + 4] + piece + struct.pack(">I", zlib.crc32(piece)))
        place += 12 + length
    return b"".join([*parts, data[place:]])
