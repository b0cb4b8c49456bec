"""Bars: images per category, and accuracy per group, one bar for each run and each baseline, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isnan
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from shotdex.store.types import Estimate

from . import style
from .drawing import theme
from .text import ONE_LINE, label, safe

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


UPRIGHT = 12
"""Up to this many groups have their names written upright, wrapped; beyond, the names are turned."""

_NAME = 0.17  # inches across that a name on end takes

WIDEST = 24.0
"""No axes are wider than this many inches; with more groups than fit, only every few are named."""

_UPRIGHT_VALUE, _TURNED_VALUE = 0.33, 0.13
"""Inches across that a value such as 0.925 takes above its bar, upright and turned."""

FILLED = 0.78
"""How much of a group's slot its bars fill; the rest keeps the groups apart."""


@dataclass(frozen=True, slots=True)
class BarPlan:
    """How the groups are set: inches that a group takes, inches that all take, and that every `step`-th is named.

    `turned` says whether names stand on end, `values` whether there is room for values above bars and whether those
    stand on end: `upright`, `turned` or `none`.
    """

    slot: float
    width: float
    height: float
    step: int
    turned: bool
    values: str


def plan(groups: int, bars: int = 1) -> BarPlan:
    """Return how `groups` groups of `bars` bars side by side are set."""
    turned = groups > UPRIGHT
    if turned:
        slot = max(0.18, 0.11 * bars + 0.06)
    else:
        slot = max(0.95, (_UPRIGHT_VALUE if bars <= 3 else _TURNED_VALUE) * bars / FILLED)
    width = min(max(groups * slot, 4.2), WIDEST)
    slot = width / max(groups, 1)
    room = slot * FILLED / max(bars, 1) + 1e-9
    values = "upright" if room >= _UPRIGHT_VALUE else "turned" if room >= _TURNED_VALUE else "none"
    return BarPlan(slot, width, 6.2 if turned else 4.7, ceil(_NAME / slot - 1e-9), turned, values)


def name_groups(axes: Axes, groups: Sequence[str], planned: BarPlan, notes: Sequence[str] = ()) -> None:
    """Write the groups' names, with a note such as `n=40` after each, under bars that stand at 0, 1, 2, ..."""
    shown = range(0, len(groups), planned.step)
    if planned.turned:
        names = [label(groups[index], ONE_LINE, ONE_LINE) for index in shown]
    else:
        names = [label(groups[index], max(8, int(planned.slot * 72 / theme().tick / 0.62))) for index in shown]
    if notes:
        gap = "  " if planned.turned else "\n"
        names = [name + gap + notes[index] for name, index in zip(names, shown, strict=True)]
    axes.set_xticks(list(shown), names)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    if planned.turned:
        axes.tick_params(axis="x", labelrotation=90, labelsize=theme().small)


def on_top(axes: Axes, place: float, height: float, text: str, values: str) -> None:
    """Write a bar's value just above it, as `BarPlan.values` says."""
    if values == "none":
        return
    axes.annotate(
        text,
        (place, height),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        rotation=90 if values == "turned" else 0,
        fontsize=theme().small,
        color=theme().ink,
    )


def counts_figure(
    table: Mapping[str, Mapping[str, int]], title: str = "Images per category", stacked_by: str = "condition"
) -> Figure:
    """Draw a bar for each category, stacked by condition, with the total on top.

    Args:
        table: category -> condition -> number of images, at least 0; absent counts as 0. Categories stand in this
            order, conditions in the order in which they first appear.
        title: what the figure says at its head.
        stacked_by: the legend's title.
    """
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    conditions = list(dict.fromkeys(condition for row in table.values() for condition in row))
    numbers = np.array([[row.get(condition, 0) for row in table.values()] for condition in conditions], dtype=np.int64)
    planned = plan(len(table))
    names = [label(condition, 26) for condition in conditions]
    figure = style.new_figure(planned.width + style.plan_legend(names, planned.height).width + 0.9, planned.height)
    axes = figure.add_subplot()
    _stack(axes, numbers.reshape(len(conditions), len(table)), planned)
    style.clean(axes)
    name_groups(axes, list(table), planned)
    axes.set_ylabel("images")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    style.heading(axes, title, planned.width)
    patches = [Patch(facecolor=k.colour, hatch=k.hatch, edgecolor=theme().paper) for k in style.looks(len(names))]
    # The legend reads in the order of the stack, top first.
    style.draw_legend(figure, patches[::-1], names[::-1], planned.height, safe(stacked_by))
    return figure


