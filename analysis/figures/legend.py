"""Legends that stand beside the axes, never on the data, however many entries they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from .style import INK, SMALL, TICK, longest

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class LegendPlan:
    """How a legend is set: `columns`, the text's `size` in points, and the `width` in inches that it takes."""

    columns: int
    size: float
    width: float


def plan(labels: Sequence[str], height: float) -> LegendPlan:
    """Return how the labels, safe text already, fit beside axes that are `height` inches high."""
    if not labels:
        return LegendPlan(1, TICK, 0.0)
    size = TICK if len(labels) <= 20 else SMALL
    # Measured: a row takes 1.55 times its text's size, a character 0.62 of it, a handle with its gaps 5.
    lines = sum(text.count("\n") + 1 for text in labels)
    columns = ceil(lines * size * 1.55 / 72 / height)
    return LegendPlan(columns, size, columns * (longest(labels) * 0.62 + 5) * size / 72)


def beside(
    figure: Figure,
    handles: Sequence[Artist],
    labels: Sequence[str],
    height: float,
    title: str = "",
    at: tuple[float, float] | None = None,
) -> None:
    """Put a legend to the right of everything else; nothing is drawn without labels.

    `at` is the place of its upper left corner, as shares of the figure, where the figure arranges nothing by itself.
    """
    if not labels:
        return
    planned = plan(labels, height)
    where: dict[str, Any] = (
        {"loc": "outside right upper"} if at is None else {"loc": "upper left", "bbox_to_anchor": at}
    )
    legend = figure.legend(
        list(handles),
        list(labels),
        ncols=planned.columns,
        fontsize=planned.size,
        title=title or None,
        title_fontsize=planned.size,
        frameon=False,
        labelcolor=INK,
        alignment="left",
        handlelength=1.4,
        columnspacing=1.2,
        borderaxespad=0.0 if at else None,
        **where,
    )
    legend.get_title().set_color(INK)
