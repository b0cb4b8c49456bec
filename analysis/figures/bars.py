"""The category axis under bars: how wide the figure gets, and how the names beneath stay readable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from .style import INK, SMALL, TICK
from .text import ONE_LINE, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
        names = [label(groups[index], max(8, int(planned.slot * 72 / TICK / 0.62))) for index in shown]
    if notes:
        gap = "  " if planned.turned else "\n"
        names = [name + gap + notes[index] for name, index in zip(names, shown, strict=True)]
    axes.set_xticks(list(shown), names)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    if planned.turned:
        axes.tick_params(axis="x", labelrotation=90, labelsize=SMALL)


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
        fontsize=SMALL,
        color=INK,
    )
