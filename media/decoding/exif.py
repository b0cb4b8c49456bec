"""What a camera wrote into an image's file: when, with what and where it was taken, and the rest of the EXIF block.

Cameras, phones and editors write blocks that are cut off, of wrong types, with clocks that were never set. What cannot
be true is None, and nothing here raises for what a file holds: pixels that are whole are an image all the same. The
block is read by this module and not by Pillow, whose reader takes as much memory as a hostile block asks for; Pillow's
tables give the names. Tags and types: Exif 3.0 (CIPA DC-008), section 4.6.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO

from PIL import ExifTags

from shotdex.store.types import Photo

from .exif_block import Block, exif_block

ENTRIES, VALUE_BYTES, NUMBERS = 512, 4096, 16
"""Tags of a directory, bytes of a value and numbers of a value that are read; longer texts are cut."""

KEPT_CHARACTERS = 32_768
"""How long the rest may be as JSON; further tags are left out."""

FIRST_YEAR = 1826
"""Of the oldest photograph that is left: an earlier date is one of a clock that was never set."""

_UNITS = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I"}
_EXIF, _GPS = 0x8769, 0x8825
_MAKE, _MODEL, _LENS = 0x010F, 0x0110, 0xA434
_TIMES = (0x9003, 0x9004, 0x0132)  # when taken, when made digital, when the file was last changed

# How a TIFF's pixels are stored, pointers, thumbnails, and blocks of other standards.
_LEFT_OUT = frozenset(
    {*range(254, 260), 262, 263, 266, 273, *range(277, 282), 284, 317, *range(320, 326), 330, 332, *range(338, 348)}
    | {512, 513, 514, *range(529, 533), 700, 33723, 34377, 34675, 37500, 40965, 50341, 59932, _EXIF, _GPS}
)
_POSITION = frozenset({1, 2, 3, 4})  # of the GPS directory: kept in the columns, rounded by nobody, and only there
_WIDE_TEXTS = range(0x9C9B, 0x9CA0)  # Windows' title, comment, author, keywords and subject: UTF-16
_COMMENT = 0x9286

_DATE = re.compile(r"\s*(\d{4})[:/.-](\d\d)[:/.-](\d\d)(?:[\sT]+(\d\d):(\d\d)(?::(\d\d))?)?(?!\d)")

Tags = Mapping[int, Any]


def read_exif(file: BinaryIO) -> Photo:
    """Return what the EXIF block of a file says, by a look at the file's headers alone.

    Args:
        file: open in binary, and seekable.

    Raises:
        OSError: the file cannot be read.
    """
    block = exif_block(file)
    if block is None:
        return Photo()
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block.part(0, 4))
    if order is None:
        return Photo()
    main = _directory(block, order, _number(block.part(4, 4), order))
    exif, gps = (_directory(block, order, main.get(pointer)) for pointer in (_EXIF, _GPS))
    latitude, longitude = _position(gps)
    return Photo(
        next((found for tags in (exif, main) for tag in _TIMES if (found := _time(tags.get(tag)))), None),
        _camera(main),
        _text(exif.get(_LENS)) or _text(main.get(_LENS)),
        latitude,
        longitude,
        _rest(main, exif, gps),
    )


def _number(data: bytes, order: str) -> int | None:
    return struct.unpack(f"{order}I", data)[0] if len(data) == 4 else None


def _directory(block: Block, order: str, start: Any) -> dict[int, Any]:
    """Return the values of a directory by tag: text, bytes, a number or a tuple of them; rationals as (a, b)."""
    if not isinstance(start, int) or start < 8:
        return {}
    head = block.part(start, 2)
    if len(head) < 2:
        return {}
    table = block.part(start + 2, 12 * min(struct.unpack(f"{order}H", head)[0], ENTRIES))
    values: dict[int, Any] = {}
    for at in range(0, len(table) - 11, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", table, at)
        if kind in _UNITS and count:
            value = _value(block, order, kind, count, table[at + 8 : at + 12])
            if value is not None:
                values.setdefault(tag, value)
    return values


def _value(block: Block, order: str, kind: int, count: int, inline: bytes) -> Any:
    unit = struct.calcsize(f"={_UNITS[kind]}")
    length = unit * count
    if length > VALUE_BYTES:
        if kind not in (1, 2, 7):
            return None
        length = VALUE_BYTES
    data = inline[:length] if length <= 4 else block.part(struct.unpack(f"{order}I", inline)[0], length)
    if len(data) < length:
        return None
    if kind == 2:
        return _decoded(data.partition(b"\0")[0])
    if kind == 7 or (kind == 1 and count > 1):
        return data
    numbers = struct.unpack(f"{order}{_UNITS[kind] * count}", data)
    if kind in (5, 10):
        return tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return numbers[0] if count == 1 else numbers


def _text(value: Any) -> str | None:
    """Return a text without what ends it and what no line shows; None where nothing is left."""
    if isinstance(value, bytes):
        value = _decoded(value.partition(b"\0")[0])
    return _printable(value) if isinstance(value, str) else None


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _printable(text: str) -> str | None:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split()) or None


def _time(value: Any) -> datetime | None:
    """Return when, as the camera's clock showed it; a zone, where the text has one, is left out."""
    found = _DATE.match(_text(value) or "")
    if found is None:
        return None
    try:
        time = datetime(*(int(part or 0) for part in found.groups()))  # type: ignore[arg-type]
    except ValueError:
        return None
    return time if time.year >= FIRST_YEAR else None


