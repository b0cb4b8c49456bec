"""The image at any address, for a query, a figure or a notebook."""

from __future__ import annotations

from PIL import Image

from shotdex.store.errors import ImageFailure, UnreadableImage
from shotdex.store.location import user_path
from shotdex.store.types import Limits

from .decoding.decode import decode
from .sources import read_bytes

OPTIONS = Limits(all_formats=True)


def open_image(address: str) -> Image.Image:
    """Return the upright RGB image at an address, in any format that Pillow reads: somebody chose it.

    Raises:
        UnreadableImage: it does not exist or cannot be decoded.
    """
    written = str(user_path(address)) if address.startswith("~") else address
    try:
        return decode(read_bytes(written))
    except ImageFailure as error:
        raise UnreadableImage(
            f"{address} cannot be used: {error}", "pass an image that opens in an image viewer"
        ) from error
    except Exception as error:
        raise UnreadableImage(f"{address} cannot be read: {error}", "check that the file is still there") from error
