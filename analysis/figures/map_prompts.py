"""Prompts on a map: stars with their texts, which lie neither on each other nor outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import hypot
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import style
from .labels import Points, leader_end, place_labels
from .map_extras import AIR, MOST_AMONG_THUMBNAILS, MOST_NAMED, SIZE, STAR, MapExtras, text_sizes, unnamed
from .pages import pixels
from .thumbnail_layout import ThumbnailLayout

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
    """Move the images out of the cells that are taken, (rows, columns) bool, each to the nearest free one.

    They move in the order of their numbers. An image for which no cell is left is left out.
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


_STAR: dict[str, Any] = {
    "marker": "*", "markersize": STAR, "linestyle": "",
    "color": style.INK, "markeredgecolor": "white", "markeredgewidth": 0.9,
}  # fmt: skip
_BEHIND: dict[str, Any] = {"boxstyle": "square,pad=0.05", "facecolor": "white", "alpha": 0.72, "edgecolor": "none"}


def star() -> Artist:
    """Return what stands for prompts in a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **_STAR)


def draw_prompts(figure: Figure, axes: Axes, extras: MapExtras) -> None:
    """Draw the prompts over everything else; those without room for a name are counted in the lower left corner.

    The figure must be complete otherwise: the places of the texts follow from where the axes end up.
    """
    axes.plot(*extras.places.T, zorder=5, clip_on=False, **_STAR)
    figure.draw_without_rendering()
    box, scale = axes.get_window_extent(), 72 / figure.dpi
    anchors = (axes.transData.transform(extras.places) - box.min) * scale
    texts = extras.texts[:MOST_NAMED]
    sizes = text_sizes(texts, figure.dpi) * scale
    width, height = box.width * scale, box.height * scale
    corners = place_labels(anchors, sizes, (width, height), STAR / 2)
    missing = len(anchors) - int(np.isfinite(corners[:, 0]).sum())
    if missing:
        below = np.array([0, SIZE * 2])
        corners = below + place_labels(anchors - below, sizes, (width, height - SIZE * 2), STAR / 2)
        missing = len(anchors) - int(np.isfinite(corners[:, 0]).sum())
        _write(axes, unnamed(missing, len(anchors)), (0, 0), (3, 3), "axes fraction")
    for text, place, anchor, corner, size in zip(texts, extras.places, anchors, corners, sizes, strict=False):
        if np.isfinite(corner[0]):
            end = leader_end(anchor, corner, size) - anchor
            _lead(axes, place.tolist(), end.tolist())
            _write(axes, text, place.tolist(), (corner - anchor + AIR).tolist())


def draw_on_page(axes: Axes, prompts: PlacedPrompts, origin: tuple[float, float]) -> None:
    """Draw prompts that have their places already on a page of images, whose canvas has its corner at `origin`."""
    from matplotlib.patheffects import withStroke

    stars, corners = prompts.stars + origin, prompts.corners + origin
    air = pixels(AIR)
    for text, anchor, corner, size in zip(prompts.texts, stars, corners, prompts.sizes, strict=False):
        if not np.isfinite(corner[0]):
            continue
        end = leader_end(anchor, corner, size)
        if np.hypot(*(end - anchor)) > pixels(STAR * 0.75):
            halo = withStroke(linewidth=2.2, foreground="white")  # so that it shows on dark images
            axes.plot(*np.column_stack([anchor, end]), color=style.INK, linewidth=0.7, path_effects=[halo])
        x, y = corner[0] + air, corner[1] + size[1] - air
        axes.text(x, y, text, ha="left", va="bottom", fontsize=SIZE, color=style.INK, linespacing=1.15)
    if len(stars):
        axes.plot(*stars.T, zorder=5, **_STAR)


def _lead(axes: Axes, place: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw the line from a star to its text, unless it is next to it."""
    if hypot(*end) > STAR * 0.75:
        line: dict[str, Any] = {
            "arrowstyle": "-",
            "color": style.INK,
            "linewidth": 0.7,
            "shrinkA": 0,
            "shrinkB": STAR / 3,
        }
        drawn = axes.annotate("", place, end, textcoords="offset points", arrowprops=line, zorder=5)
        drawn.set_in_layout(False)


def _write(
    axes: Axes, text: str, place: tuple[float, float], offset: tuple[float, float], coordinates: str = "data"
) -> None:
    """Write a text with its lower left corner at an offset, in points, from a place."""
    from matplotlib.patheffects import withStroke

    drawn = axes.annotate(
        text, place, offset, xycoords=coordinates, textcoords="offset points", ha="left", va="bottom",
        fontsize=SIZE, color=style.INK, linespacing=1.15, zorder=6, annotation_clip=False, bbox=_BEHIND,
    )  # fmt: skip
    drawn.set_path_effects([withStroke(linewidth=1.8, foreground="white")])
    drawn.set_in_layout(False)
