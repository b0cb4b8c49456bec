"""The largest confusions as a list: what a reader wants from a matrix too large to write in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from shotdex.analysis.stats.proportions import wilson
from shotdex.store.types import Estimate

from . import style
from .text import safe, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST_NAME = 22
_LARGE = 8.0  # inches
_HEADING = "Largest confusions: rate [95 % interval]"


@dataclass(frozen=True, slots=True)
class Confusion:
    """Images of the class numbered `true` taken for the class numbered `predicted`: `count`, and their `rate`."""

    true: int
    predicted: int
    count: int
    rate: Estimate


def largest_confusions(matrix: npt.NDArray[np.integer[Any]], most: int) -> list[Confusion]:
    """Return the largest confusions of a matrix, at most `most`, none with a count of 0.

    They stand by the lower end of the rate's Wilson interval, so that a class with a single image does not lead the
    list; ties by the numbers of the true, then the predicted class.

    Args:
        matrix: (C, C) int, rows the true classes, columns the predicted ones; the diagonal is no confusion.
        most: how many to return.
    """
    true, predicted = np.nonzero(matrix)
    counts, totals = matrix[true, predicted], matrix.sum(axis=1)[true]
    # A thousand classes have half a million pairs, but few different shares among them.
    shares, which = np.unique(np.stack([counts, totals], axis=1), axis=0, return_inverse=True)
    rates = [wilson(count, total) for count, total in shares.tolist()]
    low = np.array([rate.low for rate in rates])[which.ravel()]
    low[true == predicted] = -np.inf
    order = np.lexsort((predicted, true, -low))[: max(0, min(most, int((true != predicted).sum())))]
    return [
        Confusion(int(true[i]), int(predicted[i]), int(counts[i]), rates[int(which.ravel()[i])]) for i in order.tolist()
    ]


def _lines(found: Sequence[Confusion], labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what the list says: which class was taken for which, and how often."""
    pairs = [
        f"{safe(shorten(labels[one.true], _LONGEST_NAME))} → {safe(shorten(labels[one.predicted], _LONGEST_NAME))}"
        for one in found
    ]
    numbers = [
        f"{one.rate.value:.2f} [{one.rate.low:.2f}, {one.rate.high:.2f}]  {one.count:,} of {one.rate.n:,}"
        for one in found
    ]
    return pairs, numbers


@dataclass(frozen=True, slots=True)
class List:
    """The list as it is written: both columns, and the text's size in points."""

    pairs: Sequence[str]
    numbers: Sequence[str]
    size: float

    @property
    def width(self) -> float:
        """Inches across that the list takes."""
        if not self.pairs:
            return 0.0
        return max(style.longest(self.pairs) + style.longest(self.numbers), len(_HEADING)) * 0.6 * self.size / 72 + 0.5


def plan(matrix: npt.NDArray[np.integer[Any]], labels: Sequence[str], height: float) -> List:
    """Return the list for a matrix that is `height` inches high: 20 confusions in small print, or 30."""
    size, most = (style.TICK, 30) if height > _LARGE else (style.SMALL, 20)
    found = largest_confusions(matrix, min(most, int(height * 72 / (size * 1.55)) - 2))
    return List(*_lines(found, labels), size)


def beside(figure: Figure, planned: List) -> None:
    """Write the list to the right of everything else; nothing where there is no confusion."""
    from matplotlib.lines import Line2D

    if not planned.pairs:
        return
    # A legend of two columns without handles: the layout keeps its place free, and its columns are aligned.
    written = [*planned.pairs, *planned.numbers]
    legend = figure.legend(
        [Line2D([], [], linestyle="") for _ in written],
        written,
        ncols=2,
        loc="outside right upper",
        title=_HEADING,
        fontsize=planned.size,
        title_fontsize=planned.size,
        frameon=False,
        labelcolor=style.INK,
        alignment="left",
        handlelength=0,
        handletextpad=0,
        columnspacing=1.4,
    )
    legend.get_title().set_color(style.MUTED)
