"""Which class was taken for which, as counts and as rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.integer[Any]]
"""A class a picture, as its number from 0, shape (N,)."""

Counts = npt.NDArray[np.int64]

Floats = npt.NDArray[np.float64]


def confusion(truth: Codes, predicted: Codes, classes: int) -> Counts:
    """Count which class was taken for which.

    Args:
        truth: (N,) int, the true class of each picture, from 0 to `classes` - 1.
        predicted: (N,) int, the class it was taken for.
        classes: C, how many there are.

    Returns:
        (C, C) int64: element (t, p) counts the pictures of class t that were taken for class p.

    Raises:
        ValueError: the two differ in length, or hold a number outside 0 to C - 1.
    """
    true, guess = np.asarray(truth, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    if true.shape != guess.shape or true.ndim != 1:
        raise ValueError(f"{true.shape} true classes for {guess.shape} predicted ones")
    for codes in (true, guess):
        if codes.size and not (codes.min() >= 0 and codes.max() < classes):
            raise ValueError(f"classes run from {codes.min()} to {codes.max()}, outside 0 to {classes - 1}")
    cells = np.bincount(true * classes + guess, minlength=classes * classes)
    return np.asarray(cells.reshape(classes, classes), dtype=np.int64)


def confusion_at_k(truth: Codes, predicted: Codes, true_rank: Codes, classes: int, k: int) -> Counts:
    """Count which class was taken for which when a picture may name k classes.

    The true class counts as predicted where it is among the picture's own best k; elsewhere the picture counts for the
    class that it put first. So the diagonal over N is the top-k accuracy, and at k = 1 this is `confusion`.

    Args:
        truth: (N,) int, the true class of each picture, from 0 to `classes` - 1.
        predicted: (N,) int, the class that scored best.
        true_rank: (N,) int, the place of the true class in the picture's own ranking, from 1 to `classes`.
        classes: C, how many there are.
        k: how many a picture may name, from 1 to `classes`.

    Returns:
        (C, C) int64: element (t, p) counts the pictures of class t that count for class p.

    Raises:
        ValueError: the three differ in length, or a class, a rank or `k` is out of range.
    """
    ranks = np.asarray(true_rank, dtype=np.int64)
    if not 1 <= k <= classes:
        raise ValueError(f"k is {k}, outside 1 to {classes}")
    if ranks.shape != np.shape(truth) or ranks.shape != np.shape(predicted):
        raise ValueError(f"{ranks.shape} ranks for {np.shape(truth)} true classes and {np.shape(predicted)} predicted")
    if ranks.size and not (ranks.min() >= 1 and ranks.max() <= classes):
        raise ValueError(f"ranks run from {ranks.min()} to {ranks.max()}, outside 1 to {classes}")
    return confusion(truth, np.where(ranks <= k, truth, predicted), classes)


def rates(matrix: npt.NDArray[Any]) -> Floats:
    """Return each row of a confusion matrix as shares of its sum, (C, C) float64 in [0, 1].

    Rows are true classes, so the diagonal is the recall. A row without pictures has no shares: it is NaN throughout.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    sums = counts.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(counts, sums, out=np.full_like(counts, np.nan), where=sums > 0)
    return shares
