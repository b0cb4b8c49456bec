"""Which class was taken for which, as counts and as rates; and recall, precision and F1 of each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .metric import Codes, Counts, Floats, Metric


def confusion(truth: Codes, predicted: Codes, classes: int) -> Counts:
    """Count which class was taken for which.

    Args:
        truth: (N,) int, the true class of each image, from 0 to `classes` - 1.
        predicted: (N,) int, the class it was taken for.
        classes: C, how many there are.

    Returns:
        (C, C) int64: element (t, p) counts the images of class t that were taken for class p.

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
    """Count which class was taken for which when an image may name k classes.

    The true class counts as predicted where it is among the image's own best k; elsewhere the image counts for the
    class that it put first. So the diagonal over N is the top-k accuracy, and at k = 1 this is `confusion`.

    Args:
        truth: (N,) int, the true class of each image, from 0 to `classes` - 1.
        predicted: (N,) int, the class that scored best.
        true_rank: (N,) int, the place of the true class in the image's own ranking, from 1 to `classes`.
        classes: C, how many there are.
        k: how many an image may name, from 1 to `classes`.

    Returns:
        (C, C) int64: element (t, p) counts the images of class t that count for class p.

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

    Rows are true classes, so the diagonal is the recall. A row without images has no shares: it is NaN throughout.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    sums = counts.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(counts, sums, out=np.full_like(counts, np.nan), where=sums > 0)
    return shares


@dataclass(frozen=True, slots=True)
class PerClass:
    """One number a class, for C classes in their order; what is undefined is NaN, not 0.

    `support` (C,) int64 counts the images of each class. The rest are (C,) float64 in [0, 1]: `recall` is NaN where
    the class has no images, `precision` where nothing was taken for it, `f1` only where both hold.
    """

    recall: Floats
    precision: Floats
    f1: Floats
    support: Counts


def per_class(truth: Codes, predicted: Codes, classes: int) -> PerClass:
    """Return recall TP / (TP + FN), precision TP / (TP + FP) and F1 2 TP / (2 TP + FP + FN) of each class.

    F1 is the harmonic mean of the other two (van Rijsbergen 1979, "Information Retrieval", chapter 7), written so that
    it is 0 and not undefined for a class that has images and is never predicted.

    Args:
        truth: (N,) int, the true class of each image, from 0 to `classes` - 1.
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
    """Return the mean recall over the classes that have images, in [0, 1]; NaN where none has.

    Also called balanced accuracy: every class counts the same, however many images it has. For equally many images
    a class it is the accuracy. Arguments and errors are those of `per_class`.
    """
    matrix = confusion(truth, predicted, classes)
    support = matrix.sum(axis=1)
    present = support > 0
    if not present.any():
        return float("nan")
    return float((matrix.diagonal()[present] / support[present]).mean())


def macro_f1(truth: Codes, predicted: Codes, classes: int) -> float:
    """Return the mean F1 over the classes that have images, in [0, 1]; NaN where none has.

    A class without images that is only ever a wrong prediction is left out, as it is of the mean recall. Arguments and
    errors are those of `per_class`.
    """
    found = per_class(truth, predicted, classes)
    present = found.support > 0
    return float(found.f1[present].mean()) if present.any() else float("nan")


def _ratio(part: Counts, whole: Counts) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return shares


MEAN_RECALL = Metric(
    "mean per-class recall",
    "recall",
    lambda rows, options: mean_per_class_recall(rows.truth, rows.predicted, len(rows.classes)),
    "higher",
    "Mean over the classes of the share of their images that are classified correctly, so that every class counts the "
    "same; also called balanced accuracy (Brodersen et al. 2010)",
    ("truth", "predicted"),
)

MACRO_F1 = Metric(
    "macro F1",
    "F1",
    lambda rows, options: macro_f1(rows.truth, rows.predicted, len(rows.classes)),
    "higher",
    "Mean over the classes of F1, the harmonic mean of precision and recall (van Rijsbergen 1979)",
    ("truth", "predicted"),
    across_classes=True,
)
