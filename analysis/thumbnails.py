"""Small versions of stored images, read anew from where they are."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from shotdex.media.decoding.decode import quiet_pillow
from shotdex.media.open_image import open_picture
from shotdex.store.errors import UnreadableImage
from shotdex.store.store import Store
from shotdex.store.types import Ids


def small_picture(address: str, side: int) -> Image.Image | None:
    """Return a picture whose longest side is at most `side` pixels, or None where it is gone or broken."""
    try:
        picture = open_picture(address)
    except UnreadableImage:
        return None
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def read_small(addresses: Sequence[str], side: int) -> list[Image.Image | None]:
    """Return the small pictures at some addresses, in order, None for each that cannot be read.

    Raises:
        UnreadableImage: not one of them can.
    """
    quiet_pillow()
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(lambda address: small_picture(address, side), addresses))
    if pictures and all(picture is None for picture in pictures):
        raise UnreadableImage(
            f"none of the {len(pictures)} pictures can be read; the first is {addresses[0]}",
            "were they moved? Index their new place, or put them back",
        )
    return pictures


def load_thumbnails(store: Store, ids: Ids, side: int) -> list[Image.Image | None]:
    """Return small versions of stored images, row for row with `ids`; see `read_small`."""
    with store.reading() as con:
        paths = dict(con.rows("SELECT image_id, path FROM stored_images"))
    return read_small([paths[image_id] for image_id in ids.tolist()], side)
