"""The image at any address: what a question, a figure and a notebook are given."""

from __future__ import annotations

from PIL import Image

from shotdex.store.errors import ImageFailure, UnreadableImage

from .decoding.decode import decode
from .sources import read_bytes


def open_image(address: str) -> Image.Image:
    """Return the upright RGB image at an address.

    Raises:
        UnreadableImage: it is gone or cannot be decoded.
    """
    try:
        return decode(read_bytes(address))
    except ImageFailure as error:
        raise UnreadableImage(
            f"{address} cannot be used: {error}", "give an image that opens in an image viewer"
        ) from error
    except Exception as error:
        raise UnreadableImage(f"{address} cannot be read: {error}", "check that the file is still there") from error
