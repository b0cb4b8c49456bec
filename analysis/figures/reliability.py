"""Whether a probability means what it says: accuracy against confidence, and how often each confidence occurs."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from shotdex.store.types import Estimate

from . import legend, style
from .text import label

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from shotdex.analysis.metrics.calibration import Reliability

    Series = tuple[str, Reliability, Estimate]

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
    height = _SIDE + _BELOW
    figure = style.new_figure(_SIDE + legend.plan(shown, height).width + 1.0, height + 0.8)
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [_SIDE, _BELOW]})
    diagonal = upper.plot([0, 1], [0, 1], color=style.MUTED, linestyle=(0, (5, 3)), linewidth=1.2)
    looks = style.looks(len(series))
    handles: list[Artist] = []
    for index, ((_, found, _), look) in enumerate(zip(series, looks, strict=True)):
        handles.append(
            _curve(upper, found, look.colour, style.MARKERS[index % len(style.MARKERS)], 1 if single else 0.6)
        )
        _histogram(lower, found, look, filled=single)
    if single:
        _gaps(upper, series[0][1])
        handles.append(Patch(facecolor=style.WRONG, alpha=0.25))
    _axes(upper, lower)
    style.heading(upper, title, _SIDE)
    legend.beside(figure, [*handles, *diagonal], shown, height)
    return figure


def _describe(error: Estimate) -> str:
    if isnan(error.value):
        return f"ECE undefined, n={error.n:,}"
    bounds = "" if isnan(error.low) or isnan(error.high) else f" [{error.low:.3f}, {error.high:.3f}]"
    return f"ECE {error.value:.3f}{bounds}\nn={error.n:,}"


def _curve(axes: Axes, found: Reliability, colour: str, marker: str, strength: float) -> Artist:
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
    axes.bar(left, gaps[filled], widths[filled], bottom, align="edge", color=style.WRONG, alpha=0.25, edgecolor="white")


def _histogram(axes: Axes, found: Reliability, look: style.Look, filled: bool) -> None:
    shares = found.counts / max(int(found.counts.sum()), 1)
    if filled:
        axes.bar(
            found.edges[:-1], shares, np.diff(found.edges), align="edge",
            color=look.colour, hatch=look.hatch, edgecolor="white",
        )  # fmt: skip
    else:
        axes.stairs(shares, found.edges, color=look.colour, linewidth=1.6)


def _axes(upper: Axes, lower: Axes) -> None:
    for axes in (upper, lower):
        style.clean(axes, grid="both")
    upper.set_xlim(-0.02, 1.02)
    upper.set_ylim(-0.02, 1.02)
    upper.set_yticks(np.linspace(0, 1, 6))
    upper.set_ylabel("accuracy in the bin")
    lower.set_xticks(np.linspace(0, 1, 6))
    lower.set_ylim(0, lower.get_ylim()[1] if lower.has_data() else 1)
    lower.set_ylabel("share of\npictures")
    lower.set_xlabel("confidence: the probability of the predicted class")
