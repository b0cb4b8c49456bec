"""What the pictures look like: one sample for each category and condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

from . import style
from .page import MARGIN, page_figure, pixels, tile, write
from .text import fit, label, safe, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

_GAP = 16
_HEADER = 90
_WIDEST_NAME, _WIDEST_CONDITION = 420, 260  # pixels that the rows' and the columns' names take at most


def samples_figure(
    pictures: Mapping[tuple[str, str], Image.Image],
    categories: Sequence[str],
    conditions: Sequence[str],
    title: str = "Samples",
) -> Figure:
    """Draw a grid, a row for each category and a column for each condition; a combination without a picture is empty.

    Args:
        pictures: (category, condition) -> an RGB picture of any size, shown whole.
        categories: the rows, from the top.
        conditions: the columns, from the left.
        title: what the figure says at its head.
    """
    from PIL import Image

    # Ten rows make a page of about 2,000 pixels; with 100 a tile is as small as can be made out.
    side = min(max(2000 // max(len(categories), 1), 64), 220)
    names = [label(name, 22) for name in categories]
    lines = [line for name in names for line in name.split("\n")]
    left = MARGIN + min(_WIDEST_NAME, int(max((_width(line) for line in lines), default=0))) + 24
    top = MARGIN + _HEADER + int(pixels(style.TICK * 1.8))
    widest = max((_width(safe(condition)) for condition in conditions), default=0)
    pitch = max(side, min(_WIDEST_CONDITION, int(widest) + 1)) + _GAP
    right = left + max(len(conditions) * pitch, 500)
    page = Image.new("RGB", (right + MARGIN, top + len(categories) * (side + _GAP) + MARGIN), "white")
    inset = (pitch - _GAP - side) // 2
    for (row, category), (column, condition) in product(enumerate(categories), enumerate(conditions)):
        picture = pictures.get((category, condition))
        if picture is not None:
            page.paste(tile(picture, side), (left + column * pitch + inset, top + row * (side + _GAP)))
    figure, axes = page_figure(page)
    write(axes, MARGIN, MARGIN, fit(title, right - MARGIN, style.TITLE, style.DPI), style.TITLE)
    _name_columns(axes, conditions, left, top, pitch)
    for row, name in enumerate(names):
        write(axes, left - 24, top + row * (side + _GAP) + side / 2, name, style.TICK, ha="right", va="center")
    return figure


def _name_columns(axes: Axes, conditions: Sequence[str], left: int, top: int, pitch: int) -> None:
    for column, condition in enumerate(conditions):
        middle = left + column * pitch + (pitch - _GAP) / 2
        name = fit(condition, pitch - _GAP, style.TICK, style.DPI)
        write(axes, middle, top - 14, name, style.TICK, ha="center", va="bottom")


def _width(line: str) -> float:
    return width_of(line, style.TICK, style.DPI)
