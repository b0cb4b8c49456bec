"""How often the true class is among the best k."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shotdex.store.words import Estimate

from . import legend, style
from .text import label

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

HEIGHT = 4.6
_MOST_WITH_MARKERS = 25


def topk_figure(
    series: Sequence[tuple[str, Sequence[Estimate]]], title: str = "Top-k accuracy", classes: int | None = None
) -> Figure:
    """Draw accuracy against k with each estimate's interval as a band.

    Args:
        series: a name and its estimates for k = 1, 2, ...; NaN estimates leave a gap.
        title: what the figure says at its head.
        classes: how many classes there are: draws what guessing would reach, k / classes, as a dashed line.
    """
    from matplotlib.ticker import MaxNLocator

    names = [label(name, 26) for name, _ in series]
    longest = max((len(estimates) for _, estimates in series), default=0)
    figure = style.new_figure(6.4 + legend.plan([*names, "chance"], HEIGHT).width, HEIGHT)
    axes = figure.add_subplot()
    handles: list[Artist] = []
    for (_, estimates), look in zip(series, style.looks(len(series)), strict=True):
        k = np.arange(1, len(estimates) + 1)
        marker = look.marker if longest <= _MOST_WITH_MARKERS else ""
        bounds = np.array([(e.low, e.high) for e in estimates]).reshape(-1, 2)
        axes.fill_between(k, bounds[:, 0], bounds[:, 1], color=look.colour, alpha=0.16, linewidth=0)
        values = [e.value for e in estimates]
        handles += axes.plot(k, values, color=look.colour, marker=marker, markersize=4, linewidth=1.8)
    if classes is not None:
        k = np.arange(1, max(longest, 1) + 1)
        handles += axes.plot(k, k / classes, color=style.MUTED, linestyle=(0, (5, 3)), linewidth=1.2)
        names.append("chance")
    style.clean(axes, grid="both")
    axes.set_ylim(0, 1.02)
    last = max(longest, 2)
    margin = 0.02 * last
    axes.set_xlim(1 - margin, last + margin)
    # k = 1 is what everybody looks for first, and what round steps leave out.
    axes.set_xticks(sorted({max(int(k), 1) for k in MaxNLocator(12, integer=True).tick_values(1, last) if k <= last}))
    axes.set_xlabel("k")
    axes.set_ylabel("true class among the best k")
    style.heading(axes, title, 5.6)
    legend.beside(figure, handles, names, HEIGHT)
    return figure
