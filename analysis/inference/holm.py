"""Several tests at once: p values adjusted so that one false alarm among them stays as rare as for a single test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .bootstrap import Floats


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
