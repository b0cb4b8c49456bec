"""A share of pictures with its uncertainty: the Wilson score interval."""

from __future__ import annotations

from math import isnan, nan, sqrt
from statistics import NormalDist

from shotdex.store.words import Estimate

METHOD = "wilson 95 %"
# The 0.975 quantile of the standard normal, 1.95996...: what a two-sided 95 % interval takes.
_Z = NormalDist().inv_cdf(0.975)


def wilson(correct: int, n: int) -> Estimate:
    """Return the share `correct / n` with its 95 % Wilson score interval, all three in [0, 1].

    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22; recommended for
    small n by Brown, Cai and DasGupta (2001), "Interval estimation for a binomial proportion", Statistical Science 16.
    Unlike value +- 1.96 standard errors it stays inside [0, 1] and does not shrink to nothing at 0 or n right answers.

    With n = 0 there is no share: value, low and high are NaN.

    Raises:
        ValueError: `correct` is not between 0 and `n`.
    """
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} of {n} is not a share")
    if n == 0:
        return Estimate(nan, nan, nan, 0, METHOD)
    share = correct / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    # The bounds are exactly 0 and 1 at the ends; rounding would leave them 1e-17 away, on either side.
    low = 0.0 if correct == 0 else centre - half
    high = 1.0 if correct == n else centre + half
    return Estimate(share, low, high, n, METHOD)


def describe(estimate: Estimate) -> str:
    """Return the estimate in words, such as `0.925 [0.801, 0.974] n=40`; `undefined n=0` where there is no value."""
    if isnan(estimate.value):
        return f"undefined n={estimate.n}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}] n={estimate.n}"
