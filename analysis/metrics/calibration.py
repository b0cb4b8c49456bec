"""Whether a probability means what it says: the reliability diagram and the expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shotdex.analysis.stats.proportions import wilson

from .metric import Counts, Flags, Floats, Metric, MetricOptions

BINS = MetricOptions().bins
"""15, as many as Guo et al. (2017) use, and most papers after them."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Images sorted by the probability of their prediction into B bins of equal width.

    `edges` (B + 1,) float64 run from 0 to 1; bin b holds the probabilities in (edges[b], edges[b + 1]], and the first
    one also holds 0. `counts` (B,) int64 are the images in it. In [0, 1] and NaN for a bin without images, (B,)
    float64 each: `confidence`, the mean probability; `accuracy`, the share of correct predictions; `low` and `high`,
    the 95 % Wilson interval of that share.
    """

    edges: Floats
    counts: Counts
    confidence: Floats
    accuracy: Floats
    low: Floats
    high: Floats


def reliability(probability: Floats, correct: Flags, bins: int = BINS) -> Reliability:
    """Sort images into bins by probability and compare it with the share of correct predictions there.

    Guo, Pleiss, Sun and Weinberger (2017), "On calibration of modern neural networks", ICML, section 2. A calibrated
    model is right 7 times in 10 where it says 0.7.

    Args:
        probability: (N,) float in [0, 1], that of the class predicted for each image.
        correct: (N,) bool.
        bins: B, from 1.

    Raises:
        ValueError: the two differ in length, a probability is NaN or outside [0, 1], or there is no bin.
    """
    counts, right, total = _binned(probability, correct, bins)
    filled = counts > 0
    confidence = np.divide(total, counts, out=np.full(bins, np.nan), where=filled)
    shares = [wilson(*pair) for pair in zip(right.tolist(), counts.tolist(), strict=True)]
    accuracy, low, high = np.array([(share.value, share.low, share.high) for share in shares]).T
    return Reliability(_edges(bins), counts, confidence, accuracy, low, high)


def expected_calibration_error(probability: Floats, correct: Flags, bins: int = BINS) -> float:
    """Return the mean gap between probability and accuracy over the bins, weighted by their images, in [0, 1].

    Guo et al. (2017), equation 3: the sum over bins of n_b / N x |accuracy_b - confidence_b|. It depends on `bins`, and
    a sample overstates it: with few images a bin, even a calibrated model shows a gap. NaN without images.
    Arguments and errors are those of `reliability`.
    """
    counts, right, total = _binned(probability, correct, bins)
    n = int(counts.sum())
    # n_b |right_b / n_b - total_b / n_b| is |right_b - total_b|, which needs no care where a bin is empty.
    return float(np.abs(right - total).sum() / n) if n else float("nan")


def _edges(bins: int) -> Floats:
    # i / B is the float nearest to the edge, so that a probability written as 0.2 falls on it; linspace is not.
    return np.arange(bins + 1) / bins


def _binned(probability: Floats, correct: Flags, bins: int) -> tuple[Counts, Counts, Floats]:
    """Return, per bin: images, correct predictions, and the sum of the probabilities."""
    chances, flags = np.asarray(probability, dtype=np.float64), np.asarray(correct, dtype=bool)
    if bins < 1:
        raise ValueError(f"{bins} bins hold nothing")
    if chances.shape != flags.shape or chances.ndim != 1:
        raise ValueError(f"{chances.shape} probabilities for {flags.shape} answers")
    if chances.size and not (chances.min() >= 0 and chances.max() <= 1):  # false for NaN too
        raise ValueError(f"probabilities run from {chances.min()} to {chances.max()}, outside 0 to 1")
    place = np.searchsorted(_edges(bins)[1:], chances, side="left")
    counts = np.bincount(place, minlength=bins).astype(np.int64)
    right = np.bincount(place[flags], minlength=bins).astype(np.int64)
    return counts, right, np.bincount(place, weights=chances, minlength=bins).astype(np.float64)


CALIBRATION_ERROR = Metric(
    "expected calibration error",
    "ECE",
    lambda rows, options: expected_calibration_error(rows.probability, rows.correct, options.bins),
    "lower",
    "Mean gap between probability and accuracy over bins of equal width, 15 by default, weighted by their images (Guo "
    "et al. 2017); a small sample overstates it",
    ("truth", "predicted", "probability"),
)
