"""A projection as thumbnails that never overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from . import legend, style
from .map_extras import MapExtras, Points, caption_lines, draw_prompts
from .map_points import legend_entries, looks_of
from .pages import MARGIN, page_figure, pixels, tile, write
from .text import fit, safe
from .thumbnail_layout import ThumbnailLayout, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

_HEADER = 130
_CAPTION = style.TICK * 1.45  # points from line to line
_WIDTH = 12.0  # inches across the map
_NARROWEST = 800  # pixels that the header needs
_ROOM = 2.0  # cells for each image: fewer and clusters run together, more and thumbnails get small
_FULLEST = 0.6  # of the cells are used at most: a full grid would show no clusters
_SMALLEST, _LARGEST = 24, 200  # pixels of a cell: what can still be made out, what still looks like a map


def thumbnail_map(
    xy: npt.NDArray[np.float64],
    images: Sequence[Image.Image],
    labels: Sequence[str | None] | None = None,
    title: str = "Map",
    legend_title: str = "",
    extras: MapExtras | None = None,
) -> Figure:
    """Draw every image near its place, each in a cell of its own; the header says how many were drawn.

    Thumbnails are 24 to 200 pixels; where there are more images than fill 6 in 10 cells of 24 pixels, crowded
    regions lose the rest (see `thumbnail_layout.place`). Prompts are stars on top, named or numbered.

    Args:
        xy: (N, 2) float; the axes are stretched apart to fill the map.
        images: N RGB images of any size, shown whole.
        labels: N names or None, drawn as the colour of each thumbnail's frame; `correct` and `wrong` have their own.
            With more than 20 the colours repeat, so the legend leaves them out.
        title: what the figure says at its head.
        legend_title: what the labels are.
        extras: prompts to draw in, a caption for the header, and the width, by default 12 inches.

    Raises:
        ValueError: not one place and label for each image.
    """
    from PIL import Image

    if len(xy) != len(images) or (labels is not None and len(labels) != len(images)):
        raise ValueError(f"{len(xy)} places for {len(images)} images, or too few labels")
    extras = extras or MapExtras()
    layout, prompts, cell = _lay_out(np.asarray(xy, dtype=np.float64), extras)
    shown = {} if labels is None else looks_of(labels)
    borders = None if labels is None else [shown[name].colour for name in labels]
    canvas = _canvas(layout, images, borders, cell)
    # A frame has a colour but no marker: with more labels than colours a legend would say the wrong thing.
    listed = shown if len(shown) <= len(style.PALETTE) else {}
    squares = {name: replace(look, marker="s") for name, look in listed.items()}
    handles, texts = legend_entries(labels or (), squares, extras)
    lines = caption_lines(extras.caption, max(canvas.width, _NARROWEST) / style.DPI)
    top = MARGIN + _HEADER + (int(pixels(_CAPTION) * (lines.count("\n") + 1)) if lines else 0)
    planned = legend.plan(texts, canvas.height / style.DPI)
    page = Image.new("RGB", _page_size(canvas.size, planned.width, top), "white")
    page.paste(canvas, (MARGIN, top))
    figure, axes = page_figure(page)
    _header(axes, [title, _drawn(layout), *lines.split("\n")], max(canvas.width, _NARROWEST))
    area = MARGIN, page.height - top - canvas.height, *canvas.size
    draw_prompts(axes, extras, prompts + np.array([MARGIN, top]), area)
    at = (2 * MARGIN + canvas.width) / page.width, 1 - top / page.height
    legend.beside(figure, handles, texts, canvas.height / style.DPI, safe(legend_title), at)
    return figure


def _page_size(canvas: tuple[int, int], legend_width: float, top: int) -> tuple[int, int]:
    beside = MARGIN + int(legend_width * style.DPI) if legend_width else 0
    return max(canvas[0] + beside, _NARROWEST) + 2 * MARGIN, canvas[1] + MARGIN + top


def _lay_out(xy: npt.NDArray[np.float64], extras: MapExtras) -> tuple[ThumbnailLayout, Points, int]:
    """Return where the images and the prompts go, the latter in pixels (P, 2), and the pixels of a cell."""
    width = int((extras.width or _WIDTH) * style.DPI)
    places = np.vstack([xy.reshape(-1, 2), extras.places])
    columns, rows = _grid(places, width)
    cell = width // columns
    every = place(places, columns, rows, ceil(columns * rows * _FULLEST) + len(extras.prompts))
    count = len(xy)
    layout = ThumbnailLayout(columns, rows, every.cells[:count], every.placed[:count], every.wanted[:count])
    return layout, (every.wanted[count:] + 0.5) * cell, cell


def _grid(places: npt.NDArray[np.float64], width: int) -> tuple[int, int]:
    """Return columns and rows: about `_ROOM` cells an image, as high as the points' extent asks, within reason."""
    span = np.ptp(places, axis=0) if len(places) else np.ones(2)
    aspect = float(np.clip(span[1] / span[0], 0.5, 1.0)) if span[0] > 0 else 1.0
    columns = ceil(sqrt(len(places) * _ROOM / aspect))
    columns = int(np.clip(columns, ceil(width / _LARGEST), width // _SMALLEST))
    return columns, ceil(columns * aspect)


def _canvas(
    layout: ThumbnailLayout, images: Sequence[Image.Image], borders: Sequence[str] | None, cell: int
) -> Image.Image:
    """Paste the placed images; a cell keeps one pixel free on each side."""
    from PIL import Image

    canvas = Image.new("RGB", (layout.columns * cell, layout.rows * cell), "white")
    thickness = 1 if borders is None else max(round(cell / 18), 2)
    for index in np.flatnonzero(layout.placed).tolist():
        column, row = layout.cells[index].tolist()
        border = style.GRID if borders is None else borders[index]
        canvas.paste(tile(images[index], cell - 2, border, thickness), (column * cell + 1, row * cell + 1))
    return canvas


def _drawn(layout: ThumbnailLayout) -> str:
    drawn = f"{int(layout.placed.sum()):,} of {len(layout.placed):,} images drawn, "
    return drawn + (f"{layout.left_out:,} left out for lack of room" if layout.left_out else "none left out")


def _header(axes: Axes, lines: Sequence[str], width: int) -> None:
    """Write the title, how many were drawn, and the caption's lines."""
    title, drawn, *caption = lines
    write(axes, MARGIN, MARGIN, fit(title, width, style.TITLE, style.DPI), style.TITLE)
    below = MARGIN + pixels(style.TITLE * 1.5)
    write(axes, MARGIN, below, fit(drawn, width, style.TICK, style.DPI), style.TICK, color=style.MUTED)
    for number, line in enumerate(caption, start=1):
        write(axes, MARGIN, below + pixels(_CAPTION) * number, line, style.TICK, color=style.MUTED)
