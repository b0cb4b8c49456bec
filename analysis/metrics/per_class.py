"""Recall, precision and F1 of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .confusion import Codes, Counts, Floats, confusion


@dataclass(frozen=True, slots=True)
class PerClass:
    """One number a class, for C classes in their order; what is undefined is NaN, not 0.

    `support` (C,) int64 counts the pictures of each class. The rest are (C,) float64 in [0, 1]: `recall` is NaN where
    the class has no pictures, `precision` where nothing was taken for it, `f1` only where both hold.
    """

    recall: Floats
    precision: Floats
    f1: Floats
    support: Counts


def per_class(truth: Codes, predicted: Codes, classes: int) -> PerClass:
    """Return recall TP / (TP + FN), precision TP / (TP + FP) and F1 2 TP / (2 TP + FP + FN) of each class.

    F1 is the harmonic mean of the other two (van Rijsbergen 1979, "Information Retrieval", chapter 7), written so that
    it is 0 and not undefined for a class that has pictures and is never predicted.

    Args:
        truth: (N,) int, the true class of each picture, from 0 to `classes` - 1.
        predicted: (N,) int, the class it was taken for.
        classes: C, how many there are.

    Raises:
        ValueError: the two differ in length, or hold a number outside 0 to C - 1.
    """
    matrix = confusion(truth, predicted, classes)
    right, support, taken = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    return PerClass(
        recall=_ratio(right, support),
        precision=_ratio(right, taken),
        f1=_ratio(2 * right, support + taken),
        support=support,
    )


def mean_per_class_recall(truth: Codes, predicted: Codes, classes: int) -> float:
    """Return the mean recall over the classes that have pictures, in [0, 1]; NaN where none has.

    Also called balanced accuracy: every class counts the same, however many pictures it has. For equally many pictures
    a class it is the accuracy. Arguments and errors are those of `per_class`.
    """
    matrix = confusion(truth, predicted, classes)
    support = matrix.sum(axis=1)
    present = support > 0
    if not present.any():
        return float("nan")
    return float((matrix.diagonal()[present] / support[present]).mean())


def _ratio(part: Counts, whole: Counts) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return shares
