"""Curves: accuracy against k, and accuracy against probability (reliability)."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from shotdex.store.types import Estimate

from . import style
from .accuracy import accuracy_axis
from .drawing import height, number, percent, theme
from .text import label, wrap

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from shotdex.analysis.metrics.calibration import Reliability

    Series = tuple[str, Reliability, Estimate]


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
    frame = style.plan_frame(5.5, HEIGHT, [*names, *(["chance"] if classes is not None else [])])
    figure = style.new_figure(frame.width, height(HEIGHT + frame.below))
    axes = figure.add_subplot()
    _scale(axes, longest)
    handles: list[Artist] = []
    for index, (_, estimates) in enumerate(series):
        marker = style.MARKERS[index % len(style.MARKERS)] if longest <= _MOST_WITH_MARKERS else ""
        handles += _curve(axes, estimates, style.looks(len(series))[index].colour, marker, crowded=len(series) > 2)
    if classes is not None:
        k = np.arange(1, max(longest, 1) + 1)
        handles += axes.plot(k, k / classes, color=theme().muted, linestyle=(0, (5, 3)), linewidth=1.2)
        names.append("chance")
    style.clean(axes, grid="both")
    accuracy_axis(axes)
    axes.set_xlabel("k" if longest <= MOST_LINEAR else "k, logarithmic")
    axes.set_ylabel("true class among the best k")
    style.heading(axes, title, frame.axes)
    style.draw_legend(figure, handles, names, HEIGHT, "", frame)
    return figure


def _sizes(estimates: Sequence[Estimate]) -> str:
    sizes = sorted({estimate.n for estimate in estimates})
    return f"n={sizes[0]:,}" if len(sizes) == 1 else f"n={sizes[0]:,}..{sizes[-1]:,}"


def _curve(axes: Axes, estimates: Sequence[Estimate], colour: str, marker: str, crowded: bool) -> Sequence[Artist]:
    """Draw one curve on its band, which has an edge, so that overlapping bands can be distinguished."""
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


_SIDE, _BELOW = 5.2, 1.5  # inches: the diagram, the histogram beneath it


def reliability_figure(series: Sequence[Series], title: str = "Reliability") -> Figure:
    """Draw each bin's accuracy against its mean confidence, with 95 % Wilson intervals, over the share of images.

    A calibrated model lies on the diagonal; beneath it, it is surer than it is right. Bins without images have no
    point. A single series also has the gap to the diagonal shaded, bin by bin.

    Args:
        series: a name, its bins, and its expected calibration error, which the legend says.
        title: what the figure says at its head.
    """
    from matplotlib.patches import Patch

    names = [label(name, 26) + "\n" + _describe(error) for name, _, error in series]
    single = len(series) == 1
    shown = [*names, *(["gap"] if single else []), "perfectly calibrated"]
    frame = style.plan_frame(_SIDE, _SIDE + _BELOW, shown, 1.0)
    side = min(frame.axes, _SIDE)
    figure = style.new_figure(frame.width, height(side + _BELOW + 0.8 + frame.below))
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [_SIDE, _BELOW]})
    diagonal = upper.plot([0, 1], [0, 1], color=theme().muted, linestyle=(0, (5, 3)), linewidth=1.2)
    looks = style.looks(len(series))
    handles: list[Artist] = []
    for index, ((_, found, _), look) in enumerate(zip(series, looks, strict=True)):
        handles.append(
            _calibration_curve(
                upper, found, look.colour, style.MARKERS[index % len(style.MARKERS)], 1 if single else 0.6
            )
        )
        _histogram(lower, found, look, filled=single)
    if single:
        _gaps(upper, series[0][1])
        handles.append(Patch(facecolor=style.WRONG, alpha=0.25))
    _axes(upper, lower, frame.axes)
    style.heading(upper, title, frame.axes)
    style.draw_legend(figure, [*handles, *diagonal], shown, _SIDE + _BELOW, "", frame)
    return figure


def _describe(error: Estimate) -> str:
    if isnan(error.value):
        return f"ECE undefined, n={error.n:,}"
    bounds = "" if isnan(error.low) or isnan(error.high) else f" [{number(error.low)}, {number(error.high)}]"
    return f"ECE {number(error.value)}{bounds}\nn={error.n:,}"


def _calibration_curve(axes: Axes, found: Reliability, colour: str, marker: str, strength: float) -> Artist:
    """Draw the bins that have images, in a line; their whiskers may be weaker."""
    filled = found.counts > 0
    confidence, accuracy = found.confidence[filled], found.accuracy[filled]
    whiskers = np.maximum([accuracy - found.low[filled], found.high[filled] - accuracy], 0)
    axes.errorbar(
        confidence, accuracy, whiskers, fmt="none", ecolor=colour, elinewidth=1.0, capsize=2.0, alpha=strength
    )
    return axes.plot(confidence, accuracy, color=colour, marker=marker, markersize=4.5, linewidth=1.6)[0]


def _gaps(axes: Axes, found: Reliability) -> None:
    filled = found.counts > 0
    widths, gaps = np.diff(found.edges), found.accuracy - found.confidence
    left, bottom = found.edges[:-1][filled], found.confidence[filled]
    axes.bar(
        left,
        gaps[filled],
        widths[filled],
        bottom,
        align="edge",
        color=style.WRONG,
        alpha=0.25,
        edgecolor=theme().paper,
    )


def _histogram(axes: Axes, found: Reliability, look: style.Look, filled: bool) -> None:
    shares = found.counts / max(int(found.counts.sum()), 1)
    if filled:
        axes.bar(
            found.edges[:-1], shares, np.diff(found.edges), align="edge",
            color=look.colour, hatch=look.hatch, edgecolor=theme().paper,
        )  # fmt: skip
    else:
        axes.stairs(shares, found.edges, color=look.colour, linewidth=1.6)


def _axes(upper: Axes, lower: Axes, width: float) -> None:
    from matplotlib.ticker import PercentFormatter

    for axes in (upper, lower):
        style.clean(axes, grid="both")
    upper.set_xlim(-0.02, 1.02)
    upper.set_ylim(-0.02, 1.02)
    fifths = np.linspace(0, 1, 6)
    upper.set_yticks(fifths, [style.share(place, 1) for place in fifths])
    upper.set_ylabel("accuracy in the bin")
    lower.set_xticks(fifths, [style.share(place, 1) for place in fifths])
    lower.set_ylim(0, lower.get_ylim()[1] if lower.has_data() else 1)
    lower.set_ylabel("share of\nimages")
    if percent():
        lower.yaxis.set_major_formatter(PercentFormatter(1))
    lower.set_xlabel(wrap("confidence: the probability of the predicted class", width, theme().label))
