"""How often the true class is among the best k."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shotdex.store.types import Estimate

from . import legend, style
from .text import label

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 4.6
_MOST_WITH_MARKERS = 25

MOST_LINEAR = 30
"""Up to this many k stand at equal distances; beyond, the axis is logarithmic, since curves rise at the first few."""


def topk_figure(
    series: Sequence[tuple[str, Sequence[Estimate]]], title: str = "Top-k accuracy", classes: int | None = None
) -> Figure:
    """Draw accuracy against k with each estimate's interval as a band; the legend has the n.

    Args:
        series: a name and its estimates for k = 1, 2, ...; NaN estimates leave a gap.
        title: what the figure says at its head.
        classes: how many classes there are: draws what guessing would reach, k / classes, as a dashed line.
    """
    names = [f"{label(name, 26)}\n{_sizes(estimates)}" if estimates else label(name, 26) for name, estimates in series]
    longest = max((len(estimates) for _, estimates in series), default=0)
    figure = style.new_figure(6.4 + legend.plan([*names, "chance"], HEIGHT).width, HEIGHT)
    axes = figure.add_subplot()
    _scale(axes, longest)
    handles: list[Artist] = []
    for index, (_, estimates) in enumerate(series):
        marker = style.MARKERS[index % len(style.MARKERS)] if longest <= _MOST_WITH_MARKERS else ""
        handles += _curve(axes, estimates, style.looks(len(series))[index].colour, marker, crowded=len(series) > 2)
    if classes is not None:
        k = np.arange(1, max(longest, 1) + 1)
        handles += axes.plot(k, k / classes, color=style.MUTED, linestyle=(0, (5, 3)), linewidth=1.2)
        names.append("chance")
    style.clean(axes, grid="both")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("k" if longest <= MOST_LINEAR else "k, logarithmic")
    axes.set_ylabel("true class among the best k")
    style.heading(axes, title, 5.6)
    legend.beside(figure, handles, names, HEIGHT)
    return figure


def _sizes(estimates: Sequence[Estimate]) -> str:
    sizes = sorted({estimate.n for estimate in estimates})
    return f"n={sizes[0]:,}" if len(sizes) == 1 else f"n={sizes[0]:,}..{sizes[-1]:,}"


def _curve(axes: Axes, estimates: Sequence[Estimate], colour: str, marker: str, crowded: bool) -> Sequence[Artist]:
    """Draw one curve on its band, which has an edge, so that bands on bands can be told apart."""
    k = np.arange(1, len(estimates) + 1)
    low, high = np.array([(e.low, e.high) for e in estimates]).reshape(-1, 2).T
    face = colour, 0.08 if crowded else 0.18
    axes.fill_between(k, low, high, facecolor=face, edgecolor=(colour, 0.5), linewidth=0.7)
    return axes.plot(k, [e.value for e in estimates], color=colour, marker=marker, markersize=4, linewidth=1.8)


def _scale(axes: Axes, longest: int) -> None:
    """Set the k axis; k = 1 is what everybody looks for first, and what round steps leave out."""
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

    last = max(longest, 2)
    if last <= MOST_LINEAR:
        margin = 0.02 * last
        axes.set_xlim(1 - margin, last + margin)
        steps = MaxNLocator(12, integer=True).tick_values(1, last)
        axes.set_xticks(sorted({max(int(k), 1) for k in steps if k <= last}))
        return
    axes.set_xscale("log")
    axes.set_xlim(last**-0.02, last**1.02)
    steps = [step * 10**power for power in range(7) for step in (1, 2, 5)]
    # The end is named too, unless the name before it is too near for both.
    ticks = [k for k in steps if k * 1.3 < last] + [last]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:,.0f}")
