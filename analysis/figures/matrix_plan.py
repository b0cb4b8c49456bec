"""How a confusion matrix is laid out: the classes in their order, the shares of each row, the size of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .class_order import clustered_order
from .drawing import theme
from .text import LONGEST, ONE_LINE, across, label, shorten, wrap

Cells = Literal["both", "rates", "counts"]
ClassOrder = Literal["given", "clustered"]

MOST_WITH_BOTH = 12
"""Up to this many classes a cell has room for its count and its rate."""

MOST_WITH_ONE = 30
"""Up to this many a cell has room for one number."""

_LARGEST = 12.0  # inches that the matrix takes at most
_ROW = 0.12  # inches that a row's name needs at 7.5 points
_CELL_BOTH, _CELL_ONE = 0.62, 0.34  # inches of a cell that says both numbers, or one


@dataclass(frozen=True, slots=True)
class MatrixPlan:
    """What is drawn: the matrix and names in their order, the rates, and the side in inches of all and of a cell.

    `limit` is the side that there is room for, None where it may be as long as the matrix needs.
    """

    matrix: npt.NDArray[np.integer[Any]]
    rates: npt.NDArray[np.float64]
    labels: Sequence[str]
    across: Sequence[str]
    cells: Cells
    clustered: bool
    limit: float | None = None
    most_images: int = 0

    @property
    def most(self) -> int:
        """The larger of the numbers of rows and columns."""
        return int(max(self.matrix.shape))

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """What the colours show: the rates, or counts, (T, P); NaN in a row without images."""
        return self.rates if self.cells != "counts" else np.where(np.isnan(self.rates), np.nan, self.matrix)

    @property
    def top(self) -> float:
        """The value of the darkest colour."""
        return 1.0 if self.cells != "counts" else float(max(self.matrix.max(), self.most_images, 1))

    @property
    def power(self) -> float:
        """Of the colour scale."""
        return 1.0 if self.most <= MOST_WITH_BOTH else 0.5

    @property
    def side(self) -> float:
        """Inches across the cells."""
        if self.limit is not None:
            return max(self.limit, 0.8)
        cell = _CELL_BOTH if self.most <= MOST_WITH_BOTH else _CELL_ONE if self.most <= MOST_WITH_ONE else _ROW
        return max(min(self.most * cell, _LARGEST), 3.2)

    @property
    def numbers(self) -> int:
        """How many numbers a cell has room for."""
        if self.most <= MOST_WITH_BOTH and self.cell > 0.4:
            return 2
        return 1 if self.most <= MOST_WITH_ONE and self.cell > 0.22 else 0

    @property
    def cell(self) -> float:
        """Inches across a cell."""
        return self.side / self.most

    @property
    def step(self) -> int:
        """Every how many classes are named."""
        return ceil(_ROW / self.cell - 1e-9)

    def rows(self, named: bool = True) -> list[str]:
        """Return what is written next to the rows that are named: the class and its n, or the n alone."""
        longest = LONGEST if self.roomy else self.name_width
        totals = self.matrix.sum(axis=1).tolist()
        names = list(zip(self.labels, totals, strict=True))[:: self.step]
        if not named:
            return [f"({n:,})" for _, n in names]
        # A name of two lines would lie on its neighbours where the rows are low.
        lines = self.name_width + 6 if self.cell > 0.3 else 2 * LONGEST
        return [label(f"{shorten(name, longest)} ({n:,})", lines, longest + 12) for name, n in names]

    def columns(self) -> list[str]:
        """Return what is written below the columns that are named."""
        longest = LONGEST if self.roomy else self.name_width
        lines = self.name_width if self.cell > 0.3 else LONGEST
        return [label(name, lines, longest) for name in self.across[:: self.step]]

    @property
    def roomy(self) -> bool:
        """Whether there is room for whole names."""
        return self.most <= MOST_WITH_BOTH and self.limit is None

    @property
    def turned(self) -> bool:
        """Whether the columns' names stand on end."""
        return across(self.columns(), self.name_size) > self.cell * self.step

    @property
    def below(self) -> float:
        """The inches that the columns' names take, with the label below them."""
        names = across(self.columns(), self.name_size) if self.turned else 2 * self.name_size / 72
        return 0.2 + names + (self.axis("predicted").count("\n") + 1) * theme().label * 1.25 / 72

    def axis(self, meaning: str, alone: bool = False) -> str:
        """Return what an axis says: its meaning, and unless that stands `alone` how its classes stand."""
        notes = [", clustered order"] * self.clustered + [f", one name in {self.step}"] * (self.step > 1)
        return wrap("".join([meaning, *([] if alone else notes)]), self.side, theme().label)

    @property
    def name_size(self) -> float:
        """Points of the names."""
        return theme().tick if self.cell > 0.3 else theme().small

    @property
    def name_width(self) -> int:
        """Characters of a line of a name."""
        if self.limit is not None and self.limit < 3:
            return 14 if self.limit > 2.2 else 10
        return 24 if self.most <= MOST_WITH_BOTH else ONE_LINE


def names_width(plan: MatrixPlan) -> float:
    """Return the inches that the rows' names take, with the label next to them."""
    return 0.4 + across(plan.rows(), plan.name_size)


def plan_matrix(
    matrix: npt.NDArray[np.integer[Any]],
    labels: Sequence[str],
    columns: Sequence[str] | None,
    cells: Cells,
    order: ClassOrder | None,
) -> MatrixPlan:
    """Return what is drawn: classes in their order, and each row's shares.

    Raises:
        ValueError: as in `confusion_figure`.
    """
    across = labels if columns is None else columns
    if matrix.size == 0 or matrix.shape != (len(labels), len(across)):
        raise ValueError(f"{len(labels)} by {len(across)} names for a matrix of shape {matrix.shape}")
    if order == "clustered" and columns is not None:
        raise ValueError("columns of their own have no order in common with the rows")
    clustered = order == "clustered" or (order is None and columns is None and len(labels) > MOST_WITH_BOTH)
    if clustered:
        places = clustered_order(matrix)
        matrix, labels = matrix[np.ix_(places, places)], [labels[place] for place in places]
        across = labels
    totals = matrix.sum(axis=1, keepdims=True)
    rates = np.where(totals > 0, matrix / np.maximum(totals, 1), np.nan)
    return MatrixPlan(matrix, rates, labels, across, cells, clustered)
