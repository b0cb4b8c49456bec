"""How many pictures there are of each category, stacked by condition or split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import bars, legend, style
from .text import label, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def counts_figure(
    table: Mapping[str, Mapping[str, int]], title: str = "Pictures per category", stacked_by: str = "condition"
) -> Figure:
    """Draw a bar for each category, stacked by condition, with the total on top.

    Args:
        table: category -> condition -> number of pictures, at least 0; absent counts as 0. Categories stand in this
            order, conditions in the order in which they first appear.
        title: what the figure says at its head.
        stacked_by: the legend's title.
    """
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    conditions = list(dict.fromkeys(condition for row in table.values() for condition in row))
    numbers = np.array([[row.get(condition, 0) for row in table.values()] for condition in conditions], dtype=np.int64)
    planned = bars.plan(len(table))
    names = [label(condition, 26) for condition in conditions]
    figure = style.new_figure(planned.width + legend.plan(names, planned.height).width + 0.9, planned.height)
    axes = figure.add_subplot()
    _stack(axes, numbers.reshape(len(conditions), len(table)), planned)
    style.clean(axes)
    bars.name_groups(axes, list(table), planned)
    axes.set_ylabel("pictures")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    style.heading(axes, title, planned.width)
    patches = [Patch(facecolor=k.colour, hatch=k.hatch, edgecolor="white") for k in style.looks(len(names))]
    # The legend reads in the order of the stack, top first.
    legend.beside(figure, patches[::-1], names[::-1], planned.height, safe(stacked_by))
    return figure


def _stack(axes: Axes, numbers: npt.NDArray[np.int64], planned: bars.BarPlan) -> None:
    below = np.zeros(numbers.shape[1], dtype=np.int64)
    places = np.arange(len(below))
    for row, look in zip(numbers, style.looks(len(numbers)), strict=True):
        drawing: dict[str, Any] = {"color": look.colour, "hatch": look.hatch, "edgecolor": "white", "linewidth": 0.6}
        axes.bar(places, row, 0.72, bottom=below, **drawing)
        below = below + row
    for place, total in enumerate(below.tolist()):
        bars.on_top(axes, place, total, f"{total:,}", planned.values)
    axes.set_ylim(0, max(below.max(initial=0), 1) * (1.16 if planned.values == "turned" else 1.08))
