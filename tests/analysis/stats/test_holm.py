from __future__ import annotations

from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from shotdex.analysis.stats.paired import holm

# Few distinct values, so that ties come up, and values near 0, where nothing is capped.
p_values = st.lists(st.one_of(st.floats(0, 1), st.floats(0, 0.01), st.sampled_from([0.0, 0.01, 0.2, 1.0])), max_size=12)


def naive(raw: list[float]) -> list[float]:
    """Each p value against all: the largest of (how many are not below q) x q over the q up to it, at most 1."""
    made = [p for p in raw if p == p]
    steps = {q: q * sum(other >= q for other in made) for q in made}
    return [min(1.0, max(steps[q] for q in made if q <= p)) if p == p else nan for p in raw]


@given(st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.01, 0.2, nan])), max_size=12))
def test_holm_matches_a_naive_twin(raw: list[float]) -> None:
    array = np.array(raw)
    array.flags.writeable = False
    np.testing.assert_allclose(holm(array), naive(raw), rtol=1e-12, atol=0)


# One call to multipletests takes 70 ms.
@settings(max_examples=25, deadline=None)
@given(p_values.filter(bool))
def test_holm_is_what_statsmodels_computes(raw: list[float]) -> None:
    expected = multipletests(raw, method="holm")[1]
    np.testing.assert_allclose(holm(raw), expected, rtol=0, atol=1e-12)


def test_a_single_test_is_left_as_it_is() -> None:
    assert holm([0.03]).tolist() == [0.03]


def test_the_order_is_kept_and_one_is_the_most() -> None:
    np.testing.assert_allclose(holm([0.4, 0.01, 0.03]), [0.4, 0.03, 0.06], rtol=1e-15)
    assert holm([0.9, 0.8]).tolist() == [1, 1]


def test_a_test_that_was_not_made_stays_nan_and_does_not_count() -> None:
    np.testing.assert_array_equal(holm([nan, 0.02, nan]), [nan, 0.02, nan])
    np.testing.assert_array_equal(holm([nan]), [nan])
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("raw", [[1.01], [0.5, -0.1], [np.inf]])
def test_what_is_no_p_value_is_refused(raw: list[float]) -> None:
    with pytest.raises(ValueError, match="not a list of p values"):
        holm(raw)
    with pytest.raises(ValueError, match="not a list of p values"):
        holm(np.array([[0.5]]))
