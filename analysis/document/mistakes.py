"""The surest mistakes of a run as small images."""

from __future__ import annotations

import io

from shotdex.analysis.thumbnails import read_small
from shotdex.store.errors import UnreadableImage
from shotdex.store.store import Store
from shotdex.store.types import Run

from .parts import Shown
from .words import number

SIDE = 144
"""Pixels of the longest side: as JPEG 2 to 4 kB."""


def surest_mistakes(store: Store, run: Run, most: int) -> tuple[Shown, ...]:
    """Return the wrong predictions with the highest probability, surest first, ties by image id."""
    with store.reading() as con:
        rows = con.rows(
            "SELECT path, category, predicted, probability, condition FROM outcomes "
            "WHERE run_id = $run AND NOT correct ORDER BY probability DESC, image_id LIMIT $most",
            {"run": run.run_id, "most": most},
        )
    try:
        images = read_small([row[0] for row in rows], SIDE)
    except UnreadableImage:
        images = [None] * len(rows)
    found = []
    for (path, category, predicted, probability, condition), image in zip(rows, images, strict=True):
        jpeg = None
        if image is not None:
            packed = io.BytesIO()
            image.convert("RGB").save(packed, "JPEG", quality=78, optimize=True)
            jpeg = packed.getvalue()
        lines = (f"{category} → {predicted}", f"probability {number(probability)}", *([condition] if condition else []))
        found.append(Shown(path.replace("!", "/").rsplit("/", 1)[-1], jpeg, lines))
    return tuple(found)
