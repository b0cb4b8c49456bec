"""Matrices next to each other, in one order and with one scale: confusion by groups, and accuracy by two columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import style
from .confusion import colour_cells, explain_colours, name_cells, write_cells
from .drawing import height, number, theme
from .matrix_plan import Cells, ClassOrder, MatrixPlan, names_width, plan_matrix
from .text import across, label, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR = 0.95  # inches of the colour bar with its numbers and its label
_MOST_ACROSS = 3


@dataclass(frozen=True, slots=True)
class _Grid:
    """How panels are set: the figure's `width` and a panel's `side` in inches, how many stand `across` and `down`."""

    width: float
    side: float
    across: int
    down: int

    def last(self, place: int, count: int) -> bool:
        """Tell whether a panel has none below it."""
        return place + self.across >= count


def _grid(count: int, natural: float, least: float, names: float, gap: float) -> _Grid:
    """Return how `count` panels fit: up to three in a row, fewer where they would be narrower than `least` inches.

    `names` are the inches left of a row of panels, `gap` those between two.
    """
    for columns in range(min(count, _MOST_ACROSS), 0, -1):
        around = names + (columns - 1) * gap + _BAR
        total = style.fitted(max(columns * natural + around, 3.6))
        side = (total - around) / columns
        if side >= least or columns == 1:
            break
    return _Grid(total, max(side, 0.5), columns, ceil(count / columns))


def _head(axes: Axes, name: str, side: float) -> None:
    written = wrap(name, side + 0.1, theme().label)
    axes.set_title(written, loc="left", fontsize=theme().label, color=theme().ink)


def _heads(names: Sequence[str], side: float) -> float:
    """Return the inches that the highest of some panels' titles takes."""
    lines = max(wrap(name, side + 0.1, theme().label).count("\n") + 1 for name in names)
    return 0.2 + lines * theme().label * 1.3 / 72


def confusion_panels(
    panels: Sequence[tuple[str, npt.NDArray[np.integer[Any]]]],
    labels: Sequence[str],
    title: str = "Confusion",
    cells: Cells = "rates",
    order: ClassOrder | None = None,
) -> Figure:
    """Draw a matrix for each of some groups of images, such as conditions, all in one order and with one scale.

    The classes are named left of each row of panels and below the lowest ones; each panel has its own n.

    Args:
        panels: each group's name and matrix, (C, C) int, rows the true classes.
        labels: C names.
        title: what the figure says at its head.
        cells: what the cells say, where there is room; `both` says rates.
        order: of the classes, as in `confusion_figure`; clustered by all groups together.

    Raises:
        ValueError: there is no panel, or the names do not fit a matrix.
    """
    together = plan_matrix(np.sum([matrix for _, matrix in panels], axis=0), labels, None, cells, order)
    most = len(labels)
    natural = max(min(most * 0.36, 6.0), 1.8)
    limited = replace(together, limit=natural)
    gap = across(limited.rows(False), limited.name_size) + 0.25
    grid = _grid(len(panels), natural, min(max(1.3, most * 0.12), 2.0), names_width(limited), gap)
    plans = _plans([matrix for _, matrix in panels], labels, together, grid.side)
    heads = _heads([name for name, _ in panels], grid.side)
    down = grid.down * (grid.side + heads) + plans[0].below + style.above(title, grid.width) + 0.3
    figure = style.new_figure(grid.width, height(down), fixed_aspect=True)
    drawn_on = figure.subplots(grid.down, grid.across, squeeze=False)
    for place, axes in enumerate(drawn_on.flat):
        if place >= len(panels):
            axes.set_axis_off()
            continue
        drawn = colour_cells(axes, plans[place])
        write_cells(axes, plans[place], drawn)
        name_cells(axes, plans[place], place % grid.across == 0, grid.last(place, len(panels)))
        _head(axes, panels[place][0], grid.side)
    style.figure_heading(figure, title, grid.width)
    explain_colours(figure, list(drawn_on.flat), plans[0], drawn)
    return figure


