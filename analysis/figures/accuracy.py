"""Accuracy per group, with intervals: bars for up to three series, dots for more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from shotdex.store.types import Estimate

from . import style
from .bars import FILLED, BarPlan, name_groups, plan
from .drawing import height, number, ordered, theme
from .text import label

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Series = tuple[str, Mapping[str, Estimate]]
"""A name, such as a run's, and its estimate for each group."""

MOST_BARS = 3
"""Series up to which groups have bars; more are dots with their intervals."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one series is drawn: its name, estimates, fill and hatch or marker, and the colour of its outline."""

    name: str
    estimates: Mapping[str, Estimate]
    look: style.Look
    outline: str


def accuracy_figure(
    series: Sequence[Series],
    title: str = "Accuracy",
    chance: float | None = None,
    lines: Mapping[str, float] | None = None,
    baselines: Sequence[Series] = (),
    mark: str | Mapping[tuple[str, str], str] = "",
) -> Figure:
    """Draw grouped bars, or dots where there are more than three series, with the estimates' intervals and n beneath.

    A value stands at its bar's base, or right of its dot, where there is room: never at the end of an interval, where
    it could be read as that. A group without images (NaN) or absent from a series has nothing. Baselines (people,
    published results) stand right of the runs, grey and outlined. An estimate without an interval has no whisker.

    Args:
        series: one colour each; groups stand in the order in which they first appear, after those of the user's order.
        title: what the figure says at its head.
        chance: what guessing would reach, in [0, 1], as a dashed line.
        lines: what others reach over everything, in [0, 1] by name, each as a dotted line.
        baselines: what the series are compared with. The n beneath the groups do not count them; groups that they alone
            have stand last.
        mark: what stands after every value, such as `*`; or after the value of a series and a group.
    """
    every = (*series, *baselines)
    groups = ordered(dict.fromkeys(group for _, estimates in every for group in estimates))
    sizes = [_sizes(series, group) for group in groups]
    shown = [label(name, 26) for name, _ in every] if len(every) > 1 else []
    levels = {f"{label(name, 26)}\nover all {number(value)}": value for name, value in (lines or {}).items()}
    levels |= {f"chance {number(chance)}": chance} if chance is not None else {}
    if levels:
        shown = [*(shown or [label(name, 26) for name, _ in every if lines]), *levels]
    dots = len(every) > MOST_BARS
    natural = plan(groups, len(every), None, sizes, dots)
    frame = style.plan_frame(natural.width, natural.height, shown)
    planned = plan(groups, len(every), frame.axes, sizes, dots)
    figure = style.new_figure(frame.width, height(planned.height + 1.2 + frame.below))
    axes = figure.add_subplot()
    handles = _draw(axes, _kinds(series, baselines), groups, planned, mark)
    drawn = [_level(axes, value, place - len(lines or {})) for place, value in enumerate(levels.values())]
    if levels:
        handles = [*handles, *drawn] if len(shown) > len(drawn) else drawn
    style.clean(axes)
    name_groups(axes, planned)
    axes.set_ylabel("accuracy")
    accuracy_axis(axes)
    style.heading(axes, title, planned.width)
    style.draw_legend(figure, handles, shown, planned.height, "", frame)
    return figure


def accuracy_axis(axes: Axes) -> None:
    """Let an axis of accuracies run from 0 to 1, or to 100 %."""
    axes.set_ylim(0, 1.04)
    places = np.linspace(0, 1, 6)
    axes.set_yticks(places, [style.share(place, 1) for place in places])


def _level(axes: Axes, value: float, place: int) -> Artist:
    """Draw a level: chance is number 0, what others reach over everything has the numbers below."""
    colour = style.colour_of(style.PALETTE[place % len(style.PALETTE)]) if place < 0 else theme().ink
    dashes = (1.5, 1.5) if place < 0 else (5.0, 3.0)
    return axes.axhline(value, color=colour, linestyle=(0, dashes), linewidth=1.1, zorder=2.5)


def _kinds(series: Sequence[Series], baselines: Sequence[Series]) -> list[_Kind]:
    dots = len(series) + len(baselines) > MOST_BARS
    runs = zip(series, style.looks(len(series)), strict=True)
    others = zip(baselines, style.neutral_looks(len(baselines)), strict=True)
    kinds = [
        *(_Kind(*one, look, theme().paper) for one, look in runs),
        *(_Kind(*one, look, theme().muted) for one, look in others),
    ]
    if not dots:
        return kinds
    markers = [style.MARKERS[place % len(style.MARKERS)] for place in range(len(kinds))]
    looks = [style.Look(kind.look.colour, one, "") for kind, one in zip(kinds, markers, strict=True)]
    return [_Kind(kind.name, kind.estimates, one, kind.outline) for kind, one in zip(kinds, looks, strict=True)]


