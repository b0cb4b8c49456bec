"""Proportions of images: the Wilson interval of one, the difference of two, and when a number rests on too little."""

from __future__ import annotations

from enum import StrEnum
from math import hypot, isnan, nan, sqrt

from shotdex.store.types import Estimate

METHOD = "wilson 95 %"
_Z = 1.9599639845400536
"""The 0.975 quantile of the standard normal, which a two-sided 95 % interval takes."""


def wilson(correct: int, n: int) -> Estimate:
    """Return the share `correct / n` with its 95 % Wilson score interval, all three in [0, 1].

    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22; recommended for
    small n by Brown, Cai and DasGupta (2001), "Interval estimation for a binomial proportion", Statistical Science 16.
    Unlike value +- 1.96 standard errors it stays inside [0, 1] and does not shrink to nothing at 0 or n correct.

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
    """Return the estimate in words, such as `0.925 [0.801, 0.974] n=40`; `undefined n=0` where there is no value.

    A baseline from elsewhere may lack its interval or its n, which is said: `0.925, no interval, n unknown`.
    """
    if isnan(estimate.value):
        return f"undefined n={estimate.n}"
    size = f"n={estimate.n}" if estimate.n else "n unknown"
    if isnan(estimate.low):
        return f"{estimate.value:.3f}, no interval, {size}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}] {size}"


SMALL = 30
"""Fewer images than this are few: at 30 the interval of a share near 1/2 still spans a third of the whole range, and
one image more or less moves the share by over 3 points."""

WIDE = 0.34
"""An interval wider than this says as little as a share of fewer than `SMALL` images can: the Wilson interval of 15
in 30 is 0.337 wide, and none of 30 or more is wider."""


def small_sample(estimate: Estimate) -> str:
    """Return a short remark on an estimate that rests on little, or nothing.

    In this order: "no images" where there are none and so no value, "n unknown" for a value without a count, "small
    n" below `SMALL`, "wide interval" above `WIDE` (a statistic over many images can hang on a few of them, as the
    precision of a class that is seldom predicted does). A difference of two shares is wide sooner than a share is.
    """
    if estimate.n <= 0:
        return "no images" if isnan(estimate.value) else "n unknown"
    if estimate.n < SMALL:
        return "small n"
    if estimate.high - estimate.low > WIDE:
        return "wide interval"
    return ""


DIFFERENCE_METHOD = "newcombe 95 %"

_TOUCHING = 1e-12
"""Bounds nearer to 0 than this touch it: they are sums of rounded numbers, so exactly 0 would be luck."""


class Verdict(StrEnum):
    """What a difference b - a lets one say of b."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "not distinguishable"


def difference_interval(a: Estimate, b: Estimate) -> Estimate:
    """Return b - a for two independent shares, in [-1, 1], with the interval that follows from their own two.

    Newcombe (1998), "Interval estimation for the difference between independent proportions: comparison of eleven
    methods", Statistics in Medicine 17, method 10; for any two intervals Zou and Donner (2008), "Construction of
    confidence limits about effect measures: a general approach", Statistics in Medicine 27 (MOVER):

        low  = (b - a) - sqrt((b - low_b)^2 + (high_a - a)^2)
        high = (b - a) + sqrt((high_b - b)^2 + (a - low_a)^2)

    The two must rest on different images or people; for two runs over the same images take `paired`, which is
    sharper. An estimate whose bounds are NaN enters as a fixed value, and the method says so; where both are, nothing
    is known of the uncertainty and the bounds are NaN. Where a value is NaN, all is NaN. `n` is the smaller of the two
    counts, as that one limits what can be seen; a fixed value's does not matter.
    """
    fixed_a, fixed_b = _is_fixed(a), _is_fixed(b)
    value = b.value - a.value
    if isnan(value) or (fixed_a and fixed_b):
        return Estimate(value, nan, nan, min(a.n, b.n), f"{DIFFERENCE_METHOD}, no interval to work from")
    below_b, above_b = (0.0, 0.0) if fixed_b else (b.value - b.low, b.high - b.value)
    below_a, above_a = (0.0, 0.0) if fixed_a else (a.value - a.low, a.high - a.value)
    low, high = value - hypot(below_b, above_a), value + hypot(above_b, below_a)
    if fixed_a or fixed_b:
        n, name = (b.n, "first") if fixed_a else (a.n, "second")
        return Estimate(value, low, high, n, f"{DIFFERENCE_METHOD}, {name} value taken as exact")
    return Estimate(value, low, high, min(a.n, b.n), DIFFERENCE_METHOD)


def verdict(difference: Estimate) -> Verdict:
    """Return whether b is better or worse than a, given b - a: one of them only where the interval leaves out 0.

    An interval that touches 0 does not leave it out, and without an interval nothing can be concluded.
    """
    if difference.low > _TOUCHING:
        return Verdict.BETTER
    if difference.high < -_TOUCHING:
        return Verdict.WORSE
    return Verdict.UNCLEAR


def _is_fixed(estimate: Estimate) -> bool:
    return isnan(estimate.low) or isnan(estimate.high)
