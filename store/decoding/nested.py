"""Icon files hold whole PNG or JPEG 2000 files, which are checked like any other; the rest is left to Pillow."""

from __future__ import annotations

import io

from PIL.IcnsImagePlugin import IcnsFile
from PIL.IcoImagePlugin import IcoFile

from .refused import truncated

MARKS = (b"\0\0\1\0", b"icns")
_FILES = (b"\x89PNG\r\n\x1a\n", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")


def nested_file(data: bytes) -> bytes | None:
    """Return the file within an icon file that Pillow would show, or None where it is in the icon's own form.

    Raises:
        PictureRefused: the icon file is cut off.
        Exception: of any type, where it makes no sense.
    """
    start, length = _of_icns(data) if data.startswith(b"icns") else _of_ico(data)
    within = data[start : start + length]
    if not within.startswith(_FILES):
        return None
    if len(within) < length:
        raise truncated("the icon's picture is cut off")
    return within


def _of_ico(data: bytes) -> tuple[int, int]:
    best = IcoFile(io.BytesIO(data)).entry[0]
    return best.offset, best.size


def _of_icns(data: bytes) -> tuple[int, int]:
    if int.from_bytes(data[4:8], "big") > len(data):  # the largest picture may be in what is missing
        raise truncated("the icon file is cut off")
    icons = IcnsFile(io.BytesIO(data))
    return next(icons.dct[code] for code, _ in icons.SIZES[icons.bestsize()] if code in icons.dct)
