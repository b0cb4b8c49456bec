from __future__ import annotations

from math import nan

import pytest

from shotdex.analysis.stats.proportions import SMALL, WIDE, small_sample, wilson
from shotdex.store.types import Estimate


@pytest.mark.parametrize(
    ("estimate", "remark"),
    [
        (wilson(0, 0), "no images"),
        (Estimate(0.835, nan, nan, 0, "a paper"), "n unknown"),
        (wilson(1, 1), "small n"),
        (wilson(29, 29), "small n"),
        (wilson(30, 30), ""),
        (wilson(15, 30), ""),
        (wilson(37, 40), ""),
        (Estimate(0.845, nan, nan, 80, "a paper"), ""),
        (Estimate(0.5, 0.1, 0.9, 70_000, "bootstrap"), "wide interval"),
        (Estimate(nan, nan, nan, 70_000, "bootstrap"), ""),
    ],
)
def test_the_remark_follows_from_count_and_width(estimate: Estimate, remark: str) -> None:
    assert small_sample(estimate) == remark


def test_wide_is_as_wide_as_a_share_of_the_least_n_that_is_not_small() -> None:
    widest = wilson(SMALL // 2, SMALL)
    assert WIDE - 0.01 < widest.high - widest.low < WIDE
    assert all(small_sample(wilson(correct, n)) == "" for n in range(SMALL, 200) for correct in range(n + 1))
    few = wilson((SMALL - 2) // 2, SMALL - 2)
    assert few.high - few.low > WIDE
