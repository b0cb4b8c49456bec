"""A contact sheet: the pictures that a search found, with rank and score."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from shotdex.store.words import Hit

from . import style
from .page import MARGIN, page_figure, pixels, tile, write
from .text import fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

TILE = 300
_GAP = 30
_HEADER = 110
_LINE = int(style.SMALL * 1.45 * style.DPI / 72)
_NARROWEST = 3  # tiles; so that the question has room above a single hit


def contact_sheet(
    hits: Sequence[Hit], pictures: Sequence[Image.Image], question: str, columns: int | None = None
) -> Figure:
    """Lay out the hits in reading order: each picture whole, beneath it rank, cosine, file name and category.

    Args:
        hits: what was found, best first.
        pictures: one RGB picture for each hit, of any size.
        question: what was asked; the title.
        columns: pictures in a row; chosen by their number when absent.

    Raises:
        ValueError: not one picture for each hit, or no column.
    """
    from PIL import Image

    if len(hits) != len(pictures):
        raise ValueError(f"{len(pictures)} pictures for {len(hits)} hits")
    across = _columns(len(hits)) if columns is None else columns
    if across < 1:
        raise ValueError(f"{across} columns")
    lines = 3 if any(hit.category for hit in hits) else 2
    pitch = TILE + 14 + lines * _LINE + _GAP
    width = 2 * MARGIN + max(across, _NARROWEST) * (TILE + _GAP) - _GAP
    page = Image.new("RGB", (width, 2 * MARGIN + _HEADER + ceil(len(hits) / across) * pitch - _GAP), "white")
    corners = [
        (MARGIN + index % across * (TILE + _GAP), MARGIN + _HEADER + index // across * pitch)
        for index in range(len(hits))
    ]
    for picture, corner in zip(pictures, corners, strict=True):
        page.paste(tile(picture, TILE), corner)
    figure, axes = page_figure(page)
    _header(axes, question, len(hits), width - 2 * MARGIN)
    for hit, (x, y) in zip(hits, corners, strict=True):
        _caption(axes, hit, x, y + TILE + 14)
    return figure


def _columns(count: int) -> int:
    """Five in a row, and more from where the sheet would get more than about twice as long as wide."""
    return min(max(count, 1), 5) if count <= 40 else 8 if count <= 100 else 10


def _header(axes: Axes, question: str, count: int, width: int) -> None:
    write(axes, MARGIN, MARGIN, fit(question, width, style.TITLE, style.DPI), style.TITLE)
    found = f"{count:,} picture{'' if count == 1 else 's'}, by cosine"
    write(axes, MARGIN, MARGIN + pixels(style.TITLE * 1.5), found, style.TICK, color=style.MUTED)


def _caption(axes: Axes, hit: Hit, x: float, y: float) -> None:
    write(axes, x, y, f"{hit.rank}", fontweight="bold")
    write(axes, x + TILE, y, f"{hit.score:.3f}", ha="right")
    write(axes, x, y + _LINE, fit(file_name(hit.path), TILE, style.SMALL, style.DPI))
    if hit.category:
        write(axes, x, y + 2 * _LINE, fit(hit.category, TILE, style.SMALL, style.DPI), color=style.MUTED)


def file_name(path: str) -> str:
    """Return the last part of a path or of an archive's member, such as `b.png` of `a.zip!x/b.png`."""
    last = path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return last.rsplit("!", 1)[-1] or last
