"""Sheets of images: a grid of samples, and images with lines below each, such as what they were taken for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import TYPE_CHECKING

from . import style
from .drawing import DPI, now, theme
from .pages import MARGIN, margin_of, page_figure, page_head, page_height, page_width, pixels, plan_head, tile, write
from .text import fit, label, safe, width_of, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

_GAP = 24
_TILE, _NARROW_TILE = 260, 200  # pixels of an image, and on a page of one column
_MOST_ACROSS = 8


@dataclass(frozen=True, slots=True)
class Captioned:
    """An RGB image, the lines below it, whether it is right (None where that is not known), and its group's name."""

    image: Image.Image
    lines: tuple[str, ...]
    correct: bool | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class _Sheet:
    """How a sheet is set, in pixels: an image's `side`, how many stand `across`, and the lines below each."""

    side: int
    across: int
    captions: Sequence[Sequence[str]]

    @property
    def pitch(self) -> int:
        """From one row to the next."""
        lines = max((len(caption) for caption in self.captions), default=0)
        return self.side + 10 + lines * _line() + _GAP


def image_sheet(tiles: Sequence[Captioned], title: str, remark: str = "") -> Figure:
    """Lay out images in reading order, each whole with its lines below; each group starts a row under its name.

    Args:
        tiles: images of one group stand together.
        title: what the figure says at its head.
        remark: what stands below the title, after whose the figure is.

    Raises:
        OptionError: they do not fit the user's size.
    """
    from PIL import Image

    parts = {name: [one for one in tiles if one.group == name] for name in dict.fromkeys(one.group for one in tiles)}
    every = [one for part in parts.values() for one in part]
    most = max(map(len, parts.values()), default=1)
    width = page_width((min(max(most, 3), _MOST_ACROSS) * (_TILE + _GAP) - _GAP) + 2 * MARGIN)
    margin = margin_of(width)
    head = plan_head(title, width - 2 * margin, remark)
    named = int(pixels(theme().label * 1.7)) if any(parts) else 0

    def height(sheet: _Sheet) -> int:
        rows = sum(ceil(len(part) / sheet.across) for part in parts.values())
        return margin + head.height + rows * sheet.pitch + named * len(parts) + margin - _GAP

    sheets = list(_sheets(every, width - 2 * margin))
    size = now().style.size
    down = int(size[1] * DPI) if size and size[1] else None
    fitting = sheets if down is None else [one for one in sheets if height(one) <= down] or sheets
    target = _TILE if margin == MARGIN else _NARROW_TILE
    sheet = min(fitting, key=lambda one: abs(one.side - target)) if down is None else fitting[0]
    page = Image.new("RGB", (width, page_height(height(sheet))), theme().paper)
    figure_names, places, y = list[tuple[str, int]](), list[tuple[int, int]](), margin + head.height
    for name, part in parts.items():
        if named:
            figure_names.append((name, y))
            y += named
        pitch = sheet.side + _GAP
        places += [(margin + i % sheet.across * pitch, y + i // sheet.across * sheet.pitch) for i in range(len(part))]
        y += ceil(len(part) / sheet.across) * sheet.pitch
    for one, place in zip(every, places, strict=True):
        border = theme().grid if one.correct is None else style.CORRECT if one.correct else style.WRONG
        page.paste(tile(one.image, sheet.side, border, 1 if one.correct is None else 4), place)
    figure, axes = page_figure(page)
    page_head(axes, head, margin)
    for name, top in figure_names:
        write(axes, margin, top, fit(name, width - 2 * margin, theme().label, DPI), theme().label)
    _write_captions(axes, every, sheet, places)
    return figure


def _write_captions(axes: Axes, tiles: Sequence[Captioned], sheet: _Sheet, places: Sequence[tuple[int, int]]) -> None:
    """Write the lines below the images, each image's first in ink and the others lighter."""
    for one, caption, (x, top) in zip(tiles, sheet.captions, places, strict=True):
        first = wrap(one.lines[0], sheet.side / DPI, theme().small).count("\n") + 1 if one.lines else 0
        for row, text in enumerate(caption):
            colour = theme().ink if row < first else theme().muted
            write(axes, x, top + sheet.side + 10 + row * _line(), text, color=colour)


def _line() -> int:
    return int(pixels(theme().small * 1.4))


def _sheets(tiles: Sequence[Captioned], width: int) -> Iterator[_Sheet]:
    """Yield how images may be set in `width` pixels, from the largest to the smallest."""
    for across in range(1, 4 * _MOST_ACROSS):
        side = (width + _GAP) // across - _GAP
        if side < 40 and across > 1:
            return
        inches = max(side, 30) / DPI
        captions = [[line for text in one.lines for line in _cut(text, inches)] for one in tiles]
        yield _Sheet(max(side, 30), across, captions)


def _cut(text: str, inches: float) -> list[str]:
    """Return a line of a caption in at most two."""
    lines = wrap(text, inches, theme().small).split("\n")
    return lines if len(lines) <= 2 else [lines[0], fit(text.split(" ", 1)[-1], inches * DPI, theme().small, DPI)]


_SAMPLES_GAP = 16
_WIDEST_NAME, _WIDEST_CONDITION = 420, 260  # pixels that the rows' and the columns' names take at most


def samples_figure(
    images: Mapping[tuple[str, str], Image.Image],
    categories: Sequence[str],
    conditions: Sequence[str],
    title: str = "Samples",
) -> Figure:
    """Draw a grid, a row for each category and a column for each condition; a combination without an image is empty.

    Args:
        images: (category, condition) -> an RGB image of any size, shown whole.
        categories: the rows, from the top.
        conditions: the columns, from the left.
        title: what the figure says at its head.

    Raises:
        OptionError: it does not fit the user's size.
    """
    from PIL import Image

    # Ten rows make a page of about 2,000 pixels; with 100 a tile is as small as can be made out.
    side = min(max(2000 // max(len(categories), 1), 64), 220)
    names = [label(name, 22) for name in categories]
    left = min(_WIDEST_NAME, _widest(names)) + 24
    pitch = max(side, min(_WIDEST_CONDITION, _widest(map(safe, conditions)) + 1)) + _SAMPLES_GAP
    natural = 2 * MARGIN + left + max(len(conditions) * pitch, 500)
    width = page_width(natural)
    margin = margin_of(width)
    if width != natural:
        names = [wrap(name, 0.3 * width / DPI, theme().tick, 44) for name in categories]
        left = _widest(names) + 16
        pitch = (width - 2 * margin - left) // max(len(conditions), 1)
        side = max(min(pitch - _SAMPLES_GAP // 2, 300), 12)
    gap = min(_SAMPLES_GAP, pitch - side) if width != natural else _SAMPLES_GAP
    turned = _widest(map(safe, conditions)) > pitch - gap and side < 150
    above = min(_widest(map(safe, conditions)), _WIDEST_CONDITION) + 24 if turned else int(pixels(theme().tick * 1.8))
    head = plan_head(title, width - 2 * margin)
    top = margin + head.height + above
    row = max(side + gap, int(pixels(theme().tick * 1.3) * max((n.count("\n") + 1 for n in names), default=1)))
    size = now().style.size
    if size and size[1] and categories:
        row = max(min(row, (int(size[1] * DPI) - top - margin) // len(categories)), 16)
        side = max(min(side, row - gap // 2), 12)
    page = Image.new("RGB", (width, page_height(top + len(categories) * row + margin)), theme().paper)
    inset = margin + left + (pitch - gap - side) // 2
    for (place, category), (column, condition) in product(enumerate(categories), enumerate(conditions)):
        if (image := images.get((category, condition))) is not None:
            page.paste(tile(image, side), (inset + column * pitch, top + place * row))
    figure, axes = page_figure(page)
    page_head(axes, head, margin)
    _name_columns(axes, conditions, (margin + left, top), (pitch, gap), above if turned else 0)
    for place, name in enumerate(names):
        middle = top + place * row + side / 2
        write(axes, margin + left - 16, middle, name, theme().tick, ha="right", va="center")
    return figure


def _name_columns(
    axes: Axes, conditions: Sequence[str], corner: tuple[int, int], columns: tuple[int, int], turned: int
) -> None:
    """Write the columns' names above the images, on end in `turned` pixels where that is not 0."""
    pitch, gap = columns
    for column, condition in enumerate(conditions):
        middle = corner[0] + column * pitch + (pitch - gap) / 2
        name = fit(condition, turned - 24 if turned else pitch - gap, theme().tick, DPI)
        axes.text(
            middle, corner[1] - 14, name, fontsize=theme().tick, color=theme().ink, ha="center", va="bottom",
            rotation=90 if turned else 0,
        )  # fmt: skip


def _widest(texts: Iterable[str]) -> int:
    lines = [line for text in texts for line in text.split("\n")]
    return int(max((width_of(line, theme().tick, DPI) for line in lines), default=0)) + 1
