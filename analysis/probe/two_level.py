"""The uncertainty of an accuracy that depends on which few images were trained on, as well as on the test images."""

from __future__ import annotations

from math import nan

import numpy as np
import numpy.typing as npt

from shotdex.analysis.inference.bootstrap import TAILS, Floats
from shotdex.store.words import Estimate

from .splits import Codes

RESAMPLES = 2000


def two_level_bootstrap(
    correct: npt.NDArray[np.bool_], strata: Codes, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Return the mean accuracy over R draws of training images, with an interval for draws and test images together.

    Each resample takes R of the draws and, in each stratum, as many of its test images, both with replacement; the
    bounds are the 2.5 and 97.5 percentiles of the means (the pigeonhole bootstrap: Owen (2007), "The pigeonhole
    bootstrap", Annals of Applied Statistics 1). A handful of draws says little about how draws vary, and percentiles
    take that for granted: with R draws the spread between them is taken as sqrt((R - 1) / R) of what it is. One draw
    says nothing of it, so the interval is then for test images alone, and the method says so.

    Degenerate: without test images, or draws, all is NaN.

    Args:
        correct: (R, N) bool, whether each draw's classifier got each test image right.
        strata: (N,) int64, such as the class of each test image.
        resamples: how often to draw, from 1.
        seed: of numpy's default generator.

    Raises:
        ValueError: the shapes do not fit, or no resamples.
    """
    draws, n = correct.shape
    if strata.shape != (n,) or resamples < 1:
        raise ValueError(f"answers {correct.shape} and strata {strata.shape} do not fit, or no resamples ({resamples})")
    kind = "two-level bootstrap of draws and images" if draws > 1 else "bootstrap of images, one draw"
    method = f"{kind} 95 %, {resamples} resamples, seed {seed}"
    if n == 0 or draws == 0:
        return Estimate(nan, nan, nan, n, method)
    rng = np.random.default_rng(seed)
    right = _right_answers(correct, strata, resamples, rng)
    weights = rng.multinomial(draws, np.full(draws, 1 / draws), resamples)
    means = (right * weights).sum(axis=1) / (draws * n)
    low, high = np.quantile(means, TAILS).tolist()
    return Estimate(float(correct.mean()), low, high, n, method)


def _right_answers(correct: npt.NDArray[np.bool_], strata: Codes, resamples: int, rng: np.random.Generator) -> Floats:
    """Return how many images each draw's classifier gets right in each resample of the images, (resamples, R).

    Images of one stratum on which all R agree alike are interchangeable, so how often each such pattern is drawn is
    multinomial: the same distribution as drawing N indices, at a fraction of the cost.
    """
    right = np.zeros((resamples, len(correct)))
    for stratum in np.unique(strata):
        answers = correct[:, strata == stratum].T
        patterns, counts = np.unique(answers, axis=0, return_counts=True)
        right += rng.multinomial(len(answers), counts / len(answers), resamples) @ patterns.astype(np.float64)
    return right
