"""How far prompts alone get, and how much training adds: one line for each method, and accuracy against shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isnan, nan
from typing import TYPE_CHECKING, Literal

import numpy as np

from shotdex.store.types import Estimate

from . import style
from .drawing import theme
from .text import ONE_LINE, label

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
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
    names, values = [_name(row) for row in rows], [_value(row.estimate) for row in rows]
    compared = min(style.longest([row.name for row in rows if row.kind != "few-shot"]), _LONGEST_LINE)
    height = max(len(rows) * _LINE, 3.6 if curves else 1.2)
    keys = [label(f"few-shot: {name}" if name else _MEANINGS[kind], 26) for kind, name in looks]
    text = (style.longest(names) * theme().tick + style.longest(values) * theme().small) * 0.6 / 72
    width = text + _DOTS + (_CURVES + 0.8 + compared * 0.6 * theme().small / 72 if curves else 0.0)
    figure = style.new_figure(width + style.plan_legend(keys, height).width + 0.8, height + 1.1)
    axes = figure.subplots(1, 2 if curves else 1, squeeze=False, width_ratios=[_DOTS, _CURVES] if curves else None)[0]
    limits = _limits(rows)
    _dots(axes[0], rows, looks, limits)
    if curves:
        _curves(axes[1], rows, looks, limits)
        _lines(axes[1], rows, looks, height)
    style.heading(axes[0], title, _DOTS)
    style.draw_legend(figure, [_swatch(look) for look in looks.values()], keys, height)
    return figure


def _looks(rows: Sequence[ComparisonLine]) -> dict[_Key, style.Look]:
    """Return how each kind that occurs is drawn, and each few-shot method, in the order of the rows."""
    shown: dict[_Key, style.Look] = {}
    few = 0
    for key in dict.fromkeys(_key(row) for row in rows):
        if key[0] == "few-shot":
            shown[key] = style.Look(_FEW_SHOT[few % len(_FEW_SHOT)], _FEW_MARKERS[few % len(_FEW_MARKERS)], "")
            few += 1
        else:
            shown[key] = style.Look(_COLOURS[key[0]], _MARKERS[key[0]], "")
    return shown


def _key(row: ComparisonLine) -> _Key:
    return row.kind, row.name if row.kind == "few-shot" else ""


def _name(row: ComparisonLine) -> str:
    if row.kind != "few-shot":
        return label(row.name, ONE_LINE, ONE_LINE)
    shots = f", {row.shots:,} shot{'s' * (row.shots != 1)}"
    return label(row.name, ONE_LINE, ONE_LINE - len(shots)) + shots


def _value(estimate: Estimate) -> str:
    if isnan(estimate.value):
        return f"undefined  n={estimate.n:,}"
    known = f"  n={estimate.n:,}" if estimate.n else ""
    if isnan(estimate.low) or isnan(estimate.high):
        return f"{estimate.value:.3f}{known}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]{known}"


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
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows])
    axes.set_xlabel("accuracy")
    for place, row in enumerate(rows):
        at = axes.get_yaxis_transform()
        axes.text(
            1.02,
            place,
            _value(row.estimate),
            transform=at,
            va="center",
            fontsize=theme().small,
            color=theme().ink,
        )


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
    for number in shots:
        if not ticks or number >= ticks[-1] * max((shots[-1] / shots[0]) ** (1 / 9), 1.2):
            ticks.append(number)
    axes.set_xscale("log", base=2)
    axes.set_xlim(shots[0] / 1.25, shots[-1] * 1.25)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _swatch(look: style.Look) -> Artist:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.colour, marker=look.marker, markersize=6, linestyle="")
