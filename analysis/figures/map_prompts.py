"""Prompts on a map: stars with their texts, which lie neither on each other nor outside."""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING, Any

import numpy as np

from . import style
from .labels import leader_end, place_labels
from .map_extras import AIR, MOST_NAMED, SIZE, STAR, MapExtras, text_sizes, unnamed
from .map_room import PlacedPrompts
from .page import pixels

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    """Draw prompts that have their places already on a page of pictures, whose canvas has its corner at `origin`."""
    from matplotlib.patheffects import withStroke

    stars, corners = prompts.stars + origin, prompts.corners + origin
    air = pixels(AIR)
    for text, anchor, corner, size in zip(prompts.texts, stars, corners, prompts.sizes, strict=False):
        if not np.isfinite(corner[0]):
            continue
        end = leader_end(anchor, corner, size)
        if np.hypot(*(end - anchor)) > pixels(STAR * 0.75):
            halo = withStroke(linewidth=2.2, foreground="white")  # so that it shows on dark pictures
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
