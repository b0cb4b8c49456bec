"""What a probability is good for: leaving out the least sure images, one temperature for all, and prediction sets.

Pure functions; `analysis.selective` applies them to a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, nan

import numpy as np

from shotdex.store.types import Vectors

from .metric import Codes, Counts, Flags, Floats

CELLS = 2**22
"""Logits that are worked on at a time, 32 MB of them."""

STEEPEST = 2.0**20
"""No temperature is looked for below the inverse of this, nor above this."""


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """What is left of N images when only those are kept that reach a threshold, for each of T thresholds, falling.

    `thresholds` (T,) float64 are the distinct probabilities; `kept` (T,) int64 the images with at least that
    probability, rising to N; `wrong` (T,) int64 those of them that are classified wrongly. Coverage is `kept` / N, and
    risk `wrong` / `kept`.
    """

    thresholds: Floats
    kept: Counts
    wrong: Counts

    def at(self, coverage: float) -> int:
        """Return the place of the highest threshold that keeps at least this share of the images, in (0, 1]."""
        needed = Fraction(repr(coverage)) * int(self.kept[-1])
        return int(np.searchsorted(self.kept, ceil(needed)))


def risk_coverage(probability: Floats, correct: Flags) -> RiskCoverage:
    """Return risk and coverage at every threshold on the probability of the predicted class.

    El-Yaniv and Wiener (2010), "On the foundations of noise-free selective classification", JMLR 11; Geifman and
    El-Yaniv (2017), "Selective classification for deep neural networks", NeurIPS. Images of equal probability are kept
    or left out together.

    Args:
        probability: (N,) float, without NaN.
        correct: (N,) bool.
    """
    rising, place = np.unique(-np.asarray(probability, dtype=np.float64), return_inverse=True)
    kept = np.bincount(place.ravel(), minlength=len(rising)).cumsum()
    wrong = np.bincount(place.ravel()[~np.asarray(correct, dtype=bool)], minlength=len(rising)).cumsum()
    return RiskCoverage(-rising, kept.astype(np.int64), wrong.astype(np.int64))


def area_under_risk(found: RiskCoverage) -> float:
    """Return the area under the risk-coverage curve, in [0, 1]; lower is better, NaN without images.

    Geifman, Uziel and El-Yaniv (2019), "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR,
    section 2: the mean over the images of the risk among all that are at least as sure. A random order has the error
    rate, on average.
    """
    if not len(found.kept):
        return nan
    own = np.diff(found.kept, prepend=0)
    return float((own * (found.wrong / found.kept)).sum() / found.kept[-1])


def best_area(wrong: int, n: int) -> float:
    """Return the area that the best order has, in which all `wrong` of the `n` images come last; NaN without images.

    What an area has beyond this is the excess AURC (Geifman, Uziel and El-Yaniv 2019), the fault of the order alone.
    """
    if n == 0:
        return nan
    places = np.arange(n - wrong + 1, n + 1)
    return float(((places - (n - wrong)) / places).sum() / n)


def fit_temperature(logits: Vectors, truth: Codes) -> float:
    """Return the temperature, above 0, at which softmax(logits / T) has the least mean loss -log p(true class).

    Guo, Pleiss, Sun and Weinberger (2017), "On calibration of modern neural networks", ICML, section 4.2. The loss is
    convex in 1 / T, so there is at most one; the order of the classes, and so the accuracy, does not depend on T.

    NaN where no temperature has the least loss: every true class is the best one (the lower T, the better), or the true
    classes have no higher logits than the others on average (the higher, the better).

    Args:
        logits: (N, C) float.
        truth: (N,) int, the number of each image's class.
    """
    from scipy.optimize import brentq

    def slope(inverse: float) -> float:
        return float(slopes(logits, truth, np.array([inverse])).mean())

    if len(logits) == 0 or slope(0.0) >= 0:
        return nan
    high = 1.0
    while slope(high) < 0 and high < STEEPEST:
        high *= 2
    if slope(high) <= 0:
        return nan
    inverse = float(brentq(slope, 0.0, high, xtol=1e-12, rtol=1e-12))
    return 1 / inverse if inverse > 1 / STEEPEST else nan


def slopes(logits: Vectors, truth: Codes, inverses: Floats) -> Floats:
    """Return the derivative of each image's loss by 1 / T at some values of 1 / T, (N, S) float64.

    It is the mean logit under softmax(logits / T) minus that of the true class, and rises with 1 / T.
    """
    found = np.empty((len(logits), len(inverses)))
    for rows, part, own in _parts(logits, truth):
        part -= own[:, None]
        for place, inverse in enumerate(inverses.tolist()):
            terms = np.exp(inverse * (part - part.max(axis=1, keepdims=True)))
            found[rows, place] = (terms * part).sum(axis=1) / terms.sum(axis=1)
    return found


def losses(logits: Vectors, truth: Codes, temperature: float = 1.0) -> Floats:
    """Return -log of the probability that softmax(logits / T) gives each image's class, (N,) float64."""
    found = np.empty(len(logits))
    for rows, part, own in _parts(logits, truth):
        part = (part - own[:, None]) / temperature
        best = part.max(axis=1)
        found[rows] = best + np.log(np.exp(part - best[:, None]).sum(axis=1))
    return found