def _camera(main: Tags) -> str | None:
    """Return maker and model as one name: `Canon EOS R5`, whether or not the model repeats the maker."""
    make, model = _text(main.get(_MAKE)), _text(main.get(_MODEL))
    if make is None or model is None:
        return model or make
    repeated = model.casefold().split()[0] == make.casefold().split()[0]
    return model if repeated else f"{make} {model}"


def _position(gps: Tags) -> tuple[float | None, float | None]:
    """Return latitude and longitude in degrees, south and west below zero; both, or neither.

    Exactly 0, 0 is what receivers write that have not found where they are.
    """
    latitude = _degrees(gps.get(2), _text(gps.get(1)), ("N", "S"), 90.0)
    longitude = _degrees(gps.get(4), _text(gps.get(3)), ("E", "W"), 180.0)
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        return None, None
    return latitude, longitude


def _degrees(value: Any, side: str | None, sides: tuple[str, str], most: float) -> float | None:
    letter = (side or "")[:1].upper()
    if letter not in sides or not isinstance(value, tuple) or not 1 <= len(value) <= 3:
        return None
    ratios = [_ratio(part) for part in value]
    parts = [part for part in ratios if part is not None and part >= 0]
    if len(parts) < len(ratios) or any(part > 60 for part in parts[1:]):
        return None
    degrees = math.fsum(part / 60**place for place, part in enumerate(parts))
    if degrees > most:
        return None
    return -degrees if letter == sides[1] and degrees else degrees


def _ratio(value: Any) -> float | None:
    if not isinstance(value, tuple):
        return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
    return float(value[0] / value[1]) if len(value) == 2 and value[1] else None


def _rest(main: Tags, exif: Tags, gps: Tags) -> str:
    """Return everything else that has a name and can be read, as JSON by the names of the standard."""
    kept: dict[str, Any] = {}
    named = ((main, ExifTags.TAGS), (exif, ExifTags.TAGS), (gps, ExifTags.GPSTAGS))
    size = 2
    for tags, names in named:
        for tag, value in islice(tags.items(), ENTRIES):
            left_out = tag in (_POSITION if tags is gps else _LEFT_OUT)
            if left_out or tag not in names or (said := _said(tag, value)) is None:
                continue
            entry = json.dumps({names[tag]: said}, ensure_ascii=False, allow_nan=False)
            if size + len(entry) <= KEPT_CHARACTERS:
                kept[names[tag]] = said
                size += len(entry)
    return json.dumps(kept, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _said(tag: int, value: Any) -> Any:
    """Return a value as JSON has it; None where it cannot be shown."""
    if isinstance(value, str):
        return _printable(value)
    if isinstance(value, bytes):
        return _said_bytes(tag, value)
    if isinstance(value, tuple):
        if len(value) > NUMBERS:
            return None
        numbers = [_ratio(part) for part in value]
        return None if None in numbers else numbers[0] if len(numbers) == 1 else numbers
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _said_bytes(tag: int, value: bytes) -> Any:
    if tag in _WIDE_TEXTS:
        return _printable(value.decode("utf-16-le", "ignore").partition("\0")[0])
    if tag == _COMMENT:  # eight bytes say how the rest is written
        return _printable(value[8:].decode("utf-16", "ignore")) if value[:7] == b"UNICODE" else _text(value[8:])
    shown = value.rstrip(b"\0 ")
    if shown and all(32 <= byte < 127 for byte in shown):
        return shown.decode("ascii")
    if len(value) > 8:
        return None
    return value[0] if len(value) == 1 else list(value)
