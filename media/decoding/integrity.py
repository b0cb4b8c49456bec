"""Whether an image is whole: by the structure of its file, and by what its decoder leaves unwritten.

Decoders are lenient: they leave black, grey or transparent what is missing. Pillow's write rows into an image that
exists already, and not all say so when they write too few. So the last rows are marked before and looked at
afterwards. A row in the mark's colour may really be so: it counts as missing only if it is so with two marks.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from PIL import Image, ImageFile

from shotdex.store.errors import ImageFailure, corrupt, truncated
from shotdex.store.types import Limits, Reason

from .formats import not_listed

MARKS = (1, 254)

Opener = Callable[[], Image.Image]

# Pillow keeps what it tolerates in variables of its modules, for all threads.
_settings_lock = threading.RLock()


@contextmanager
def strict_pillow(limits: Limits) -> Iterator[None]:
    """Set Pillow's own limits, whatever the process has set, and put them back."""
    with _settings_lock:
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        # Pillow raises at twice the number, and checks so what only it sees: an image within another.
        Image.MAX_IMAGE_PIXELS = None if limits.pixels is None else max(1, limits.pixels // 2)
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def load_whole(open_again: Opener, opened: Image.Image) -> Image.Image:
    """Decode an opened image, and once more where it may have ended early.

    Raises:
        ImageFailure: rows are missing.
        Exception: of any type, from a decoder.
    """
    if not _load_marked(opened, MARKS[0]):
        return opened
    again = open_again()
    if not _load_marked(again, MARKS[1]):
        return again
    raise truncated("the data ends before the last row")


def _load_marked(opened: Image.Image, mark: int) -> bool:
    """Decode; tell whether a last row looks as if it had not been written."""
    tiles = [tile for tile in getattr(opened, "tile", ()) if tile[0] != "raw"]  # raw data is counted by Pillow itself
    boxes = {tile[1] or (0, 0, *opened.size) for tile in tiles}
    if not boxes:
        opened.load()
        return False
    # Interlaced images end with every other row, which may be the last but one.
    rows = [(box[0], y, box[2], y + 1) for box in boxes for y in range(max(box[1], box[3] - 2), box[3])]
    suspect = False
    prepare, end = opened.load_prepare, opened.load_end  # type: ignore[attr-defined]

    def prepare_and_mark() -> None:
        prepare()
        for row in rows:
            opened.im.paste(_ink(opened.im.mode, mark), row)

    def look_and_end() -> None:
        nonlocal suspect
        suspect = any(_is_marked(opened, row, mark) for row in rows)
        end()

    opened.load_prepare, opened.load_end = prepare_and_mark, look_and_end  # type: ignore[attr-defined]
    opened.load()
    return suspect


def _ink(mode: str, mark: int) -> Any:
    if mode == "1":
        return 0 if mark == MARKS[0] else 255
    bands = Image.getmodebands(mode)
    return mark if bands == 1 else (mark,) * bands


def _is_marked(opened: Image.Image, row: tuple[int, int, int, int], mark: int) -> bool:
    extremes: Any = opened._new(opened.im).crop(row).getextrema()
    each = extremes if isinstance(extremes[0], tuple) else (extremes,)
    wanted = _ink("1", mark) if opened.im.mode == "1" else mark
    return any(low == high == wanted for low, high in each)


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


def check_pnm(data: bytes) -> None:
    """Check that the last number of a plain PNM is whole: 25 may be what is left of 255."""
    if data[:2] in (b"P2", b"P3") and data[-1:].isdigit():
        raise truncated("the last number may be cut off")


_STRIPS, _STRIP_BYTES, _ROWS, _TILES, _TILE_BYTES, _TILE_SIZE = 273, 279, 278, 324, 325, (322, 323)
_COMPRESSION, _PLANAR = 259, 284
_UNCHECKED = {2: "modified Huffman", 3: "fax group 3", 4: "fax group 4", 6: "old-style JPEG", 32771: "modified Huffman"}


def check_tiff(opened: Image.Image, data: bytes, all_formats: bool) -> None:
    """Check that there are as many strips or tiles as the image needs, and that each lies within the file.

    Raises:
        ImageFailure: one is missing; or, without `all_formats`, the coding does not tell whether it is whole.
    """
    tags: Mapping[int, Any] = opened.tag_v2  # type: ignore[attr-defined]
    coding = tags.get(_COMPRESSION, 1)
    if coding in _UNCHECKED and not all_formats:
        raise ImageFailure(Reason.UNSUPPORTED, not_listed(f"TIFF with {_UNCHECKED[coding]}"))
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


CHECKS: Mapping[str, Callable[[bytes], None]] = {
    "PNG": check_png,
    "PPM": check_pnm,
    "GIF": check_gif,
}
"""What to check of a file by its format; for TIFF see `check_tiff`, for JPEG `jpeg.py`."""
