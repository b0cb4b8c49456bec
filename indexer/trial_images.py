"""A few images to try a model on: from the source, where they are cheap to have, else drawn here."""

from __future__ import annotations

import numpy as np
from PIL import Image

from shotdex.media.files import places
from shotdex.models.protocols import Prepared
from shotdex.store.types import Limits

from .decode_pool import Decoded, Decoder
from .inventory import Inventory

SAMPLES = 16

_WHOLE = "whole"


def sample_images(inventory: Inventory, limits: Limits, count: int = SAMPLES) -> list[Image.Image]:
    """Return up to `count` usable images from all over a source, decoded as when it is indexed.

    None come from a source that is read from its beginning to its end, or over a network.
    """
    if inventory.source.in_order or places.is_url(inventory.source.root) or not inventory.candidates:
        return []
    step = max(1, inventory.candidates // count)
    rows = inventory.con.rows(f"SELECT address FROM ordered WHERE step % {step} = 0 ORDER BY step LIMIT {count}")
    decoder = Decoder(_whole, None, lambda _: False, inventory.source.read, limits)
    results = decoder.decode_ahead([row[0] for row in rows if not places.is_url(row[0])], ahead=count)
    return [
        Image.fromarray(result.prepared[_WHOLE])
        for result in results
        if isinstance(result, Decoded) and result.prepared is not None
    ]


def _whole(image: Image.Image) -> Prepared:
    return {_WHOLE: np.asarray(image)}
