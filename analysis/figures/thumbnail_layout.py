"""Where thumbnails go: every image in a cell of its own, near the place that a projection gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[np.int64]
"""Column and row of a cell, shape (N, 2); -1 where an image has none."""

EMPTY = -1

Points = npt.NDArray[np.float64]
"""Coordinates, shape (N, 2)."""


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
    """Return a (rows, columns) grid of image indices, `EMPTY` where there is none."""
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
