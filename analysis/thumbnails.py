"""Small versions of stored images, read again from where they are."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from shotdex.media.decoding.decode import quiet_pillow
from shotdex.media.open_image import open_image
from shotdex.store.errors import UnreadableImage
from shotdex.store.store import Store
from shotdex.store.types import Ids


def small_image(address: str, side: int) -> Image.Image | None:
    """Return an image whose longest side is at most `side` pixels, or None where it is gone or broken."""
    try:
        image = open_image(address, max_pixels=0)  # it was indexed, whatever the limit was then
    except UnreadableImage:
        return None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def read_small(addresses: Sequence[str], side: int) -> list[Image.Image | None]:
    """Return the small images at some addresses, in order, None for each that cannot be read.

    Raises:
        UnreadableImage: not one of them can.
    """
    quiet_pillow()
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda address: small_image(address, side), addresses))
    if images and all(image is None for image in images):
        raise UnreadableImage(
            f"none of the {len(images)} images can be read; the first is {addresses[0]}",
            "if they were moved, index them in their new place, or put them back",
        )
    return images


def load_thumbnails(store: Store, ids: Ids, side: int) -> list[Image.Image | None]:
    """Return small versions of stored images, row for row with `ids`; see `read_small`."""
    with store.reading() as con:
        paths = dict(con.rows("SELECT image_id, path FROM stored_images"))
    return read_small([paths[image_id] for image_id in ids.tolist()], side)
