"""Decoding with Pillow so that a decoder which stops early is noticed.

Pillow's decoders write rows into an image that is there already, and not all say so when they write too few. So the
rows that come last are marked before, and looked at afterwards. A row that is all of the mark's colour may really be
so: it counts as missing only if it is so with two marks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image, ImageFile

from shotdex.store.errors import truncated
from shotdex.store.types import Limits

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
