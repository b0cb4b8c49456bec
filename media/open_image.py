"""The image at any address, for a query, a figure or a notebook."""

from __future__ import annotations

from PIL import Image

from shotdex.store.errors import ImageFailure, UnreadableImage
from shotdex.store.location import user_path
from shotdex.store.types import PIXEL_LIMIT, Limits

from .decoding.decode import decode
from .sources import read_bytes

_NO_BYTE_LIMIT = 1 << 62


def open_image(address: str, max_pixels: int = PIXEL_LIMIT) -> Image.Image:
    """Return the upright RGB image at an address.

    Args:
        address: a path or URL, or an image in an archive.
        max_pixels: larger images are an error; 0 lifts this limit and the one on a file's bytes.

    Raises:
        UnreadableImage: it does not exist or cannot be decoded.
    """
    written = str(user_path(address)) if address.startswith("~") else address
    try:
        limits = Limits(max_pixels or None, None, Limits().bytes if max_pixels else None, all_formats=True)
        return decode(read_bytes(written, limits.bytes or _NO_BYTE_LIMIT), limits)
    except ImageFailure as error:
        raise UnreadableImage(
            f"{address} cannot be used: {error}", "pass an image that opens in an image viewer"
        ) from error
    except Exception as error:
        raise UnreadableImage(f"{address} cannot be read: {error}", "check that the file is still there") from error
