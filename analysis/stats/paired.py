"""Two classifiers on the same images: McNemar's exact test, the paired bootstrap, and Holm's adjustment of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import numpy.typing as npt

from shotdex.store.types import Estimate

from .bootstrap import TAILS, Floats

Flags = npt.NDArray[np.bool_]
"""One truth value an image, shape (N,)."""


@dataclass(frozen=True, slots=True)
class Paired:
    """How A and B compare on the same `n` images.

    `both_right`, `only_a`, `only_b` and `both_wrong` count images and add up to `n`. `difference` is accuracy of B
    minus accuracy of A, in [-1, 1]. `p_value`, in [0, 1], is that of the exact McNemar test; NaN without images.
    """

    n: int
    both_right: int
    only_a: int
    only_b: int
    both_wrong: int
    difference: Estimate
    p_value: float


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Return the two-sided p value of the exact McNemar test, in [0, 1].

    McNemar (1947), "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12. Where A and B are equally good, each image that only one of them got right is as likely to be
    A's as B's, so the smaller count is binomial with p = 1/2; the tail is doubled, and capped at 1. Images on which
    both are right or both wrong say nothing. With no image that tells them apart it is 1.

    Raises:
        ValueError: a negative count.
    """
    from scipy.special import betainc

    if only_a < 0 or only_b < 0:
        raise ValueError(f"{only_a} and {only_b} images cannot be counted")
    if only_a == only_b:
        return 1.0
    # The binomial tail as an incomplete beta function: scipy.stats, which has it by name, takes seconds to import.
    fewer, more = sorted((only_a, only_b))
    return min(1.0, 2 * float(betainc(more, fewer + 1, 0.5)))


def paired(
    correct_a: Flags, correct_b: Flags, strata: npt.NDArray[np.integer[Any]], resamples: int = 2000, seed: int = 0
) -> Paired:
    """Compare B with A on the same images.

    The interval is that of the paired bootstrap: images are drawn again within their stratum, each with both of its
    answers, and the bounds are percentiles of the differences. It has no width where no image tells A from B or where
    all of them do in the same way, and with a handful of such images it is narrower than the exact test would have
    it: read it together with `p_value`. Without images the difference and the p value are NaN.

    Args:
        correct_a: (N,) bool, whether A got each image right.
        correct_b: (N,) bool, the same for B, in the same order.
        strata: (N,) the stratum of each image, such as the number of its class.
        resamples: how often to draw, from 1.
        seed: of numpy's default generator.

    Raises:
        ValueError: the three differ in length, or no resamples.
    """
    a, b, codes = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool), np.asarray(strata)
    if a.ndim != 1 or a.shape != b.shape or a.shape != codes.shape:
        raise ValueError(f"answers {a.shape} and {b.shape} and strata {codes.shape} are not of one length")
    if resamples < 1:
        raise ValueError(f"cannot draw {resamples} resamples")
    n, only_a, only_b = len(a), int((a & ~b).sum()), int((b & ~a).sum())
    both_right = int((a & b).sum())
    kind = "paired stratified bootstrap" if n and codes.min() != codes.max() else "paired bootstrap"
    method = f"{kind} 95 %, {resamples} resamples, seed {seed}"
    if n == 0:
        return Paired(0, 0, 0, 0, 0, Estimate(nan, nan, nan, 0, method), nan)
    low, high = np.quantile(_differences(a, b, codes, resamples, seed), TAILS).tolist()
    difference = Estimate((only_b - only_a) / n, low, high, n, method)
    return Paired(
        n, both_right, only_a, only_b, n - both_right - only_a - only_b, difference, mcnemar_exact(only_a, only_b)
    )


def _differences(a: Flags, b: Flags, codes: npt.NDArray[Any], resamples: int, seed: int) -> Floats:
    """Return the difference in each resample, (resamples,).

    Within a stratum of m images the counts (only B, only A, neither) of a resample are multinomial, with the observed
    shares: the same distribution as drawing m indices, at a cost that does not grow with m. They are drawn as how many
    tell A from B, then how many of these are B's, which keeps every probability within [0, 1] to the last bit.
    """
    _, stratum = np.unique(codes, return_inverse=True)
    sizes, ours, theirs = (np.bincount(stratum, weights=w).astype(np.int64) for w in (np.ones(len(a)), b & ~a, a & ~b))
    # Strata with the same counts are one draw from that many more images, and np.unique puts the rest in an order
    # that depends on neither how strata are numbered nor how images are sorted.
    kinds, times = np.unique(np.column_stack([sizes, ours, theirs]), axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    total = np.zeros(resamples, dtype=np.int64)
    for (size, only_b, only_a), often in zip(kinds.tolist(), times.tolist(), strict=True):
        if only_a + only_b:
            apart = rng.binomial(size * often, (only_a + only_b) / size, resamples)
            total += 2 * rng.binomial(apart, only_b / (only_a + only_b)) - apart
    return total / len(a)


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """Return the p values adjusted by Holm's step-down method, (M,) float64 in [0, 1], in the order given.

    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6. The
    i-th smallest of M is multiplied by M + 1 - i, made no smaller than the one before, and capped at 1. An adjusted
    value below 0.05 may be called a difference with at most 5 % chance of any false one among the M, whatever the
    dependence between them. NaN, a test that could not be made, stays NaN and does not count towards M.

    Raises:
        ValueError: a p value outside [0, 1], or not one-dimensional.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    made = ~np.isnan(raw)
    tests = raw[made]
    if raw.ndim != 1 or (tests.size and not (tests.min() >= 0 and tests.max() <= 1)):
        raise ValueError(f"not a list of p values: {raw.tolist()}")
    order = np.argsort(tests, kind="stable")
    adjusted = np.empty_like(tests)
    adjusted[order] = np.minimum(np.maximum.accumulate(tests[order] * np.arange(tests.size, 0, -1)), 1)
    out = np.full_like(raw, np.nan)
    out[made] = adjusted
    return out
