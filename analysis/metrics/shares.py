"""Shares of correct predictions with Wilson intervals: accuracy@1 and top-k; and the mean reciprocal rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shotdex.analysis.stats.proportions import wilson
from shotdex.store.types import Estimate

from .metric import Codes, Flags, Metric


def accuracy(correct: Flags) -> Estimate:
    """Return the share of True in `correct`, shape (N,), with its Wilson interval; NaN when N is 0."""
    flags = np.asarray(correct, dtype=bool)
    return wilson(int(flags.sum()), flags.size)


def top_k(true_rank: npt.NDArray[np.integer[Any]], classes: int) -> list[Estimate]:
    """Return the share of images whose own class is among the best k, for every k from 1 to `classes`.

    Each image is judged by its own row: `true_rank` is the place that its true class took among all classes for that
    image. The last share is therefore always 1. With no images every share is NaN.

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


def mean_reciprocal_rank(true_rank: Codes) -> float:
    """Return the mean of 1 / rank of the true class, in (0, 1]; NaN without images.

    1 means that every image put its own class first; a class that stands second adds 1/2, one that stands tenth 1/10.
    Voorhees (1999), "The TREC-8 question answering track report". All classes are ranked, so every image has a rank.

    Args:
        true_rank: (N,) int, the place of the true class in the image's own ranking, from 1.

    Raises:
        ValueError: a rank below 1.
    """
    ranks = np.asarray(true_rank, dtype=np.int64)
    if ranks.size == 0:
        return float("nan")
    if ranks.min() < 1:
        raise ValueError(f"a rank is {ranks.min()}, but ranks count from 1")
    return float((1.0 / ranks).mean())


RECIPROCAL_RANK = Metric(
    "mean reciprocal rank",
    "MRR",
    lambda rows, options: mean_reciprocal_rank(rows.true_rank),
    "higher",
    "Mean of 1 / rank of the true class in the image's own ranking of all classes (Voorhees 1999)",
    ("true_rank",),
)
