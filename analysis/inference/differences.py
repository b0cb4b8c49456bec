"""Two shares that share no pictures: the interval of their difference, and a word for it."""

from __future__ import annotations

from enum import StrEnum
from math import hypot, isnan, nan

from shotdex.store.words import Estimate

METHOD = "newcombe 95 %"

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

    The two must rest on different pictures or people; for two runs over the same pictures take `paired`, which is
    sharper. An estimate whose bounds are NaN enters as a fixed value, and the method says so; where both are, nothing
    is known of the uncertainty and the bounds are NaN. Where a value is NaN, all is NaN. `n` is the smaller of the two
    counts, as that one limits what can be seen; a fixed value's does not matter.
    """
    fixed_a, fixed_b = _is_fixed(a), _is_fixed(b)
    value = b.value - a.value
    if isnan(value) or (fixed_a and fixed_b):
        return Estimate(value, nan, nan, min(a.n, b.n), f"{METHOD}, no interval to work from")
    below_b, above_b = (0.0, 0.0) if fixed_b else (b.value - b.low, b.high - b.value)
    below_a, above_a = (0.0, 0.0) if fixed_a else (a.value - a.low, a.high - a.value)
    low, high = value - hypot(below_b, above_a), value + hypot(above_b, below_a)
    if fixed_a or fixed_b:
        n, name = (b.n, "first") if fixed_a else (a.n, "second")
        return Estimate(value, low, high, n, f"{METHOD}, {name} value taken as exact")
    return Estimate(value, low, high, min(a.n, b.n), METHOD)


def verdict(difference: Estimate) -> Verdict:
    """Return whether b is better or worse than a, given b - a: one of them only where the interval leaves out 0.

    An interval that touches 0 does not leave it out, and without an interval nothing can be told.
    """
    if difference.low > _TOUCHING:
        return Verdict.BETTER
    if difference.high < -_TOUCHING:
        return Verdict.WORSE
    return Verdict.UNCLEAR


def _is_fixed(estimate: Estimate) -> bool:
    return isnan(estimate.low) or isnan(estimate.high)