def _stack(axes: Axes, numbers: npt.NDArray[np.int64], planned: BarPlan) -> None:
    below = np.zeros(numbers.shape[1], dtype=np.int64)
    places = np.arange(len(below))
    for row, look in zip(numbers, style.looks(len(numbers)), strict=True):
        drawing: dict[str, Any] = {
            "color": look.colour,
            "hatch": look.hatch,
            "edgecolor": theme().paper,
            "linewidth": 0.6,
        }
        axes.bar(places, row, 0.72, bottom=below, **drawing)
        below = below + row
    for place, total in enumerate(below.tolist()):
        on_top(axes, place, total, f"{total:,}", planned.values)
    axes.set_ylim(0, max(below.max(initial=0), 1) * (1.16 if planned.values == "turned" else 1.08))


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
    lines: Mapping[str, float] | None = None,
    baselines: Sequence[Series] = (),
    mark: str = "",
) -> Figure:
    """Draw grouped bars with the estimates' intervals as whiskers, values above and n beneath.

    Values are written where the bars leave room. A group without images (NaN) or absent from a series has no bar.
    Baselines (people, published results) stand right of the runs, grey and outlined. An estimate without an interval
    (NaN) has no whisker.

    Args:
        series: the bars of one colour each; groups stand in the order in which they first appear.
        title: what the figure says at its head.
        chance: what guessing would reach, in [0, 1], as a dashed line.
        lines: what others reach over everything, in [0, 1] by name, each as a dotted line.
        baselines: what the series are compared with. The n beneath the groups do not count them; groups that they alone
            have stand last.
        mark: what stands after every value, such as `*`.
    """
    every = (*series, *baselines)
    groups = list(dict.fromkeys(group for _, estimates in every for group in estimates))
    planned = plan(len(groups), len(every))
    shown = [label(name, 26) for name, _ in every] if len(every) > 1 else []
    levels = {f"{label(name, 26)}\nover all {value:.3g}": value for name, value in (lines or {}).items()}
    levels |= {f"chance {chance:.3f}": chance} if chance is not None else {}
    if levels:
        shown = [*(shown or [label(name, 26) for name, _ in every if lines]), *levels]
    figure = style.new_figure(planned.width + style.plan_legend(shown, planned.height).width + 0.9, planned.height)
    axes = figure.add_subplot()
    handles = _draw(axes, _kinds(series, baselines), groups, planned, mark)
    drawn = [_level(axes, value, number - len(lines or {})) for number, value in enumerate(levels.values())]
    if levels:
        handles = [*handles, *drawn] if len(shown) > len(drawn) else drawn
    style.clean(axes)
    name_groups(axes, groups, planned, [_sizes(series, group) for group in groups])
    axes.set_ylabel("accuracy")
    axes.set_yticks(np.linspace(0, 1, 6))
    style.heading(axes, title, planned.width)
    style.draw_legend(figure, handles, shown, planned.height)
    return figure


def _level(axes: Axes, value: float, number: int) -> Artist:
    """Draw a level: chance is number 0, what others reach over everything has the numbers below."""
    colour = style.PALETTE[number % len(style.PALETTE)] if number < 0 else theme().ink
    dashes = (1.5, 1.5) if number < 0 else (5.0, 3.0)
    return axes.axhline(value, color=colour, linestyle=(0, dashes), linewidth=1.1, zorder=2.5)


def _kinds(series: Sequence[Series], baselines: Sequence[Series]) -> list[_Kind]:
    runs = zip(series, style.looks(len(series)), strict=True)
    others = zip(baselines, style.neutral_looks(len(baselines)), strict=True)
    return [
        *(_Kind(estimates, look, theme().paper) for (_, estimates), look in runs),
        *(_Kind(estimates, look, theme().muted) for (_, estimates), look in others),
    ]


def _draw(axes: Axes, kinds: Sequence[_Kind], groups: Sequence[str], planned: BarPlan, mark: str) -> list[Artist]:
    """Draw all bars and return one of each series for the legend."""
    from matplotlib.patches import Patch

    width = FILLED / max(len(kinds), 1)
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
            on_top(axes, place, top, _value(estimate) + mark, planned.values)
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
    whiskers: dict[str, Any] = {"ecolor": theme().ink, "elinewidth": thick, "capsize": cap, "capthick": thick}
    halo = withStroke(linewidth=around, foreground=theme().paper)  # so that they show on black bars too
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
