"""How far prompts alone get, and how much training adds: one line for each method, and accuracy against shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isnan, nan
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from shotdex.store.types import Estimate

from . import style
from .drawing import height, number, percent, theme
from .text import ONE_LINE, across, label, shorten

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Kind = Literal["zero-shot", "few-shot", "trained", "outside"]

_LONGEST_LINE = 28  # characters of the name next to a dashed line

_Key = tuple[Kind, str]  # a kind, and the name of a few-shot method

_LINE, _DOTS, _CURVES = 0.3, 4.2, 4.2  # inches: down for a row; across for the dots and for the curves
_COLOURS: dict[Kind, str] = {"zero-shot": style.OKABE_ITO[0], "trained": style.OKABE_ITO[2], "outside": "#7a7a7a"}
_MEANINGS: dict[Kind, str] = {"zero-shot": "zero-shot", "trained": "trained", "outside": "result from elsewhere"}
_MARKERS: dict[Kind, str] = {"zero-shot": "o", "trained": "^", "outside": "D"}
_FEW_MARKERS = ("s", "v", "P", "X", "*")
# The colours that neither zero-shot nor trained methods have.
_FEW_SHOT = (*(style.OKABE_ITO[index] for index in (3, 1, 5, 4, 7)), *style.PALETTE[8:])


@dataclass(frozen=True, slots=True)
class ComparisonLine:
    """One method's accuracy. Few-shot rows of the same name, one for each number of `shots` a class, form a curve.

    `outside` is a result from elsewhere, drawn without an interval.
    """

    name: str
    estimate: Estimate
    kind: Kind
    shots: int | None = None


def comparison_figure(rows: Sequence[ComparisonLine], title: str = "Zero-shot and trained methods") -> Figure:
    """Draw a dot with its interval for each row, and, where there are few-shot rows, accuracy against shots.

    Next to each dot stand the value, its interval and n. The curves have their intervals as bands, and the zero-shot,
    trained and outside results as dashed lines. An undefined (NaN) estimate has no dot. The accuracy axes start where
    the results do, not at 0.

    Args:
        rows: in the order from the top.
        title: what the figure says at its head.

    Raises:
        ValueError: a few-shot row without its number of shots, at least 1.
    """
    if any(row.kind == "few-shot" and (row.shots is None or row.shots < 1) for row in rows):
        raise ValueError("a few-shot row needs its number of shots, at least 1")
    looks = _looks(rows)
    curves = any(row.kind == "few-shot" for row in rows)
    keys = [label(f"few-shot: {name}" if name else _MEANINGS[kind], 26) for kind, name in looks]
    names = [_name(row) for row in rows]
    compared = min(style.longest([row.name for row in rows if row.kind != "few-shot"]), _LONGEST_LINE)
    beside = _CURVES + 0.8 + compared * 0.6 * theme().small / 72 if curves else 0.0
    text = across(names, theme().tick) + across([_value(row.estimate) for row in rows], theme().small) + 0.2
    natural = text + _DOTS + beside
    tall = max(len(rows) * _LINE, 3.6 if curves else 1.2)
    frame = style.plan_frame(natural, tall, keys, 0.5)
    if narrow := frame.axes < 0.9 * natural:  # the curves go below, and the legend too
        frame = style.plan_frame(natural, tall, keys, 0.5, beside=False)
        names = [_name(row, 18 if frame.axes < 5 else 26) for row in rows]
    stacked = narrow and curves
    lines = max((name.count("\n") + 1 for name in names), default=1)
    listed = max(len(rows) * (lines * theme().tick * 1.25 / 72 + 0.06), 1.0)
    down = tall if not narrow else listed + (2.6 if curves else 0.0)
    figure = style.new_figure(frame.width, height(down + 1.1 + 0.5 * stacked + frame.below))
    axes, limits = _axes(figure, curves, listed if stacked else None), _limits(rows)
    _dots(axes[0], rows, looks, limits)
    axes[0].set_yticks(range(len(rows)), names)
    _write_values(axes[0], rows, [_value(row.estimate, narrow and frame.axes < 5) for row in rows])
    if curves:
        _curves(axes[1], rows, looks, limits)
        if not narrow:
            _lines(axes[1], rows, looks, tall)
    if narrow:
        style.figure_heading(figure, title, frame.width)
    else:
        style.heading(axes[0], title, _DOTS + across([_value(row.estimate) for row in rows], theme().small))
    style.draw_legend(figure, [_swatch(look) for look in looks.values()], keys, tall, "", frame)
    return figure


def _axes(figure: Figure, curves: bool, listed: float | None) -> Sequence[Axes]:
    """Return the axes of the dots and, if there are `curves`, of these: below dots `listed` inches high, else right."""
    if not curves:
        return [figure.add_subplot()]
    if listed is None:
        return list(figure.subplots(1, 2, width_ratios=[_DOTS, _CURVES]))
    return list(figure.subplots(2, 1, height_ratios=[listed, 2.6]))


def _looks(rows: Sequence[ComparisonLine]) -> dict[_Key, style.Look]:
    """Return how each kind that occurs is drawn, and each few-shot method, in the order of the rows."""
    shown: dict[_Key, style.Look] = {}
    few = 0
    for key in dict.fromkeys(_key(row) for row in rows):
        if key[0] == "few-shot":
            colour = style.colour_of(_FEW_SHOT[few % len(_FEW_SHOT)])
            shown[key] = style.Look(colour, _FEW_MARKERS[few % len(_FEW_MARKERS)], "")
            few += 1
        else:
            shown[key] = style.Look(style.colour_of(_COLOURS[key[0]]), _MARKERS[key[0]], "")
    return shown


def _key(row: ComparisonLine) -> _Key:
    return row.kind, row.name if row.kind == "few-shot" else ""


def _name(row: ComparisonLine, line: int = ONE_LINE) -> str:
    shots = f", {row.shots:,} shot{'s' * (row.shots != 1)}" if row.kind == "few-shot" else ""
    return label(shorten(row.name, min(ONE_LINE, 2 * line - 8) - len(shots)) + shots, line)  # two lines at most


def _value(estimate: Estimate, alone: bool = False) -> str:
    """Return the value with its interval and n, or `alone`."""
    known = f"  n={estimate.n:,}" if (estimate.n or isnan(estimate.value)) and not alone else ""
    if isnan(estimate.value):
        return f"undefined{known}"
    bounds = f" [{number(estimate.low)}, {number(estimate.high)}]"
    return number(estimate.value) + bounds * (not (alone or isnan(estimate.low) or isnan(estimate.high))) + known


def _limits(rows: Sequence[ComparisonLine]) -> tuple[float, float]:
    """Return where the accuracy axes begin and end: a twentieth or more beyond all that is drawn."""
    drawn = [x for row in rows for x in (row.estimate.value, row.estimate.low, row.estimate.high) if not isnan(x)]
    if not drawn:
        return 0.0, 1.0
    low, high = min(drawn), max(drawn)
    return max(floor(low * 20 - 0.5) / 20, -0.02), min(ceil(high * 20 + 0.5) / 20, 1.02)


def _dots(
    axes: Axes, rows: Sequence[ComparisonLine], looks: Mapping[_Key, style.Look], limits: tuple[float, float]
) -> None:
    style.clean(axes, grid="both")
    for place, row in enumerate(rows):
        look, e = looks[_key(row)], row.estimate
        if row.kind != "outside" and not (isnan(e.low) or isnan(e.high)):
            axes.plot([e.low, e.high], [place, place], color=look.colour, linewidth=2.0, solid_capstyle="butt")
        axes.plot([e.value], [place], color=look.colour, marker=look.marker, markersize=6, linestyle="")
    axes.set_xlim(*limits)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("accuracy")
    _round(axes.xaxis)


def _round(axis: Axis) -> None:
    """Write an axis of accuracies as the user wants it."""
    if percent():
        axis.set_major_formatter(lambda value, _: style.share(round(value, 4)))


def _write_values(axes: Axes, rows: Sequence[ComparisonLine], values: Sequence[str]) -> None:
    at = axes.get_yaxis_transform()
    how: dict[str, Any] = {"transform": at, "va": "center", "fontsize": theme().small, "color": theme().ink}
    for place, text in enumerate(values):
        axes.text(1.02, place, text, **how)


def _curves(
    axes: Axes, rows: Sequence[ComparisonLine], looks: Mapping[_Key, style.Look], limits: tuple[float, float]
) -> None:
    style.clean(axes, grid="both")
    for key, look in looks.items():
        few = [row for row in rows if row.kind == "few-shot" and _key(row) == key]
        if few:
            _curve(axes, sorted(few, key=_shots_of), look)
    _shots_axis(axes, sorted({_shots_of(row) for row in rows if row.kind == "few-shot"}))
    axes.set_ylim(*limits)
    axes.set_xlabel("shots: training images per class")
    axes.set_ylabel("accuracy")
    _round(axes.yaxis)


def _lines(axes: Axes, rows: Sequence[ComparisonLine], looks: Mapping[_Key, style.Look], height: float) -> None:
    """Draw what the curves are compared with as dashed lines, named to the right of them where there is room."""
    compared = [row for row in rows if row.kind != "few-shot" and not isnan(row.estimate.value)]
    low, high = axes.get_ylim()
    values = [row.estimate.value for row in compared]
    places = spread(values, theme().small * 1.5 / 72 / height * (high - low), low, high)
    for row, value, place in zip(compared, values, places, strict=True):
        colour = looks[_key(row)].colour
        axes.axhline(value, color=colour, linestyle=(0, (5, 3)), linewidth=1.2, alpha=0.8)
        if not isnan(place):
            name, at = label(row.name, _LONGEST_LINE, _LONGEST_LINE), axes.get_yaxis_transform()
            axes.text(1.02, place, name, transform=at, va="center", fontsize=theme().small, color=colour)


def spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move values apart until neighbours are `gap` apart, inside `low` to `high`; all NaN where there is no room.

    They keep their order, ties that of the sequence.
    """
    if len(values) * gap > high - low:
        return [nan] * len(values)
    order = sorted(range(len(values)), key=lambda index: values[index])
    moved = list(values)
    least = low + gap / 2
    for index in order:
        moved[index] = max(moved[index], least)
        least = moved[index] + gap
    most = high - gap / 2
    for index in reversed(order):
        moved[index] = min(moved[index], most)
        most = moved[index] - gap
    return moved


