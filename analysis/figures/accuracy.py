"""Accuracy per group (condition, category), one bar for each run and each baseline, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one series is drawn: its estimates, its fill and hatch, and the colour of its outline."""

    estimates: Mapping[str, Estimate]
    look: style.Look
    outline: str


def accuracy_figure(
    series: Sequence[Series],
    title: str = "Accuracy",
    chance: float | None = None,
    ylabel: str = "accuracy",
    baselines: Sequence[Series] = (),
) -> Figure:
    """Draw grouped bars with the estimates' intervals as whiskers, values above and n beneath.

    Values are written where the bars leave room. A group without pictures (NaN) or absent from a series has no bar.
    Baselines (people, published results) stand right of the runs, grey and outlined. An estimate without an interval
    (NaN) has no whisker.

    Args:
        series: the bars of one colour each; groups stand in the order in which they first appear.
        title: what the figure says at its head.
        chance: what guessing would reach, in [0, 1], as a dashed line.
        ylabel: what is estimated.
        baselines: what the series are compared with. The n beneath the groups do not count them; groups that they alone
            have stand last.
    """
    every = (*series, *baselines)
    groups = list(dict.fromkeys(group for _, estimates in every for group in estimates))
    planned = bars.plan(len(groups), len(every))
    shown = [label(name, 26) for name, _ in every] if len(every) > 1 else []
    if chance is not None:
        shown = [*shown, f"chance {chance:.3f}"]
    figure = style.new_figure(planned.width + legend.plan(shown, planned.height).width + 0.9, planned.height)
    axes = figure.add_subplot()
    handles = _draw(axes, _kinds(series, baselines), groups, planned)
    if chance is not None:
        line = axes.axhline(chance, color=style.INK, linestyle=(0, (5, 3)), linewidth=1.1, zorder=2.5)
        handles = [*handles, line] if len(every) > 1 else [line]
    style.clean(axes)
    bars.name_groups(axes, groups, planned, [_sizes(series, group) for group in groups])
    axes.set_ylabel(safe(ylabel))
    axes.set_yticks(np.linspace(0, 1, 6))
    style.heading(axes, title, planned.width)
    legend.beside(figure, handles, shown, planned.height)
    return figure


def _kinds(series: Sequence[Series], baselines: Sequence[Series]) -> list[_Kind]:
    runs = zip(series, style.looks(len(series)), strict=True)
    others = zip(baselines, style.neutral_looks(len(baselines)), strict=True)
    return [
        *(_Kind(estimates, look, "white") for (_, estimates), look in runs),
        *(_Kind(estimates, look, style.MUTED) for (_, estimates), look in others),
    ]


def _draw(axes: Axes, kinds: Sequence[_Kind], groups: Sequence[str], planned: bars.BarPlan) -> list[Artist]:
    """Draw all bars and return one of each series for the legend."""
    from matplotlib.patches import Patch

    width = bars.FILLED / max(len(kinds), 1)
    handles: list[Artist] = []
    for index, kind in enumerate(kinds):
        shift = (index - (len(kinds) - 1) / 2) * width
        drawn = [
            (place + shift, kind.estimates[group])
            for place, group in enumerate(groups)
            if group in kind.estimates and not isnan(kind.estimates[group].value)
        ]
        _bars(axes, drawn, width * 0.92, kind, planned.values == "none")
        for place, estimate in drawn:
            top = estimate.value if isnan(estimate.high) else estimate.high
            bars.on_top(axes, place, top, _value(estimate), planned.values)
        handles.append(Patch(facecolor=kind.look.colour, hatch=kind.look.hatch, edgecolor=kind.outline))
    # Room for a value above a whisker that ends at 1: a turned one is 0.4 inch long, an upright one 0.15 high.
    axes.set_ylim(0, 1.14 if planned.values == "turned" else 1.06)
    return handles


def _bars(axes: Axes, drawn: Sequence[tuple[float, Estimate]], width: float, kind: _Kind, thin: bool) -> None:
    from matplotlib.patheffects import withStroke

    values = [estimate.value for _, estimate in drawn]
    axes.bar(
        [place for place, _ in drawn], values, width,
        color=kind.look.colour, hatch=kind.look.hatch, edgecolor=kind.outline,
    )  # fmt: skip
    bounded = [(place, e) for place, e in drawn if not (isnan(e.low) or isnan(e.high))]
    low, high = np.array([(e.value - e.low, e.high - e.value) for _, e in bounded]).reshape(-1, 2).T
    thick, cap, around = (0.7, 1.2, 1.5) if thin else (1.0, 2.0, 2.4)
    whiskers: dict[str, Any] = {"ecolor": style.INK, "elinewidth": thick, "capsize": cap, "capthick": thick}
    halo = withStroke(linewidth=around, foreground="white")  # so that they show on black bars too
    lengths = np.maximum([low, high], 0)
    axes.errorbar([place for place, _ in bounded], [e.value for _, e in bounded], lengths, fmt="none", **whiskers)
    for part in (*axes.containers[-1][1], *axes.containers[-1][2]):
        part.set_path_effects([halo])


def _value(estimate: Estimate) -> str:
    """Return the value to three digits; one without an interval, such as a reading of .78, gets no digits added."""
    return f"{round(estimate.value, 3):g}" if isnan(estimate.high) else f"{estimate.value:.3f}"


def _sizes(series: Sequence[Series], group: str) -> str:
    """Return the group's n, or its range where the series differ."""
    sizes = sorted({estimates[group].n for _, estimates in series if group in estimates} or {0})
    return f"n={sizes[0]:,}" if len(sizes) == 1 else f"n={sizes[0]:,}..{sizes[-1]:,}"
