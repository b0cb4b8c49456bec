"""A projection as thumbnails that never overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import style
from .drawing import DPI, now, theme
from .map_extras import MapExtras, Points, draw_prompts
from .map_points import legend_entries, looks_of
from .pages import MARGIN, Head, margin_of, page_figure, page_head, page_height, page_width, plan_head, tile
from .text import safe

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image


_WIDTH = 12.0  # inches across the map
_NARROWEST = 800  # pixels that the header needs
_ROOM = 2.0  # cells for each image: fewer and clusters run together, more and thumbnails get small
_FULLEST = 0.6  # of the cells are used at most: a full grid would show no clusters
_SMALLEST, _LARGEST = 40, 200  # pixels of a cell: what can still be made out, what still looks like a map


def thumbnail_map(
    xy: npt.NDArray[np.float64],
    images: Sequence[Image.Image],
    labels: Sequence[str | None] | None = None,
    title: str = "Map",
    legend_title: str = "",
    extras: MapExtras | None = None,
) -> Figure:
    """Draw every image near its place, each in a cell of its own; the header says how many were drawn.

    Thumbnails are 40 to 200 pixels; where there are more images than fill 6 in 10 cells of 40 pixels, crowded
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
        OptionError: the user's size leaves no room.
    """
    from PIL import Image

    if len(xy) != len(images) or (labels is not None and len(labels) != len(images)):
        raise ValueError(f"{len(xy)} places for {len(images)} images, or too few labels")
    extras = extras or MapExtras()
    shown = {} if labels is None else looks_of(labels)
    handles, texts = legend_entries(labels or (), _framed(shown), extras)
    across = extras.width or _WIDTH
    frame = style.plan_frame(across, across * 0.75, texts, 2 * MARGIN / DPI)
    width = page_width(int(frame.width * DPI)) if extras.width is None else max(int(frame.width * DPI), _NARROWEST)
    margin = margin_of(width)
    below = int(frame.below * DPI)
    head, size = _head(title, width - 2 * margin, extras, None), now().style.size
    down = int(size[1] * DPI) - head.height - below - 2 * margin if size and size[1] else None
    layout, prompts, cell = _lay_out(np.asarray(xy, dtype=np.float64), extras, int(frame.axes * DPI), down)
    head = _head(title, width - 2 * margin, extras, layout)
    borders = None if labels is None else [shown[name].colour for name in labels]
    canvas, top = _canvas(layout, images, borders, cell), margin + head.height
    high = page_height(top + canvas.height + below + margin)
    page = Image.new("RGB", (width, high), theme().paper)
    page.paste(canvas, (margin, top))
    figure, axes = page_figure(page)
    page_head(axes, head, margin)
    draw_prompts(axes, extras, prompts + np.array([margin, top]), (margin, high - top - canvas.height, *canvas.size))
    beside = (2 * margin + canvas.width) / width, 1 - top / high, 0
    under = margin / width, 1 - (top + canvas.height + 16) / high, frame.columns
    style.draw_legend(figure, handles, texts, across * 0.75, safe(legend_title), under if below else beside)
    return figure


def _framed(shown: Mapping[str | None, style.Look]) -> dict[str | None, style.Look]:
    """Return what a legend says of the frames: nothing where labels share colours, as a frame has no marker."""
    return {name: replace(look, marker="s") for name, look in shown.items() if len(shown) <= len(style.PALETTE)}


def _head(title: str, width: int, extras: MapExtras, layout: ThumbnailLayout | None) -> Head:
    """Return the title, how many were drawn, and the caption; without a layout one of the same height."""
    return plan_head(title, width, _drawn(layout) if layout else "x" * 95, extras.caption)


def _lay_out(
    xy: npt.NDArray[np.float64], extras: MapExtras, width: int, height: int | None
) -> tuple[ThumbnailLayout, Points, int]:
    """Return where the images and the prompts go, the latter in pixels (P, 2), and the pixels of a cell."""
    places = np.vstack([xy.reshape(-1, 2), extras.places])
    columns, rows = _grid(places, width, height)
    cell = width // columns
    every = place(places, columns, rows, ceil(columns * rows * _FULLEST) + len(extras.prompts))
    count = len(xy)
    layout = ThumbnailLayout(columns, rows, every.cells[:count], every.placed[:count], every.wanted[:count])
    return layout, (every.wanted[count:] + 0.5) * cell, cell


def _grid(places: npt.NDArray[np.float64], width: int, height: int | None = None) -> tuple[int, int]:
    """Return columns and rows: about `_ROOM` cells an image, as high as the points' extent asks, within reason, or as
    `height` allows.
    """
    span = np.ptp(places, axis=0) if len(places) else np.ones(2)
    aspect = float(np.clip(span[1] / span[0], 0.5, 1.0)) if span[0] > 0 else 1.0
    if height is not None:
        aspect = min(aspect, max(height, _SMALLEST) / width)
    columns = ceil(sqrt(len(places) * _ROOM / aspect))
    columns = int(np.clip(columns, ceil(width / _LARGEST), max(width // _SMALLEST, 1)))
    rows = ceil(columns * aspect)
    return columns, rows if height is None else max(min(rows, height // (width // columns)), 1)


def _canvas(
    layout: ThumbnailLayout, images: Sequence[Image.Image], borders: Sequence[str] | None, cell: int
) -> Image.Image:
    """Paste the placed images; a cell keeps one pixel free on each side."""
    from PIL import Image

    canvas = Image.new("RGB", (layout.columns * cell, layout.rows * cell), theme().paper)
    thickness = 1 if borders is None else max(round(cell / 18), 2)
    for index in np.flatnonzero(layout.placed).tolist():
        column, row = layout.cells[index].tolist()
        border = theme().grid if borders is None else borders[index]
        canvas.paste(tile(images[index], cell - 2, border, thickness), (column * cell + 1, row * cell + 1))
    return canvas


def _drawn(layout: ThumbnailLayout) -> str:
    drawn = f"{int(layout.placed.sum()):,} of {len(layout.placed):,} images, each moved to the nearest free place, "
    return drawn + (f"{layout.left_out:,} left out for lack of room" if layout.left_out else "none left out")


Cells = npt.NDArray[np.int64]
"""Column and row of a cell, shape (N, 2); -1 where an image has none."""

EMPTY = -1


@dataclass(frozen=True, slots=True)
class ThumbnailLayout:
    """Which cell each image got.

    `cells` is (N, 2) int64, column then row, row 0 at the top, -1 for an image that was left out; `placed` (N,) bool;
    no two placed images share a cell. `wanted` is (N, 2) float64: where each would lie without the others, in cells.
    """

    columns: int
    rows: int
    cells: Cells
    placed: npt.NDArray[np.bool_]
    wanted: Points

    @property
    def left_out(self) -> int:
        """How many images have no cell."""
        return int((~self.placed).sum())


def place(xy: Points, columns: int, rows: int, most: int | None = None) -> ThumbnailLayout:
    """Put N images into a grid, at most one to a cell, each near its place.

    The coordinates are stretched over the grid (y points up, rows count down). First every region gets the image
    that lies nearest to it, then its second, and so on, each in the nearest cell still free; so where there are more
    images than cells it is the crowded regions that lose some, never an outlier. Then neighbouring cells swap
    contents as long as that brings the sum of squared distances down. Ties go to the lower index: the result depends
    on nothing else.

    Args:
        xy: (N, 2) float, finite.
        columns: cells across, at least 1.
        rows: cells down, at least 1.
        most: how many images to place at most; a grid that is not full keeps the shape of the map. Absent: all that
            have room.

    Raises:
        ValueError: `xy` is not a finite (N, 2) array, or the grid has no cells.
    """
    places = np.asarray(xy, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise ValueError(f"places of shape {places.shape} are not a finite (N, 2) array")
    if columns < 1 or rows < 1:
        raise ValueError(f"a grid of {columns} by {rows} has no cells")
    wanted = _wanted(places, columns, rows)
    room = columns * rows if most is None else min(most, columns * rows)
    grid = _fill(wanted, _order(wanted)[:room], columns, rows)
    _settle(grid, wanted)
    cells = np.full((len(places), 2), EMPTY, dtype=np.int64)
    row, column = np.nonzero(grid != EMPTY)
    cells[grid[row, column]] = np.column_stack([column, row])
    return ThumbnailLayout(columns, rows, cells, cells[:, 0] != EMPTY, wanted)


def _wanted(places: Points, columns: int, rows: int) -> Points:
    """Stretch each axis over the grid; an axis without extent goes to the middle."""
    if not len(places):
        return places.copy()
    low, span = places.min(axis=0), np.ptp(places, axis=0)
    share = np.where(span > 0, (places - low) / np.where(span > 0, span, 1), 0.5)
    share[:, 1] = 1 - share[:, 1]
    stretched: Points = share * [columns - 1, rows - 1]
    return stretched


def _order(wanted: Points) -> Cells:
    """Return who chooses first: the nearest claimant of every cell, then every second claimant, and so on."""
    nearest = np.rint(wanted)
    distance = np.square(wanted - nearest).sum(axis=1)
    by_cell = np.lexsort((distance, nearest[:, 0], nearest[:, 1]))
    ordered = nearest[by_cell]
    first = np.ones(len(wanted), dtype=bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.maximum.accumulate(np.where(first, np.arange(len(wanted)), 0))
    turn = np.empty(len(wanted), dtype=np.int64)
    turn[by_cell] = np.arange(len(wanted)) - starts
    return np.lexsort((distance, turn)).astype(np.int64)


def _fill(wanted: Points, order: Cells, columns: int, rows: int) -> Cells:
    """Return a (rows, columns) grid of image indices, `EMPTY` where a cell has none."""
    grid = np.full(rows * columns, EMPTY, dtype=np.int64)
    column = np.tile(np.arange(columns, dtype=np.float64), rows)
    row = np.repeat(np.arange(rows, dtype=np.float64), columns)
    taken = np.zeros(rows * columns)
    for index in order:
        distance = (column - wanted[index, 0]) ** 2 + (row - wanted[index, 1]) ** 2
        cell = int(np.argmin(distance + taken))
        grid[cell] = index
        taken[cell] = np.inf
    return grid.reshape(rows, columns)


def _settle(grid: Cells, wanted: Points, rounds: int = 200) -> None:
    """Swap neighbouring cells of `grid`, in place, while the sum of squared distances falls."""
    padded = np.vstack([wanted, np.zeros((1, 2))])  # so that EMPTY, -1, has a row
    for _ in range(rounds):
        swapped = 0
        for axis in (0, 1):
            for offset in (0, 1):
                swapped += _swap_pairs(grid, padded, axis, offset)
        if not swapped:
            return


def _swap_pairs(grid: Cells, wanted: Points, axis: int, offset: int) -> int:
    """Swap the disjoint pairs of cells that start at `offset` along `axis` where it helps; return how many."""
    length = (grid.shape[axis] - offset) // 2 * 2
    starts = np.arange(offset, offset + length, 2)
    first, second = np.take(grid, starts, axis), np.take(grid, starts + 1, axis)
    # Moving an image one step along the axis, from p to p + 1, changes its squared distance by 2 (p - wanted) + 1.
    here = starts.reshape((-1, 1) if axis == 0 else (1, -1)).astype(np.float64)
    coordinate = 1 - axis
    forward = np.where(first != EMPTY, 2 * (here - wanted[first, coordinate]) + 1, 0.0)
    back = np.where(second != EMPTY, -2 * (here - wanted[second, coordinate]) - 1, 0.0)
    helps = forward + back < -1e-9
    index: list[Any] = [slice(None), slice(None)]
    for step, content in ((0, np.where(helps, second, first)), (1, np.where(helps, first, second))):
        index[axis] = starts + step
        grid[tuple(index)] = content
    return int(helps.sum())