def confidences(logits: Vectors, temperature: float = 1.0) -> Floats:
    """Return the highest probability in softmax(logits / T) for each image, (N,) float64 in [0, 1]."""
    return np.exp(-losses(logits, logits.argmax(axis=1), temperature))


def _parts(logits: Vectors, truth: Codes) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield rows, a copy of their logits and the logits of their classes in float64, some after some."""
    step = max(1, CELLS // max(1, logits.shape[1]))
    for start in range(0, len(logits), step):
        rows = slice(start, start + step)
        part = logits[rows].astype(np.float64)
        yield rows, part, np.take_along_axis(part, truth[rows, None], axis=1)[:, 0]


def fewest_for_sets(coverage: float) -> int:
    """Return how many calibration images prediction sets of this coverage, in (0, 1), need to say anything."""
    share = Fraction(repr(coverage))
    return ceil(share / (1 - share))


def place_of_threshold(n: int, coverage: float) -> int:
    """Return ceil((n + 1) x coverage): of n true classes' probabilities, falling, that one is the threshold.

    Beyond n, n images are too few. Exact: 0.9 is nine tenths here, not the binary number next to it.
    """
    return ceil((n + 1) * Fraction(repr(coverage)))


def set_threshold(probability: Floats, coverage: float) -> float:
    """Return the lowest probability with which a class belongs to an image's prediction set; NaN for too few images.

    Split conformal prediction: Papadopoulos, Proedrou, Vovk and Gammerman (2002), "Inductive confidence machines for
    regression", ECML; for classes Sadinle, Lei and Wasserman (2019), "Least ambiguous set-valued classifiers with
    bounded error levels", JASA 114; the quantile is that of Angelopoulos and Bates (2021), "A gentle introduction to
    conformal prediction", arXiv:2107.07511, section 1. If a further image is exchangeable with the n of calibration,
    its set of classes with at least this probability has the true one with probability at least `coverage`: exactly
    ceil((n + 1) x coverage) / (n + 1) where no two of these probabilities are equal.

    Args:
        probability: (n,) float, of the true classes of the calibration images.
        coverage: in (0, 1).
    """
    place = place_of_threshold(len(probability), coverage)
    if place > len(probability):
        return nan
    return float(np.sort(probability)[::-1][place - 1])


def coverage_range(n: int, coverage: float) -> tuple[float, float]:
    """Return the bounds between which the coverage of 95 % of all calibration parts of n images lies.

    Vovk (2012), "Conditional validity of inductive conformal predictors", ACML: over the draws of the calibration
    images the share of further images whose set has the true class follows Beta(k, n + 1 - k) with k =
    ceil((n + 1) x coverage), where no two probabilities are equal. NaN for too few images.
    """
    from scipy.stats import beta

    place = place_of_threshold(n, coverage)
    if place > n:
        return nan, nan
    low, high = beta.ppf([0.025, 0.975], place, n + 1 - place).tolist()
    return low, high
