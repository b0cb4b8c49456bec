"""Pairs of images side by side: what a search for duplicates took for the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from . import style
from .pages import MARGIN, file_name, page_figure, pixels, tile, write
from .text import fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

TILE = 220
_SEAM, _GAP, _HEADER = 8, 44, 110  # pixels between two of a pair, between pairs, and above them
_LINE = int(style.SMALL * 1.45 * style.DPI / 72)
_WIDTH = 2 * TILE + _SEAM
_ABOVE, _BELOW = _LINE + 8, 6  # from a pair's top to its tiles, and from these to their captions


@dataclass(frozen=True, slots=True)
class ImageLabels:
    """What is written below one image of a pair; None where there is nothing to say."""

    path: str
    category: str | None
    place: str | None


@dataclass(frozen=True, slots=True)
class PairLabels:
    """What is written on a pair: its cosine in [-1, 1], or that both are one content, and its two images' labels."""

    cosine: float
    exact: bool
    first: ImageLabels
    second: ImageLabels


def pair_sheet(
    pairs: Sequence[PairLabels], images: Sequence[tuple[Image.Image, Image.Image]], title: str, remark: str = ""
) -> Figure:
    """Lay out pairs in reading order, three in a row: both images whole; above them number and cosine; below each
    its file, category and place. A pair of two categories has its frames and categories in colour.

    Args:
        pairs: what was found, in the order to show.
        images: two RGB images for each pair, of any size.
        title: what the figure says at its head.
        remark: a line below the title.

    Raises:
        ValueError: not two images for each pair.
    """
    from PIL import Image

    if len(pairs) != len(images):
        raise ValueError(f"images for {len(images)} pairs, but {len(pairs)} pairs")
    across = max(min(len(pairs), 3), 2)  # the title needs the room of two
    captions = max((len(_lines(labels)) for pair in pairs for labels in (pair.first, pair.second)), default=0)
    pitch = _ABOVE + TILE + _BELOW + captions * _LINE + _GAP
    width = 2 * MARGIN + across * (_WIDTH + _GAP) - _GAP
    page = Image.new("RGB", (width, 2 * MARGIN + _HEADER + max(ceil(len(pairs) / across) * pitch - _GAP, 0)), "white")
    corners = [
        (MARGIN + index % across * (_WIDTH + _GAP), MARGIN + _HEADER + index // across * pitch)
        for index in range(len(pairs))
    ]
    for pair, both, (x, y) in zip(pairs, images, corners, strict=True):
        border, thickness = (style.WRONG, 4) if _differ(pair) else (style.GRID, 1)
        for side, image in enumerate(both):
            page.paste(tile(image, TILE, border, thickness), (x + side * (TILE + _SEAM), y + _ABOVE))
    figure, axes = page_figure(page)
    write(axes, MARGIN, MARGIN, fit(title, width - 2 * MARGIN, style.TITLE, style.DPI), style.TITLE)
    below = fit(remark, width - 2 * MARGIN, style.TICK, style.DPI)
    write(axes, MARGIN, MARGIN + pixels(style.TITLE * 1.5), below, style.TICK, color=style.MUTED)
    for number, (pair, (x, y)) in enumerate(zip(pairs, corners, strict=True), 1):
        _captions(axes, number, pair, x, y)
    return figure


def _differ(pair: PairLabels) -> bool:
    categories = {pair.first.category, pair.second.category} - {None}
    return len(categories) == 2


def _lines(labels: ImageLabels) -> list[str]:
    """Return what stands below an image: a line that others have keeps its place, one that nobody has is left out."""
    lines = [file_name(labels.path), labels.category or "", labels.place or ""]
    return lines if lines[2] else lines[:2] if lines[1] else lines[:1]


def _captions(axes: Axes, number: int, pair: PairLabels, x: float, y: float) -> None:
    write(axes, x, y, f"{number}", fontweight="bold")
    score = "exact copy" if pair.exact else f"cosine {pair.cosine:.5f}"
    write(axes, x + _WIDTH, y, score, ha="right")
    colours = (style.INK, style.WRONG if _differ(pair) else style.MUTED, style.MUTED)
    for side, labels in enumerate((pair.first, pair.second)):
        left, top = x + side * (TILE + _SEAM), y + _ABOVE + TILE + _BELOW
        for row, line in enumerate(_lines(labels)):
            text = fit(line, TILE - _SEAM, style.SMALL, style.DPI)
            write(axes, left, top + row * _LINE, text, color=colours[row])
