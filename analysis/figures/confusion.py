"""Which class was taken for which: the confusion matrix, readable with 10 classes and with 100."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from . import style
from .class_order import clustered_order, draw_largest, plan_largest
from .drawing import height, number, theme
from .text import LONGEST, ONE_LINE, across, label, shorten, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

Cells = Literal["both", "rates", "counts"]
ClassOrder = Literal["given", "clustered"]

MOST_WITH_BOTH = 12
"""Up to this many classes a cell has room for its count and its rate."""

MOST_WITH_ONE = 30
"""Up to this many a cell has room for one number."""

_LARGEST = 12.0  # inches that the matrix takes at most
_ROW = 0.12  # inches that a row's name needs at 7.5 points
_CELL_BOTH, _CELL_ONE = 0.62, 0.34  # inches of a cell that says both numbers, or one
_NARROW = 5.0  # inches of a figure without room to spare
_TICKS = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)


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


def confusion_figure(
    matrix: npt.NDArray[np.integer[Any]],
    labels: Sequence[str],
    columns: Sequence[str] | None = None,
    title: str = "Confusion",
    cells: Cells = "both",
    order: ClassOrder | None = None,
) -> Figure:
    """Draw the matrix, each row's colour its share of the row; a row without images is grey.

    With up to 12 classes each cell says its count and rate, with up to 30 one number; with more the colours speak
    alone, and with more than about 100 only every few classes are named. Beyond 12 the colours are on a square-root
    scale, on which rare confusions can be seen, and the largest confusions are listed next to the matrix.

    Args:
        matrix: (T, P) int, rows the true classes, columns the predicted ones.
        labels: T names.
        columns: P names, where they are not the rows'.
        title: what the figure says at its head.
        cells: what the cells say. `counts` also colours them by their counts instead of their rates.
        order: of the classes: as `given`, or `clustered`, where those confused with each other stand together (see
            `clustered_order`). Absent: clustered beyond 12 classes, where columns and rows are the same.

    Raises:
        ValueError: the names do not fit the matrix, or there are none; or columns of their own are to be clustered.
    """
    plan = plan_matrix(matrix, labels, columns, cells, order)
    square = columns is None and plan.most > MOST_WITH_BOTH
    listed = plan_largest(matrix, labels, plan.side) if square else None
    names = names_width(plan)
    bar = 1.3 + 0.5 * (cells == "counts")  # of the colours, with its numbers
    natural = plan.side + names + bar + (listed.width if listed else 0)
    total = style.fitted(natural)
    if total != natural:
        around = names_width(replace(plan, limit=total / 2)) + (bar if total > _NARROW else 0.75)
        if listed and total - around - listed.width < plan.side * 0.6:
            listed = None  # the matrix needs the room
        plan = replace(plan, limit=total - around - (listed.width if listed else 0))
    figure = style.new_figure(
        total, height(plan.side + plan.below + max(style.above(title, total) + 0.2, 0.8)), fixed_aspect=True
    )
    axes = figure.add_subplot()
    drawn = colour_cells(axes, plan)
    write_cells(axes, plan, drawn)
    name_cells(axes, plan)
    if plan.side < 3:
        style.figure_heading(figure, title, total)
    else:
        style.heading(axes, title, plan.side)
    explain_colours(figure, [axes], plan, drawn)
    if listed is not None:
        draw_largest(figure, listed)
    return figure


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


def colour_cells(axes: Axes, plan: MatrixPlan) -> ScalarMappable:
    """Draw the cells, the diagonal framed."""
    from matplotlib.colors import PowerNorm

    norm = PowerNorm(plan.power, 0, plan.top)
    drawn = axes.imshow(np.ma.masked_invalid(plan.values), cmap=style.shades(), norm=norm, interpolation="nearest")
    column = {name: place for place, name in enumerate(plan.across)}
    mark_diagonal(axes, [(column[name], row) for row, name in enumerate(plan.labels) if name in column], plan.cell)
    return drawn


def mark_diagonal(axes: Axes, places: Sequence[tuple[int, int]], cell: float) -> None:
    """Frame the cells, `cell` inches wide, in which the predicted class is the true one, by column and row."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    frames = [Rectangle((x - 0.47, y - 0.47), 0.94, 0.94) for x, y in places]
    width = 1.2 if cell > 0.3 else 0.5
    axes.add_collection(
        PatchCollection(frames, facecolor="none", edgecolor=style.WRONG, linewidth=width), autolim=False
    )


def write_cells(axes: Axes, plan: MatrixPlan, drawn: ScalarMappable) -> None:
    """Write into every cell what it has room for; a 0 only where there are few cells."""
    if not plan.numbers:
        return
    texts = {place: _cell_text(plan, place) for place in np.ndindex(plan.matrix.shape)}
    widest = style.longest(list(texts.values())) * 0.58 * theme().small / 72
    if widest > plan.cell:
        return
    how: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": theme().small, "linespacing": 1.25}
    for (row, column), text in ((place, text) for place, text in texts.items() if text):
        shade = drawn.to_rgba(plan.values[row : row + 1, column])[0]
        colour = style.readable(shade.tolist()) if plan.matrix[row, column] else theme().muted
        axes.text(column, row, text, color=colour, **how)


def _cell_text(plan: MatrixPlan, place: tuple[int, ...]) -> str:
    count, rate = plan.matrix[place], plan.rates[place]
    if not count:
        return "0" if plan.most <= MOST_WITH_BOTH else ""
    if plan.cells == "counts":
        return f"{count:,}"
    share = number(float(rate), 2)
    return f"{count:,}\n{share}" if plan.cells == "both" and plan.numbers == 2 else share


def name_cells(axes: Axes, plan: MatrixPlan, rows: bool = True, columns: bool = True) -> None:
    """Name rows and columns, every few of them where a cell is too small for all; without `rows` say only their n."""
    axes.set_xticks(range(0, len(plan.across), plan.step), plan.columns(), rotation=90 if plan.turned else 0)
    axes.set_yticks(range(0, len(plan.labels), plan.step), plan.rows(rows))
    style.clean(axes, grid="none")
    axes.tick_params(labelsize=plan.name_size, labelbottom=columns)
    axes.spines[:].set_visible(False)
    if columns:
        axes.set_xlabel(plan.axis("predicted"))
    if rows:
        axes.set_ylabel(plan.axis("true (n)", alone=plan.side < 1.6))  # the other axis has the notes, too


def explain_colours(figure: Figure, axes: Sequence[Axes], plan: MatrixPlan, drawn: ScalarMappable) -> None:
    """Draw next to the axes what their colours mean."""
    meaning = "images" if plan.cells == "counts" else "share of the true class"
    scaled = plan.most > MOST_WITH_BOTH
    meaning = wrap(meaning + " (square-root scale)" * scaled, max(plan.side, 1.2), theme().label)
    bar = style.colour_bar(figure, drawn, axes, meaning)
    if scaled:
        ticks = sorted(
            {
                round(tick * plan.top, 0 if plan.cells == "counts" else 2)
                for tick in (_TICKS if plan.side > 3 else (0, 0.1, 0.5, 1))
            }
        )
        bar.set_ticks(ticks, labels=[style.share(tick) if plan.cells != "counts" else f"{tick:,g}" for tick in ticks])