def _plans(
    matrices: Sequence[npt.NDArray[np.integer[Any]]], labels: Sequence[str], together: MatrixPlan, side: float
) -> list[MatrixPlan]:
    """Return what is drawn of each matrix, in the order of all `together` and with one scale."""
    places = [labels.index(name) for name in together.labels]
    one: Cells = "counts" if together.cells == "counts" else "rates"
    top = max(int(matrix.max()) for matrix in matrices)
    return [
        replace(
            plan_matrix(matrix[np.ix_(places, places)], together.labels, None, one, "given"),
            limit=side, most_images=top, clustered=together.clustered,
        )
        for matrix in matrices
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class HeatPanel:
    """A run's name, and how many images it has `right` of how many, (R, C) int, by two columns."""

    name: str
    right: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]


def accuracy_heat_map(
    panels: Sequence[HeatPanel], rows: Sequence[str], columns: Sequence[str], title: str = "Accuracy", mark: str = ""
) -> Figure:
    """Draw accuracy by two columns, a panel for each run: each cell its accuracy and its n, an empty one grey.

    Args:
        panels: one or more.
        rows: R names, from the top.
        columns: C names, from the left.
        title: what the figure says at its head.
        mark: what stands after every value.
    """
    named = [label(name, 24, 24) for name in rows]
    natural = max(len(columns) * (0.3 if len(columns) > 24 else 0.62), 1.2)
    grid = _grid(len(panels), natural, min(max(1.0, len(columns) * 0.2), 3.0), across(named, theme().tick) + 0.2, 0.2)
    each = grid.side / max(len(columns), 1)
    row = 0.3 if len(rows) <= 40 else 0.16
    turned = style.longest_word(columns) * 0.64 * theme().tick / 72 > each
    step = ceil(0.13 / each) if turned else 1
    most = 24 if turned else max(int(each * 72 / theme().tick / 0.62), 4)
    below = [label(name, most, 24) for name in columns]
    names = across(below, theme().tick) if turned else 0.3
    heads = _heads([one.name for one in panels], grid.side) if len(panels) > 1 else 0.1
    down = max(len(rows) * row, 0.6)
    figure = style.new_figure(
        grid.width, height(grid.down * (down + heads) + names + style.above(title, grid.width) + 0.4)
    )
    drawn_on = figure.subplots(grid.down, grid.across, squeeze=False)
    for place, axes in enumerate(drawn_on.flat):
        if place >= len(panels):
            axes.set_axis_off()
            continue
        panel = panels[place]
        rates = np.where(panel.sizes > 0, panel.right / np.maximum(panel.sizes, 1), np.nan)
        drawn = axes.imshow(np.ma.masked_invalid(rates), cmap=style.shades(), vmin=0, vmax=1, aspect="auto")
        style.clean(axes, grid="none")
        axes.spines[:].set_visible(False)
        shown = below[::step] if grid.last(place, len(panels)) else []
        axes.set_xticks(range(0, len(columns), step) if shown else [], shown, rotation=90 if turned else 0)
        axes.set_yticks(range(len(rows)), named if place % grid.across == 0 else [""] * len(rows))
        _write_rates(axes, panel, (each, down / max(len(rows), 1)), mark)
        if len(panels) > 1:
            _head(axes, panel.name, grid.side)
    style.figure_heading(figure, title, grid.width)
    bar = style.colour_bar(figure, drawn, list(drawn_on.flat), "accuracy")
    bar.set_ticks([0, 0.5, 1], labels=[style.share(value) for value in (0, 0.5, 1)])
    return figure


def _write_rates(axes: Axes, panel: HeatPanel, cell: tuple[float, float], mark: str) -> None:
    """Write into every cell its accuracy and its n, as far as a cell of so many inches has room for them."""
    size, drawn = theme().small, axes.images[0]
    two = cell[1] > 2.6 * size / 72
    texts = {}
    for row, column in np.ndindex(panel.sizes.shape):
        n = int(panel.sizes[row, column])
        rate = number(float(panel.right[row, column] / n), 2) + mark if n else "-"
        texts[row, column] = f"{rate}\nn={n:,}" if n and two else rate
    if across(list(texts.values()), size) > cell[0] or cell[1] < 1.2 * size / 72:
        return
    for (row, column), text in texts.items():
        n = int(panel.sizes[row, column])
        shade = drawn.to_rgba(np.array([panel.right[row, column] / max(n, 1)]))[0].tolist()
        colour = style.readable(shade) if n else theme().muted
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