def _draw(
    axes: Axes,
    kinds: Sequence[_Kind],
    groups: Sequence[str],
    planned: BarPlan,
    mark: str | Mapping[tuple[str, str], str],
) -> list[Artist]:
    """Draw all series and return one artist of each for the legend."""
    width = FILLED / max(len(kinds), 1)
    handles: list[Artist] = []
    for index, kind in enumerate(kinds):
        shift = (index - (len(kinds) - 1) / 2) * width
        drawn = [
            (place + shift, group, kind.estimates[group])
            for place, group in enumerate(groups)
            if group in kind.estimates and not isnan(kind.estimates[group].value)
        ]
        bounded = [(place, e) for place, _, e in drawn]
        if len(kinds) > MOST_BARS:
            handles.append(_dots(axes, bounded, kind))
        else:
            handles.append(_bars(axes, bounded, width * 0.92, kind, planned.slot * width > 0.09))
        for place, group, estimate in drawn:
            after = mark if isinstance(mark, str) else mark.get((kind.name, group), "")
            text = number(estimate.value)
            # A verdict stands above the value, where it needs no room across.
            text = f"{after.strip()}\n{text}" if after[:1] == " " and planned.values == "upright" else text + after
            _write(axes, place, estimate.value, text, planned.values, len(kinds) > MOST_BARS)
    return handles


def _write(axes: Axes, place: float, value: float, text: str, how: str, right: bool) -> None:
    """Write a value at its bar's base, or to the right of its dot, as `BarPlan.values` says."""
    if how == "none":
        return
    turned = how == "turned"
    offset = (5.5 if turned else 4, 0) if right else (0, 3)
    # Neither over the names below nor over the title above.
    beside = "bottom" if value < 0.09 else "top" if value > 0.94 else "center"
    axes.annotate(
        text,
        (place, value if right else 0),
        xytext=offset,
        textcoords="offset points",
        ha="left" if right else "center",
        va=beside if right else "bottom",
        rotation=90 if turned else 0,
        fontsize=theme().small,
        color=theme().ink,
        linespacing=1.05,
        zorder=4,
        bbox=None if right else {"boxstyle": "square,pad=0.12", "facecolor": theme().paper, "edgecolor": "none"},
    )


def _bars(axes: Axes, drawn: Sequence[tuple[float, Estimate]], width: float, kind: _Kind, roomy: bool) -> Artist:
    """Draw bars with their intervals; where there is no room for outlines, caps and halos, without."""
    from matplotlib.patches import Patch

    look: dict[str, Any] = {"hatch": kind.look.hatch, "edgecolor": kind.outline}
    values = [estimate.value for _, estimate in drawn]
    thin: dict[str, Any] = {} if roomy else {"linewidth": 0}
    axes.bar([place for place, _ in drawn], values, width, color=kind.look.colour, **look, **thin)
    if roomy:
        _whiskers(axes, drawn, theme().ink, halo=True)
    else:
        bounds = np.array([(e.low, e.high) for _, e in drawn]).reshape(-1, 2)
        axes.vlines([place for place, _ in drawn], *bounds.T, color=theme().muted, linewidth=0.6, zorder=2.2)
    return Patch(facecolor=kind.look.colour, **look)


def _dots(axes: Axes, drawn: Sequence[tuple[float, Estimate]], kind: _Kind) -> Artist:
    from matplotlib.lines import Line2D

    colour = kind.look.colour if kind.outline == theme().paper else theme().muted
    edge: dict[str, Any] = {"color": kind.look.colour, "marker": kind.look.marker, "markersize": 5.5}
    edge["markeredgecolor"] = colour
    _whiskers(axes, drawn, colour, halo=False)
    axes.plot([place for place, _ in drawn], [e.value for _, e in drawn], linestyle="", zorder=3, **edge)
    return Line2D([], [], linestyle="", **edge)


def _whiskers(axes: Axes, drawn: Sequence[tuple[float, Estimate]], colour: str, halo: bool) -> None:
    """Draw intervals with their caps, and behind them a halo with which they show on bars of any colour."""
    bounded = [(place, e) for place, e in drawn if not (isnan(e.low) or isnan(e.high))]
    places = [place for place, _ in bounded]
    low, high = np.array([(e.low, e.high) for _, e in bounded]).reshape(-1, 2).T
    if halo:
        axes.vlines(places, low, high, color=theme().paper, linewidth=2.6, zorder=2.1)
        for ends in (low, high):
            behind: dict[str, Any] = {"markersize": 6.4, "markeredgewidth": 2.6, "zorder": 2.1}
            axes.plot(places, ends, marker="_", linestyle="", color=theme().paper, **behind)
    values = np.array([e.value for _, e in bounded])
    lengths = np.maximum([values - low, high - values], 0)
    whiskers: dict[str, Any] = {"ecolor": colour, "elinewidth": 1.0, "capsize": 2.4, "capthick": 1.0, "zorder": 2.2}
    axes.errorbar(places, values, lengths, fmt="none", **whiskers)


def _sizes(series: Sequence[Series], group: str) -> str:
    """Return the group's n, or its range where the series differ."""
    sizes = sorted({estimates[group].n for _, estimates in series if group in estimates} or {0})
    return f"n={sizes[0]:,}" if len(sizes) == 1 else f"n={sizes[0]:,}..{sizes[-1]:,}"
