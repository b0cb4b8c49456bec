"""When a number rests on too little to be leaned on."""

from __future__ import annotations

from math import isnan

from shotdex.store.words import Estimate

SMALL = 30
"""Fewer pictures than this are few: at 30 the interval of a share near 1/2 still spans a third of the whole range, and
one picture more or less moves the share by over 3 points."""

WIDE = 0.34
"""An interval wider than this says as little as a share of fewer than `SMALL` pictures can: the Wilson interval of 15
in 30 is 0.337 wide, and none of 30 or more is wider."""


def small_sample(estimate: Estimate) -> str:
    """Return a short remark on an estimate that rests on little, or nothing.

    In this order: "no pictures" where there are none and so no value, "n not known" for a value without a count, "small
    n" below `SMALL`, "wide interval" above `WIDE` (a statistic over many pictures can hang on a few of them, as the
    precision of a class that is seldom predicted does). A difference of two shares is wide sooner than a share is.
    """
    if estimate.n <= 0:
        return "no pictures" if isnan(estimate.value) else "n not known"
    if estimate.n < SMALL:
        return "small n"
    if estimate.high - estimate.low > WIDE:
        return "wide interval"
    return ""
