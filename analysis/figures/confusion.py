"""Which class was taken for which: the confusion matrix, readable with 10 classes and with 100."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from . import style
from .class_order import clustered_order, draw_largest, plan_largest
from .drawing import theme
from .text import LONGEST, ONE_LINE, label

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
_DARK = 0.7  # of the colour scale; from there on white text has more contrast than black
_TICKS = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is drawn: the matrix and names in their order, the rates, and the side in inches of all and of a cell."""

    matrix: npt.NDArray[np.integer[Any]]
    rates: npt.NDArray[np.float64]
    labels: Sequence[str]
    across: Sequence[str]
    cells: Cells
    clustered: bool

    @property
    def most(self) -> int:
        return int(max(self.matrix.shape))

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """What the colours show: the rates, or counts, (T, P); NaN in a row without images."""
        return self.rates if self.cells != "counts" else np.where(np.isnan(self.rates), np.nan, self.matrix)

    @property
    def top(self) -> float:
        """The value of the darkest colour."""
        return 1.0 if self.cells != "counts" else float(max(self.matrix.max(), 1))

    @property
    def power(self) -> float:
        """Of the colour scale."""
        return 1.0 if self.most <= MOST_WITH_BOTH else 0.5

    @property
    def side(self) -> float:
        cell = _CELL_BOTH if self.most <= MOST_WITH_BOTH else _CELL_ONE if self.most <= MOST_WITH_ONE else _ROW
        return max(min(self.most * cell, _LARGEST), 3.2)

    @property
    def cell(self) -> float:
        return self.side / self.most

    @property
    def step(self) -> int:
        """Every how many classes are named."""
        return ceil(_ROW / self.cell - 1e-9)

    @property
    def name_size(self) -> float:
        return theme().tick if self.cell > 0.3 else theme().small

    @property
    def name_width(self) -> int:
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
    plan = _plan(matrix, labels, columns, cells, order)
    square = columns is None and plan.most > MOST_WITH_BOTH
    listed = plan_largest(matrix, labels, plan.side) if square else None
    longest = min(style.longest([*plan.labels, *plan.across]), plan.name_width)
    names = 0.5 + longest * 0.6 * plan.name_size / 72
    width = plan.side + names + 1.3 + (listed.width if listed else 0)
    figure = style.new_figure(width, plan.side + names + 0.6, fixed_aspect=True)
    axes = figure.add_subplot()
    drawn = _colour_cells(axes, plan)
    _write_cells(axes, plan)
    _name_cells(axes, plan)
    style.heading(axes, title, plan.side)
    _explain_colours(figure, axes, plan, drawn)
    if listed is not None:
        draw_largest(figure, listed)
    return figure


def _plan(
    matrix: npt.NDArray[np.integer[Any]],
    labels: Sequence[str],
    columns: Sequence[str] | None,
    cells: Cells,
    order: ClassOrder | None,
) -> _Plan:
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
    return _Plan(matrix, rates, labels, across, cells, clustered)


def _colour_cells(axes: Axes, plan: _Plan) -> ScalarMappable:
    import matplotlib
    from matplotlib.colors import PowerNorm

    colours = matplotlib.colormaps["Blues"].with_extremes(bad="#eeeeee")
    norm = PowerNorm(plan.power, 0, plan.top)
    return axes.imshow(np.ma.masked_invalid(plan.values), cmap=colours, norm=norm, interpolation="nearest")


def _write_cells(axes: Axes, plan: _Plan) -> None:
    """Write into every cell what it has room for; a 0 only where there are few cells."""
    if plan.most > MOST_WITH_ONE:
        return
    texts = {place: _cell_text(plan, place) for place in np.ndindex(plan.matrix.shape)}
    widest = style.longest(list(texts.values())) * 0.62 * theme().small / 72
    if plan.most > MOST_WITH_BOTH and widest > plan.cell:
        return
    shades = (plan.values / plan.top) ** plan.power
    for (row, column), text in ((place, text) for place, text in texts.items() if text):
        dark, some = shades[row, column] > _DARK, plan.matrix[row, column] > 0
        colour = "#ffffff" if dark else theme().ink if some else theme().faint
        axes.text(column, row, text, ha="center", va="center", fontsize=theme().small, color=colour, linespacing=1.25)


def _cell_text(plan: _Plan, place: tuple[int, ...]) -> str:
    count, rate = plan.matrix[place], plan.rates[place]
    if not count:
        return "0" if plan.most <= MOST_WITH_BOTH else ""
    if plan.cells == "counts":
        return f"{count:,}"
    return f"{count:,}\n{rate:.2f}" if plan.cells == "both" and plan.most <= MOST_WITH_BOTH else f"{rate:.2f}"


def _name_cells(axes: Axes, plan: _Plan) -> None:
    """Name rows and columns, every few of them where a cell is too small for all."""
    longest = LONGEST if plan.most <= MOST_WITH_BOTH else ONE_LINE
    columns = [label(name, plan.name_width, longest) for name in plan.across[:: plan.step]]
    rows = [label(name, plan.name_width, longest) for name in plan.labels[:: plan.step]]
    turned = style.longest(columns) * 0.62 * plan.name_size / 72 > plan.cell * plan.step
    axes.set_xticks(range(0, len(plan.across), plan.step), columns, rotation=90 if turned else 0)
    axes.set_yticks(range(0, len(plan.labels), plan.step), rows)
    style.clean(axes, grid="none")
    axes.tick_params(labelsize=plan.name_size)
    axes.spines[:].set_visible(False)
    notes = [", clustered order"] if plan.clustered else []
    if plan.step > 1:
        notes.append(f", one name in {plan.step}")
    axes.set_xlabel("".join(["predicted", *notes]))
    axes.set_ylabel("".join(["true", *notes]))


def _explain_colours(figure: Figure, axes: Axes, plan: _Plan, drawn: ScalarMappable) -> None:
    bar = figure.colorbar(drawn, ax=axes, shrink=0.75, aspect=28, pad=0.02)
    meaning = "images" if plan.cells == "counts" else "share of the true class"
    if plan.most > MOST_WITH_BOTH:
        meaning += " (square-root scale)"
        ticks = sorted({round(tick * plan.top, 0 if plan.cells == "counts" else 2) for tick in _TICKS})
        bar.set_ticks(ticks, labels=[f"{tick:,g}" for tick in ticks])
    bar.set_label(meaning, size=theme().label, color=theme().ink)
    bar.ax.tick_params(labelsize=theme().tick, length=0)
    bar.outline.set_visible(False)
