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
from .text import LONGEST, ONE_LINE, across, label, safe, wrap

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

_UPRIGHT_RIGHT, _TURNED_RIGHT = 0.43, 0.23
"""Inches that it takes to the right of its dot, with the dot."""

FILLED = 0.78
"""How much of a group's slot its bars fill; the rest keeps the groups apart."""


@dataclass(frozen=True, slots=True)
class BarPlan:
    """How the groups are set: inches that a group takes, inches that all take, and that every `step`-th is named.

    `names` are those of all groups as they are written, at `size` points; `turned` says whether they stand on end,
    `values` whether there is room for values and whether those stand on end: `upright`, `turned` or `none`. `tall` are
    the inches of the axes, `height` those with the names.
    """

    slot: float
    width: float
    tall: float
    height: float
    step: int
    turned: bool
    values: str
    names: tuple[str, ...]
    size: float


def plan(
    groups: Sequence[str], bars: int = 1, width: float | None = None, notes: Sequence[str] = (), right: bool = False
) -> BarPlan:
    """Return how groups of `bars` bars side by side are set.

    `width` is that of the axes in inches, by default as much as they need; `notes` such as `n=40` stand after the
    names. `right` says that values stand to the right of dots.
    """
    upright, on_end = (_UPRIGHT_RIGHT, _TURNED_RIGHT) if right else (_UPRIGHT_VALUE, _TURNED_VALUE)
    upright += 0.1 * now().style.percent
    count = len(groups)
    word = across([label(word, 12, 12) for name in (*groups, *notes) for word in name.split()], theme().tick)
    turned = count > UPRIGHT
    if width is None:
        each = upright if bars <= 3 else max(on_end, 0.13)
        slot = max(0.18, 0.11 * bars + 0.06) if turned else max(0.95, each * bars / FILLED)
        width = min(max(count * slot, 4.2), WIDEST)
    slot = width / max(count, 1)
    size = theme().tick if slot >= word + 0.04 and not turned else theme().small
    turned = turned or slot < word * size / theme().tick + 0.04
    room = slot * FILLED / max(bars, 1) + 1e-9
    values = "upright" if room >= upright else "turned" if room >= on_end else "none"
    if turned:
        most = ONE_LINE if width > 3.6 else 24
        names = [label(name, most, most) for name in groups]
    else:
        names = [wrap(name, slot - 0.04, size, LONGEST) for name in groups]
    if notes:
        gap = "  " if turned else "\n"
        names = [name + gap + note for name, note in zip(names, notes, strict=True)]
    down = across(names, size) if turned else max((n.count("\n") + 1 for n in names), default=1) * size * 1.25 / 72
    tall = max(height(min(3.5, 0.85 * width) + down + 1.2) - down - 1.2, 0.5)
    return BarPlan(slot, width, tall, tall + down, ceil(_NAME / slot - 1e-9), turned, values, tuple(names), size)


def name_groups(axes: Axes, planned: BarPlan) -> None:
    """Write the groups' names under bars that stand at 0, 1, 2, ..."""
    shown = range(0, len(planned.names), planned.step)
    axes.set_xticks(list(shown), [planned.names[index] for index in shown])
    axes.set_xlim(-0.6, len(planned.names) - 0.4)
    axes.tick_params(axis="x", labelrotation=90 if planned.turned else 0, labelsize=planned.size)


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
    planned = plan(list(table))
    names = [label(condition, 26) for condition in conditions]
    frame = style.plan_frame(planned.width, planned.height, names)
    planned = plan(list(table), 1, frame.axes)
    figure = style.new_figure(frame.width, height(planned.height + 1.2 + frame.below))
    axes = figure.add_subplot()
    _stack(axes, numbers.reshape(len(conditions), len(table)), planned)
    style.clean(axes)
    name_groups(axes, planned)
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
