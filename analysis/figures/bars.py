"""Bars: how they and their names are set, and the number of images per category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import style
from .drawing import height, now, theme
from .text import ONE_LINE, label, safe

if TYPE_CHECKING:
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


def plan(groups: int, bars: int = 1, width: float | None = None, longest: int = 8) -> BarPlan:
    """Return how `groups` groups of `bars` bars side by side are set.

    `width` is that of the axes in inches, by default as much as they need; `longest` is the longest word of a name.
    """
    wide = _UPRIGHT_VALUE + 0.1 * now().style.percent
    turned = groups > UPRIGHT
    if width is None:
        slot = max(0.18, 0.11 * bars + 0.06) if turned else max(0.95, (wide if bars <= 3 else 0.13) * bars / FILLED)
        width = min(max(groups * slot, 4.2), WIDEST)
    slot = width / max(groups, 1)
    turned = turned or slot * 72 / theme().tick / 0.66 < min(longest, 12)
    room = slot * FILLED / max(bars, 1) + 1e-9
    values = "upright" if room >= wide else "turned" if room >= _TURNED_VALUE else "none"
    return BarPlan(slot, width, height(6.2 if turned else 4.7) - 1.2, ceil(_NAME / slot - 1e-9), turned, values)


def name_groups(axes: Axes, groups: Sequence[str], planned: BarPlan, notes: Sequence[str] = ()) -> None:
    """Write the groups' names, with a note such as `n=40` after each, under bars that stand at 0, 1, 2, ..."""
    shown = range(0, len(groups), planned.step)
    if planned.turned:
        names = [label(groups[index], ONE_LINE, ONE_LINE) for index in shown]
    else:
        names = [label(groups[index], max(4, int(planned.slot * 72 / theme().tick / 0.64))) for index in shown]
    if notes:
        gap = "  " if planned.turned else "\n"
        names = [name + gap + notes[index] for name, index in zip(names, shown, strict=True)]
    axes.set_xticks(list(shown), names)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    if planned.turned:
        axes.tick_params(axis="x", labelrotation=90, labelsize=theme().small)


def on_top(axes: Axes, place: float, top: float, text: str, values: str) -> None:
    """Write a bar's value just above it, as `BarPlan.values` says."""
    if values == "none":
        return
    axes.annotate(
        text,
        (place, top),
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
    planned = plan(len(table), longest=style.longest_word(table))
    names = [label(condition, 26) for condition in conditions]
    frame = style.plan_frame(planned.width, planned.height, names)
    planned = plan(len(table), 1, frame.axes, style.longest_word(table))
    figure = style.new_figure(frame.width, planned.height + 1.2 + frame.below)
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
    style.draw_legend(figure, patches[::-1], names[::-1], planned.height, safe(stacked_by), frame)
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
