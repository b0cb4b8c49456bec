"""Sheets of images with lines below each: samples, and mistakes with what they were taken for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from . import style
from .drawing import DPI, theme
from .pages import MARGIN, page_figure, page_head, pixels, tile, write
from .text import fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

_GAP = 24
_TILE = 260
_MOST_ACROSS = 8
_HEADER = 130


@dataclass(frozen=True, slots=True)
class Captioned:
    """An RGB image, the lines below it, whether it is right (None where that is not known), and its group's name."""

    image: Image.Image
    lines: tuple[str, ...]
    correct: bool | None = None
    group: str = ""


def image_sheet(tiles: Sequence[Captioned], title: str, remark: str = "") -> Figure:
    """Lay out images in reading order, each whole with its lines below; each group starts a row under its name.

    Args:
        tiles: images of one group stand together.
        title: what the figure says at its head.
        remark: what stands below the title, after whose the figure is.
    """
    from PIL import Image

    groups = list(dict.fromkeys(one.group for one in tiles))
    most = max((sum(one.group == group for one in tiles) for group in groups), default=1)
    natural = (min(max(most, 3), _MOST_ACROSS) * (_TILE + _GAP) - _GAP + 2 * MARGIN) / DPI
    width = int(style.fitted(natural) * DPI)
    across = max(1, min(_MOST_ACROSS, round((width - 2 * MARGIN + _GAP) / (_TILE + _GAP))))
    side = (width - 2 * MARGIN + _GAP) // across - _GAP
    line = int(pixels(theme().small * 1.4))
    lines = max((len(one.lines) for one in tiles), default=0)
    pitch, headed = side + 10 + lines * line + _GAP, any(groups)
    places: list[tuple[int, int]] = []
    names: list[tuple[str, int]] = []
    y = MARGIN + _HEADER
    for group in groups:
        if headed:
            names.append((group, y))
            y += int(pixels(theme().label * 1.7))
        count = sum(one.group == group for one in tiles)
        places += [(MARGIN + i % across * (side + _GAP), y + i // across * pitch) for i in range(count)]
        y += ceil(count / across) * pitch
    ordered = [one for group in groups for one in tiles if one.group == group]
    page = Image.new("RGB", (width, y + MARGIN - _GAP), theme().paper)
    for one, place in zip(ordered, places, strict=True):
        border = theme().grid if one.correct is None else style.CORRECT if one.correct else style.WRONG
        page.paste(tile(one.image, side, border, 1 if one.correct is None else 4), place)
    figure, axes = page_figure(page)
    page_head(axes, title, width - 2 * MARGIN, remark)
    for name, top in names:
        write(axes, MARGIN, top, fit(name, width - 2 * MARGIN, theme().label, DPI), theme().label)
    for one, (x, top) in zip(ordered, places, strict=True):
        for row, text in enumerate(one.lines):
            colour = theme().ink if row == 0 else theme().muted
            write(axes, x, top + side + 10 + row * line, fit(text, side, theme().small, DPI), color=colour)
    return figure
