"""The image at any address, for a query, a figure or a notebook. Pillow is imported only where one is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shotdex.store.errors import ImageFailure, UnreadableImage
from shotdex.store.location import user_path
from shotdex.store.types import BYTES_LIMIT, PIXEL_LIMIT, Limits, Reason

from .files.places import TooManyBytes, is_url, read_all

if TYPE_CHECKING:
    from PIL import Image

_NO_BYTE_LIMIT = 1 << 62


def open_image(address: str, max_pixels: int = PIXEL_LIMIT) -> Image.Image:
    """Return the upright RGB image at an address.

    Args:
        address: a path or URL, or an image in an archive.
        max_pixels: larger images are an error; 0 lifts this limit and the one on a file's bytes.

    Raises:
        UnreadableImage: it does not exist or cannot be decoded.
    """
    return image_of(read_image(address, max_pixels), address, max_pixels)


def image_of(data: bytes, address: str, max_pixels: int = PIXEL_LIMIT) -> Image.Image:
    """Return the upright RGB image that the bytes of a file hold; `address` is what an error calls it.

    Raises:
        UnreadableImage: it cannot be decoded, or has more than `max_pixels`.
    """
    from .decoding.decode import decode

    try:
        return decode(data, Limits(max_pixels or None, None, BYTES_LIMIT if max_pixels else None, all_formats=True))
    except Exception as error:
        raise _unusable(address, error) from error


def read_image(address: str, max_pixels: int = PIXEL_LIMIT) -> bytes:
    """Return the bytes of the image at an address; where `max_pixels` is 0, however many they are.

    Raises:
        UnreadableImage: it does not exist, or it cannot be read.
    """
    written = str(user_path(address)) if address.startswith("~") else address
    limit = BYTES_LIMIT if max_pixels else _NO_BYTE_LIMIT
    try:
        if Path(written).is_file():  # which needs none of the kinds of sources
            return read_all(written, limit)
        from .sources import read_bytes

        return read_bytes(written, limit)
    except Exception as error:
        raise _unusable(address, error) from error


def _unusable(address: str, error: Exception) -> UnreadableImage:
    if isinstance(error, TooManyBytes):
        error = ImageFailure(Reason.TOO_LARGE, str(error))
    if isinstance(error, ImageFailure):
        return UnreadableImage(f"{address} cannot be used: {error}", "pass an image that opens in an image viewer")
    if isinstance(error, FileNotFoundError) and not is_url(address):
        return UnreadableImage(f"{address} cannot be read: there is no such file", "check the path")
    message = str(error) if address in str(error) else f"{address} cannot be read: {error}"
    if is_url(address):
        return UnreadableImage(message, "check the address, and that its server can be reached")
    return UnreadableImage(message, "pass the path of an image file, and check that it is still there")
