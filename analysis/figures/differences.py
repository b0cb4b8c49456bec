"""Where two runs differ: the confusion matrix of one minus that of the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import style
from .confusion import mark_diagonal
from .drawing import height, theme
from .matrix_plan import MOST_WITH_ONE
from .text import across, label, shorten, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure


def difference_figure(
    matrix: npt.NDArray[np.integer[Any]], labels: Sequence[str], names: tuple[str, str], title: str = "Difference"
) -> Figure:
    """Draw how many more images of each class a second run takes for each class than a first one does.

    Args:
        matrix: (C, C) int, rows the true classes, columns the predicted ones: the second run's count minus the first's.
        labels: C names.
        names: the first run's and the second's.
        title: what the figure says at its head.
    """
    from matplotlib.ticker import MaxNLocator

    most = len(labels)
    cell = 0.5 if most <= 12 else 0.34 if most <= MOST_WITH_ONE else 0.12
    longest = 22 if style.fitted(5.0) >= 5 else 16
    named = [label(one, longest, longest) for one in labels]
    names_width = across(named, theme().tick) + 0.4
    total = style.fitted(max(most * cell, 3.2) + names_width + 1.1)
    side = total - names_width - (1.1 if total > 5 else 0.8)
    size = theme().tick if side / most > 0.15 else theme().small
    step = int(np.ceil(0.125 / (side / most)))
    turned = across(named, size) > side / most
    below = across(named, size) if turned else 0.2
    figure = style.new_figure(total, height(side + below + 1.1), fixed_aspect=True)
    axes = figure.add_subplot()
    top = max(int(np.abs(matrix).max(initial=0)), 1)
    drawn = axes.imshow(matrix, cmap=_colours(), vmin=-top, vmax=top, interpolation="nearest")
    style.clean(axes, grid="none")
    axes.set_xticks(range(0, most, step), named[::step], rotation=90 if turned else 0)
    axes.set_yticks(range(0, most, step), named[::step])
    axes.tick_params(labelsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if most <= MOST_WITH_ONE and side / most > across([f"+{top:,}"], theme().small) + 0.03:
        _write_cells(axes, matrix, drawn)
    mark_diagonal(axes, [(place, place) for place in range(most)], side / most)
    first, second = (shorten(name, 20) for name in names)
    meaning = wrap(f"images: {second} minus {first}", max(side, 1.2), theme().label)
    bar = style.colour_bar(figure, drawn, [axes], meaning)
    bar.ax.yaxis.set_major_locator(MaxNLocator(7, integer=True))
    bar.ax.yaxis.set_major_formatter("{x:+,.0f}")
    if side < 3:
        style.figure_heading(figure, title, total)
    else:
        style.heading(axes, title, side)
    return figure


def _colours() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    ends = [style.colour_of(style.WRONG), theme().paper, style.colour_of(style.CORRECT)]
    return LinearSegmentedColormap.from_list("difference", ends)


def _write_cells(axes: Axes, matrix: npt.NDArray[np.integer[Any]], drawn: ScalarMappable) -> None:
    how: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": theme().small}
    for row, column in np.argwhere(matrix != 0).tolist():
        shade = drawn.to_rgba(matrix[row : row + 1, column])[0]
        axes.text(column, row, f"{matrix[row, column]:+,}", color=style.readable(shade.tolist()), **how)
