"""Small versions of indexed images as WebP: decoded with the limits of an index, and never the original bytes."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from threading import BoundedSemaphore, Lock

from PIL import Image
from PIL.Image import Resampling

from shotdex.media.decoding.decode import decode
from shotdex.media.open_image import open_image
from shotdex.store.errors import UnreadableImage
from shotdex.store.types import PIXEL_LIMIT, Limits

from .problems import Problem

CACHE_BYTES = 64 * 1024 * 1024
DECODERS, WAITING = 2, 64


class Side(IntEnum):
    """The longest side in pixels."""

    TINY = 96
    SMALL = 192
    MEDIUM = 384
    LARGE = 1024


class Previews:
    """Makes and keeps previews, the most recently used up to a number of bytes."""

    def __init__(self, bytes_kept: int = CACHE_BYTES) -> None:
        self._most = bytes_kept
        self._kept: OrderedDict[tuple[str, str, Side], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()
        self._decoders, self._places = BoundedSemaphore(DECODERS), BoundedSemaphore(DECODERS + WAITING)

    def get(self, state: str, address: str, side: Side, most: int = PIXEL_LIMIT) -> bytes:
        """Return the image at an address as WebP; `state` changes where the images of the store may have.

        `most` are the pixels that it may have.

        Raises:
            UnreadableImage: it is gone or broken.
            Problem: too many are waiting.
        """
        key = (state, address, side)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with self._turn():
            made = _webp(open_image(address, most), side)
        with self._lock:
            self._bytes += len(made) - len(self._kept.pop(key, b""))
            self._kept[key] = made
            while self._bytes > self._most and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return made

    def decode(self, data: bytes) -> Image.Image:
        """Return the image that was uploaded.

        Raises:
            UnreadableImage: it is not an image, damaged, or too large.
            Problem: too many are waiting.
        """
        with self._turn():
            try:
                return decode(data, Limits(seconds=None, all_formats=True))
            except Exception as error:  # whatever a decoder makes of hostile bytes
                raise UnreadableImage(
                    f"the image cannot be used: {error}", "upload a JPEG, PNG or WebP file"
                ) from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Problem(503, "too many images are waiting", "try again in a second", {"Retry-After": "1"})
        try:
            with self._decoders:
                yield
        finally:
            self._places.release()


def _webp(image: Image.Image, side: Side) -> bytes:
    image.thumbnail((side, side), Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=82, method=2)
    return out.getvalue()
