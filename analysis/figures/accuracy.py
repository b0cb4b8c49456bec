"""Accuracy per group (condition, category), one bar for each run, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from shotdex.store.words import Estimate

from . import bars, legend, style
from .text import label, safe

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Series = tuple[str, Mapping[str, Estimate]]
"""A name, such as a run's, and its estimate for each group."""


def accuracy_figure(
    series: Sequence[Series], title: str = "Accuracy", chance: float | None = None, ylabel: str = "accuracy"
) -> Figure:
    """Draw grouped bars with the estimates' intervals as whiskers, values above and n beneath.

    Values are written where the bars leave room. A group without pictures (NaN) or absent from a series has no bar.

    Args:
        series: the bars of one colour each; groups stand in the order in which they first appear.
        title: what the figure says at its head.
        chance: what guessing would reach, in [0, 1], as a dashed line.
        ylabel: what is estimated.
    """
    groups = list(dict.fromkeys(group for _, estimates in series for group in estimates))
    planned = bars.plan(len(groups), len(series))
    names = [label(name, 26) for name, _ in series]
    shown = names if len(names) > 1 else []
    if chance is not None:
        shown = [*shown, f"chance {chance:.3f}"]
    figure = style.new_figure(planned.width + legend.plan(shown, planned.height).width + 0.9, planned.height)
    axes = figure.add_subplot()
    handles = _draw(axes, series, groups, planned)
    if chance is not None:
        line = axes.axhline(chance, color=style.INK, linestyle=(0, (5, 3)), linewidth=1.1, zorder=2.5)
        handles = [*handles, line] if len(names) > 1 else [line]
    style.clean(axes)
    bars.name_groups(axes, groups, planned, [_sizes(series, group) for group in groups])
    axes.set_ylabel(safe(ylabel))
    axes.set_yticks(np.linspace(0, 1, 6))
    style.heading(axes, title, planned.width)
    legend.beside(figure, handles, shown, planned.height)
    return figure


def _draw(axes: Axes, series: Sequence[Series], groups: Sequence[str], planned: bars.BarPlan) -> list[Artist]:
    """Draw all bars and return one of each series for the legend."""
    from matplotlib.patches import Patch

    width = bars.FILLED / max(len(series), 1)
    handles: list[Artist] = []
    for index, ((_, estimates), look) in enumerate(zip(series, style.looks(len(series)), strict=True)):
        shift = (index - (len(series) - 1) / 2) * width
        drawn = [
            (place + shift, estimates[group])
            for place, group in enumerate(groups)
            if group in estimates and not isnan(estimates[group].value)
        ]
        _bars(axes, drawn, width * 0.92, look)
        for place, estimate in drawn:
            bars.on_top(axes, place, estimate.high, f"{estimate.value:.3f}", planned.values)
        handles.append(Patch(facecolor=look.colour, hatch=look.hatch, edgecolor="white"))
    # Room for a value above a whisker that ends at 1: a turned one is 0.4 inch long, an upright one 0.15 high.
    axes.set_ylim(0, 1.14 if planned.values == "turned" else 1.06)
    return handles


def _bars(axes: Axes, drawn: Sequence[tuple[float, Estimate]], width: float, look: style.Look) -> None:
    from matplotlib.patheffects import withStroke

    places = [place for place, _ in drawn]
    values = np.array([estimate.value for _, estimate in drawn])
    low, high = np.array([(estimate.low, estimate.high) for _, estimate in drawn]).reshape(-1, 2).T
    axes.bar(places, values, width, color=look.colour, hatch=look.hatch, edgecolor="white")
    whiskers: dict[str, Any] = {"ecolor": style.INK, "elinewidth": 1.0, "capsize": 2.0, "capthick": 1.0}
    halo = withStroke(linewidth=2.4, foreground="white")  # so that they show on black bars too
    axes.errorbar(places, values, np.maximum([values - low, high - values], 0), fmt="none", **whiskers)
    for part in (*axes.containers[-1][1], *axes.containers[-1][2]):
        part.set_path_effects([halo])


def _sizes(series: Sequence[Series], group: str) -> str:
    """Return the group's n, or its range where the series differ."""
    sizes = sorted({estimates[group].n for _, estimates in series if group in estimates})
    return f"n={sizes[0]:,}" if len(sizes) == 1 else f"n={sizes[0]:,}..{sizes[-1]:,}"
