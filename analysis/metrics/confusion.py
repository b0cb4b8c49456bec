"""Which class was taken for which, as counts and as rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.integer[Any]]
"""A class a picture, as its number from 0, shape (N,)."""

Counts = npt.NDArray[np.int64]


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
