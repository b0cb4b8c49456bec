"""How well predictions match labels: pure functions that never write to their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shotdex.store.words import Estimate

from .estimates import wilson

Flags = npt.NDArray[np.bool_]
"""One truth value a picture, shape (N,)."""


def accuracy(correct: Flags) -> Estimate:
    """Return the share of True in `correct`, shape (N,), with its Wilson interval; NaN when N is 0."""
    flags = np.asarray(correct, dtype=bool)
    return wilson(int(flags.sum()), flags.size)


def by_group(groups: Sequence[str], correct: Flags) -> dict[str, Estimate]:
    """Return the accuracy of each group, in the order in which the groups first appear.

    Args:
        groups: N names, one a picture, such as its condition.
        correct: (N,) bool.

    Raises:
        ValueError: the two differ in length.
    """
    flags = np.asarray(correct, dtype=bool)
    tally: dict[str, list[int]] = {}
    for group, right in zip(groups, flags.tolist(), strict=True):
        counts = tally.setdefault(group, [0, 0])
        counts[0] += right
        counts[1] += 1
    return {group: wilson(right, n) for group, (right, n) in tally.items()}


def top_k(true_rank: npt.NDArray[np.integer[Any]], classes: int) -> list[Estimate]:
    """Return the share of pictures whose own class is among the best k, for every k from 1 to `classes`.

    Each picture is judged by its own row: `true_rank` is the place that its true class took among all classes for that
    picture. The last share is therefore always 1. With no pictures every share is NaN.

    Args:
        true_rank: (N,) int, from 1 (the true class scored best) to `classes`.
        classes: how many classes there were.

    Returns:
        `classes` estimates; element k - 1 is the share with `true_rank <= k`.

    Raises:
        ValueError: a rank outside 1 to `classes`.
    """
    ranks = np.asarray(true_rank, dtype=np.int64)
    if ranks.size and not (ranks.min() >= 1 and ranks.max() <= classes):
        raise ValueError(f"ranks run from {ranks.min()} to {ranks.max()}, outside 1 to {classes}")
    reached = np.bincount(ranks, minlength=classes + 1)[1:].cumsum()
    return [wilson(int(right), ranks.size) for right in reached]


def confusion(
    truth: Sequence[str], predicted: Sequence[str], labels: Sequence[str], columns: Sequence[str] | None = None
) -> npt.NDArray[np.int64]:
    """Count which class was taken for which.

    Args:
        truth: N true classes.
        predicted: N predicted classes, in the same order.
        labels: the T classes of the rows.
        columns: the P classes of the columns, where they are not the same as the rows'.

    Returns:
        (T, P) int64: element (t, p) counts the pictures of class `labels[t]` that were taken for `columns[p]`.

    Raises:
        ValueError: the two differ in length, or hold a class that is not among the labels.
    """
    rows_of = {label: row for row, label in enumerate(labels)}
    columns_of = {label: column for column, label in enumerate(labels if columns is None else columns)}
    matrix = np.zeros((len(rows_of), len(columns_of)), dtype=np.int64)
    for true, guess in zip(truth, predicted, strict=True):
        if true not in rows_of or guess not in columns_of:
            raise ValueError(f"no row or column for {true!r} taken for {guess!r}")
        matrix[rows_of[true], columns_of[guess]] += 1
    return matrix
