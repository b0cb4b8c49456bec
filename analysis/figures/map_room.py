"""Prompts among thumbnails: where they stand, and the cells that thumbnails leave to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from shotdex.analysis.thumbnail_layout import ThumbnailLayout

from . import style
from .labels import Points, place_labels
from .map_extras import MOST_AMONG_THUMBNAILS, STAR, MapExtras, text_sizes


@dataclass(frozen=True, slots=True)
class PlacedPrompts:
    """Prompts on a canvas, in its pixels with y down.

    `stars` (P, 2) are their places; `texts` L of them; `corners` (L, 2) the upper left corners of the texts' boxes, NaN
    without room; `sizes` (L, 2) the boxes'.
    """

    stars: Points
    texts: Sequence[str]
    corners: Points
    sizes: Points

    @property
    def unnamed(self) -> int:
        """How many prompts have no text."""
        return len(self.stars) - int(np.isfinite(self.corners[:, 0]).sum())


def place_prompts(extras: MapExtras, wanted: Points, size: tuple[int, int], cell: int) -> PlacedPrompts:
    """Return where the prompts stand on a canvas of `size` pixels; `wanted` (P, 2) are their places in cells."""
    stars = (wanted + 0.5) * cell
    texts = extras.texts[:MOST_AMONG_THUMBNAILS]
    sizes = text_sizes(texts, style.DPI)
    # Labels are placed with y up.
    upward = np.column_stack([stars[:, 0], size[1] - stars[:, 1]])
    corners = place_labels(upward, sizes, size, STAR / 2 * style.DPI / 72)
    corners = np.column_stack([corners[:, 0], size[1] - corners[:, 1] - sizes[:, 1]])
    return PlacedPrompts(stars, texts, corners, sizes)


def covered(prompts: PlacedPrompts, columns: int, rows: int, cell: int) -> npt.NDArray[np.bool_]:
    """Return which cells a text or its star touches, (rows, columns) bool; a star alone lies on a thumbnail."""
    half = STAR / 2 * style.DPI / 72
    named = np.flatnonzero(np.isfinite(prompts.corners[:, 0]))
    low = np.vstack([prompts.stars[named] - half, prompts.corners[named]])
    high = np.vstack([prompts.stars[named] + half, (prompts.corners + prompts.sizes)[named]])
    cells = np.zeros((rows, columns), dtype=bool)
    for (left, top), (right, bottom) in zip(low // cell, -(-high // cell), strict=True):
        cells[max(int(top), 0) : int(bottom), max(int(left), 0) : int(right)] = True
    return cells


def make_room(layout: ThumbnailLayout, taken: npt.NDArray[np.bool_]) -> ThumbnailLayout:
    """Move the pictures out of the cells that are taken, (rows, columns) bool, each to the nearest free one.

    They move in the order of their numbers. A picture for which no cell is left is left out.
    """
    cells, placed = layout.cells.copy(), layout.placed.copy()
    free = ~taken
    free[cells[placed, 1], cells[placed, 0]] = False
    moved = placed & taken[cells[:, 1], cells[:, 0]]
    for index in np.flatnonzero(moved).tolist():
        rows, columns = np.nonzero(free)
        if not len(rows):
            cells[index], placed[index] = -1, False
            continue
        distance = np.square(columns - layout.wanted[index, 0]) + np.square(rows - layout.wanted[index, 1])
        nearest = int(np.argmin(distance))
        cells[index] = columns[nearest], rows[nearest]
        free[rows[nearest], columns[nearest]] = False
    return replace(layout, cells=cells, placed=placed)
