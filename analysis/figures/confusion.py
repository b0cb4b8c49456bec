"""Which class was taken for which: the confusion matrix, readable with 10 classes and with 100."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import style
from .text import LONGEST, ONE_LINE, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_WITH_TEXT = 12
"""Up to this many classes every cell says its count and its share."""

_LARGEST = 12.0  # inches that the matrix takes at most
_ROW = 0.12  # inches that a row's name needs at 7.5 points


def confusion_figure(
    matrix: npt.NDArray[np.integer[Any]],
    labels: Sequence[str],
    columns: Sequence[str] | None = None,
    title: str = "Confusion",
) -> Figure:
    """Draw the matrix, each row's colour its share of the row; a row without pictures is grey.

    With up to 12 classes each cell says its count and share; with more the colours speak alone, and with more than
    about 100 only every few classes are named.

    Args:
        matrix: (T, P) int, rows the true classes, columns the predicted ones.
        labels: T names.
        columns: P names, where they are not the rows'.
        title: what the figure says at its head.

    Raises:
        ValueError: the names do not fit the matrix, or there are none.
    """
    across = labels if columns is None else columns
    if matrix.size == 0 or matrix.shape != (len(labels), len(across)):
        raise ValueError(f"{len(labels)} by {len(across)} names for a matrix of shape {matrix.shape}")
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, matrix / np.maximum(totals, 1), np.nan)
    most = max(*matrix.shape, 1)
    side = most * 0.62 if most <= MOST_WITH_TEXT else min(most * _ROW, _LARGEST)
    side = max(side, 3.2)
    names = (
        0.5 + min(style.longest([*labels, *across]), ONE_LINE if most > MOST_WITH_TEXT else 24) * 0.6 * style.TICK / 72
    )
    figure = style.new_figure(side + names + 1.3, side + names + 0.6, fixed_aspect=True)
    axes = figure.add_subplot()
    drawn = axes.imshow(np.ma.masked_invalid(shares), cmap=_blues(), vmin=0, vmax=1, interpolation="nearest")
    if most <= MOST_WITH_TEXT:
        _write_cells(axes, matrix, shares)
    _name_cells(axes, labels, across, side / most)
    style.heading(axes, title, side)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.75, aspect=28, pad=0.02)
    bar.set_label("share of the true class", size=style.LABEL, color=style.INK)
    bar.ax.tick_params(labelsize=style.TICK, length=0)
    bar.outline.set_visible(False)
    return figure


def _blues() -> Any:
    import matplotlib

    return matplotlib.colormaps["Blues"].with_extremes(bad="#eeeeee")


def _write_cells(axes: Axes, matrix: npt.NDArray[np.integer[Any]], shares: npt.NDArray[np.float64]) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        share = shares[row, column]
        text = f"{count:,}\n{share:.2f}" if count else "0"
        colour = "white" if share > 0.55 else style.INK if count else style.FAINT
        axes.text(column, row, text, ha="center", va="center", fontsize=style.SMALL, color=colour, linespacing=1.25)


def _name_cells(axes: Axes, labels: Sequence[str], across: Sequence[str], cell: float) -> None:
    """Name rows and columns, every few of them where `cell`, in inches, is too small for all."""
    few = cell > 0.3
    step = 1 if few else ceil(_ROW / cell - 1e-9)
    size = style.TICK if few else style.SMALL
    width, longest = (24, LONGEST) if few else (ONE_LINE, ONE_LINE)
    columns = [label(name, width, longest) for name in across[::step]]
    turned = style.longest(columns) * 0.62 * size / 72 > cell * step
    axes.set_xticks(range(0, len(across), step), columns, rotation=90 if turned else 0)
    axes.set_yticks(range(0, len(labels), step), [label(name, width, longest) for name in labels[::step]])
    style.clean(axes, grid="none")
    axes.tick_params(labelsize=size)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
