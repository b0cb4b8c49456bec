"""Which class was taken for which: the confusion matrix, readable with 10 classes and with 100."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import style
from .class_order import List, draw_largest, plan_largest
from .drawing import height, number, theme
from .matrix_plan import MOST_WITH_BOTH, Cells, ClassOrder, MatrixPlan, names_width, plan_matrix
from .text import wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

_NARROW = 5.0  # inches of a figure without room to spare
_TICKS = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)


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
    total, plan, listed = _fitted(plan, listed)
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


def _fitted(plan: MatrixPlan, listed: List | None) -> tuple[float, MatrixPlan, List | None]:
    """Return the width of the figure in inches, and what of a matrix and its largest confusions has room in it."""
    bar = 1.3 + 0.5 * (plan.cells == "counts")  # of the colours, with its numbers
    natural = plan.side + names_width(plan) + bar + (listed.width if listed else 0)
    total = style.fitted(natural)
    if total != natural:
        around = names_width(replace(plan, limit=total / 2)) + (bar if total > _NARROW else 0.75)
        if listed and total - around - listed.width < plan.side * 0.6:
            listed = None  # the matrix needs the room
        plan = replace(plan, limit=total - around - (listed.width if listed else 0))
    return total, plan, listed


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
