import dataclasses
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from shotdex.analysis.stats.proportions import METHOD, describe, wilson
from shotdex.store.types import Estimate


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_what_scipy_computes(counts):
    correct, n = counts
    expected = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    estimate = wilson(correct, n)
    assert estimate.value == correct / n
    assert estimate.low == pytest.approx(expected.low, abs=1e-12)
    assert estimate.high == pytest.approx(expected.high, abs=1e-12)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert (estimate.n, estimate.method) == (n, METHOD)


@pytest.mark.parametrize(("correct", "n", "low", "high"), [(0, 10, 0.0, 0.2775328), (10, 10, 0.7224672, 1.0)])
def test_the_ends_are_exact(correct, n, low, high):
    estimate = wilson(correct, n)
    assert estimate.low == pytest.approx(low, abs=1e-7)
    assert estimate.high == pytest.approx(high, abs=1e-7)
    assert estimate.low == 0 or estimate.high == 1


def test_no_images_have_no_accuracy():
    estimate = wilson(0, 0)
    assert isnan(estimate.value) and isnan(estimate.low) and isnan(estimate.high)
    assert estimate.n == 0
    assert describe(estimate) == "undefined n=0"


@pytest.mark.parametrize(("correct", "n"), [(-1, 3), (4, 3), (1, 0), (0, -1)])
def test_what_is_no_share_is_refused(correct, n):
    with pytest.raises(ValueError, match="not a share"):
        wilson(correct, n)


def test_an_estimate_in_words():
    assert describe(wilson(37, 40)) == "0.925 [0.801, 0.974] n=40"
    assert describe(dataclasses.replace(wilson(37, 40), value=1 / 3)).startswith("0.333 [")
    assert describe(Estimate(0.5, 0.25, 0.75, 12000, "")) == "0.500 [0.250, 0.750] n=12000"