def _shots_of(row: ComparisonLine) -> int:
    return row.shots or 0


def _curve(axes: Axes, rows: Sequence[ComparisonLine], look: style.Look) -> None:
    shots = [_shots_of(row) for row in rows]
    low, high = np.array([(row.estimate.low, row.estimate.high) for row in rows]).T
    thin = 0.7 if len(rows) > 1 else 2.0  # the band of a single point is only its edge
    axes.fill_between(shots, low, high, facecolor=(look.colour, 0.18), edgecolor=(look.colour, 0.5), linewidth=thin)
    values = [row.estimate.value for row in rows]
    axes.plot(shots, values, color=look.colour, marker=look.marker, markersize=5, linewidth=1.8)


def _shots_axis(axes: Axes, shots: Sequence[int]) -> None:
    """Set the axis of shots, on which each doubling takes the same room; names that would lie close are left out."""
    from matplotlib.ticker import FixedLocator, NullLocator

    ticks: list[int] = []
    for shot in shots:
        if not ticks or shot >= ticks[-1] * max((shots[-1] / shots[0]) ** (1 / 9), 1.2):
            ticks.append(shot)
    axes.set_xscale("log", base=2)
    axes.set_xlim(shots[0] / 1.25, shots[-1] * 1.25)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _swatch(look: style.Look) -> Artist:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.colour, marker=look.marker, markersize=6, linestyle="")
