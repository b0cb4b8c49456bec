"""Whether two observers are wrong on the same images: error consistency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shotdex.store.types import Estimate

from .bootstrap import bootstrap
from .paired import Flags


@dataclass(frozen=True, slots=True)
class ErrorConsistency:
    """Agreement of two observers on which of `n` images they get right.

    `observed`, in [0, 1], is the share on which both are right or both wrong; `expected`, the share that two
    independent observers of the same accuracies would show; `kappa`, in [-1, 1], how far the first exceeds the second:
    1 is the same errors, 0 what chance gives, below 0 errors on different images.
    """

    kappa: float
    observed: float
    expected: float
    n: int


def error_consistency(correct_a: Flags, correct_b: Flags) -> ErrorConsistency:
    """Return Cohen's kappa of right and wrong between two observers of the same images.

    Geirhos, Meding and Wichmann (2020), "Beyond accuracy: quantifying trial-by-trial behaviour of CNNs and humans by
    measuring error consistency", NeurIPS: with accuracies p_a and p_b, c_exp = p_a p_b + (1 - p_a)(1 - p_b), c_obs the
    share of equal outcomes, and kappa = (c_obs - c_exp) / (1 - c_exp). It is NaN where c_exp is 1, that is where both
    are always right or both always wrong; without images all three are NaN.

    Args:
        correct_a: (N,) bool, whether A got each image right.
        correct_b: (N,) bool, the same for B, in the same order.

    Raises:
        ValueError: the two differ in length.
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"{a.shape} answers for {b.shape}")
    n = len(a)
    if n == 0:
        return ErrorConsistency(float("nan"), float("nan"), float("nan"), 0)
    right_a, right_b, same = int(a.sum()), int(b.sum()), int((a == b).sum())
    # In whole numbers, so that an expected agreement of 1 is met exactly.
    by_chance = right_a * right_b + (n - right_a) * (n - right_b)
    kappa = (same * n - by_chance) / (n * n - by_chance) if by_chance != n * n else float("nan")
    return ErrorConsistency(kappa, same / n, by_chance / (n * n), n)


def kappa_interval(
    correct_a: Flags, correct_b: Flags, strata: npt.NDArray[np.integer[Any]], resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Return the kappa of `error_consistency` with its bootstrap interval, images drawn again within their stratum.

    Raises:
        ValueError: the three differ in length, or no resamples.
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.shape != np.shape(strata):
        raise ValueError(f"{np.shape(strata)} strata for {a.shape} answers")
    error_consistency(a, b)
    return bootstrap(lambda i: error_consistency(a[i], b[i]).kappa, strata, resamples, seed).estimates()[0]
