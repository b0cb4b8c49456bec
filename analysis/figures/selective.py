"""Risk against coverage: how many predictions are wrong when only the surest are kept."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from shotdex.analysis.stats.proportions import wilson
from shotdex.store.types import Estimate

from . import style
from .drawing import height, number, percent, theme
from .text import label

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from shotdex.analysis.metrics.selective import RiskCoverage

WIDTH, HEIGHT = 5.6, 4.6

MOST_POINTS = 400
"""Thresholds that are drawn: more cannot be seen."""


def selective_figure(
    series: Sequence[tuple[str, RiskCoverage, Estimate]], title: str = "Risk against coverage"
) -> Figure:
    """Draw the error rate of the images that are kept against their share, with Wilson intervals as bands.

    The further a curve falls to the left, the better its probabilities say which predictions are wrong. A single series
    also has the error rate of a random order and the curve of the best one.

    Args:
        series: a name, its risk and coverage, and the area under the curve, which the legend says.
        title: what the figure says at its head.
    """
    from matplotlib.ticker import PercentFormatter

    names = [f"{label(name, 26)}\n{_describe(area)}" for name, _, area in series]
    single = len(series) == 1
    shown = [*names, *(["random order", "best order"] if single else [])]
    frame = style.plan_frame(WIDTH, HEIGHT, shown)
    figure = style.new_figure(frame.width, height(min(HEIGHT, 0.75 * frame.axes + 0.9) + frame.below))
    axes = figure.add_subplot()
    handles: list[Artist] = []
    top = 0.0
    for (_, found, _), look in zip(series, style.looks(len(series)), strict=True):
        coverage, risk, low, high = _curve(found)
        face = look.colour, 0.18 if single else 0.08
        axes.fill_between(coverage, low, high, facecolor=face, edgecolor=(look.colour, 0.5), linewidth=0.7)
        handles += axes.plot(coverage, risk, color=look.colour, linewidth=1.8)
        # The interval of a handful of images would set the scale for all others.
        top = max(top, float(risk.max()), float(high[coverage >= 0.1].max(initial=0)))
    if single:
        handles += _bounds(axes, series[0][1])
    style.clean(axes, grid="both")
    top = max(min(1.02, 1.05 * top), 0.02)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02 * top, top)
    if percent():
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(
        "coverage: share of the images kept"
        if frame.axes < 4
        else "coverage: share of the images kept, the surest first"
    )
    axes.set_ylabel("risk: share of them that is wrong")
    style.heading(axes, title, frame.axes)
    style.draw_legend(figure, handles, shown, HEIGHT, "", frame)
    return figure


def _bounds(axes: Axes, found: RiskCoverage) -> list[Artist]:
    """Draw the error rate of a random order, and the curve of the best one."""
    n, wrong = int(found.kept[-1]), int(found.wrong[-1])
    share = np.arange(1, n + 1) / n
    best = np.maximum(share - (1 - wrong / n), 0) / share
    return [
        *axes.plot([0, 1], [wrong / n] * 2, color=theme().muted, linestyle=(0, (5, 3)), linewidth=1.2),
        *axes.plot(share, best, color=theme().muted, linestyle=(0, (1, 2)), linewidth=1.4),
    ]


def _curve(found: RiskCoverage) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return coverage and risk with the bounds of its interval, at no more thresholds than can be seen."""
    count = len(found.kept)
    places = np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))
    kept, wrong = found.kept[places], found.wrong[places]
    shares = [wilson(*pair) for pair in zip(wrong.tolist(), kept.tolist(), strict=True)]
    risk, low, high = np.array([(one.value, one.low, one.high) for one in shares]).T
    return kept / found.kept[-1], risk, low, high


def _describe(area: Estimate) -> str:
    if isnan(area.value):
        return f"AURC undefined, n={area.n:,}"
    return f"AURC {number(area.value)} [{number(area.low)}, {number(area.high)}]\nn={area.n:,}"
