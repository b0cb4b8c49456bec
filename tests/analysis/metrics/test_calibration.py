from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from shotdex.analysis.metrics.calibration import expected_calibration_error, reliability
from shotdex.analysis.stats.proportions import wilson

# Half of the probabilities fall on an edge of ten or fifteen bins, where the side they go to matters.
chances = st.one_of(st.floats(0, 1), st.sampled_from([i / 10 for i in range(11)] + [i / 15 for i in range(16)]))
answers = st.lists(st.tuples(chances, st.booleans()), max_size=40)


def columns(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    probability, correct = np.array([p for p, _ in rows]), np.array([c for _, c in rows], dtype=bool)
    probability.flags.writeable = correct.flags.writeable = False
    return probability, correct


def naive_bins(rows: list[tuple[float, bool]], bins: int) -> list[list[tuple[float, bool]]]:
    """The rows in each bin: above its lower edge and at most its upper one, 0 in the first."""
    return [
        [row for row in rows if b / bins < row[0] <= (b + 1) / bins or (b == 0 and row[0] == 0)] for b in range(bins)
    ]


@given(answers, st.sampled_from([1, 2, 10, 15]))
def test_reliability_matches_a_naive_twin(rows: list[tuple[float, bool]], bins: int) -> None:
    answer = reliability(*columns(rows), bins)
    expected = naive_bins(rows, bins)
    assert answer.counts.dtype == np.int64
    assert answer.counts.tolist() == [len(inside) for inside in expected]
    assert answer.edges.tolist() == [b / bins for b in range(bins + 1)]
    for b, inside in enumerate(expected):
        share = wilson(sum(right for _, right in inside), len(inside))
        np.testing.assert_array_equal(
            [answer.accuracy[b], answer.low[b], answer.high[b]], [share.value, share.low, share.high]
        )
        mean = sum(p for p, _ in inside) / len(inside) if inside else nan
        np.testing.assert_allclose(answer.confidence[b], mean, rtol=0, atol=1e-12)


@given(answers, st.sampled_from([1, 2, 10, 15]))
def test_the_calibration_error_matches_a_naive_twin(rows: list[tuple[float, bool]], bins: int) -> None:
    expected = 0.0 if rows else nan
    for inside in naive_bins(rows, bins):
        if inside:
            gap = sum(c for _, c in inside) / len(inside) - sum(p for p, _ in inside) / len(inside)
            expected += len(inside) / len(rows) * abs(gap)
    np.testing.assert_allclose(expected_calibration_error(*columns(rows), bins), expected, rtol=0, atol=1e-12)


def test_the_bins_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    probability = rng.beta(4, 2, 500)
    correct = rng.random(500) < probability**2
    accuracy, confidence = calibration_curve(correct, probability, n_bins=15)
    answer = reliability(probability, correct)
    filled = answer.counts > 0
    assert 0 < (~filled).sum() < 15
    np.testing.assert_allclose(answer.accuracy[filled], accuracy, rtol=0, atol=1e-12)
    np.testing.assert_allclose(answer.confidence[filled], confidence, rtol=0, atol=1e-12)
    assert np.isnan(answer.accuracy[~filled]).all() and np.isnan(answer.confidence[~filled]).all()
    gaps = answer.counts[filled] / 500 * np.abs(accuracy - confidence)
    assert expected_calibration_error(probability, correct) == pytest.approx(gaps.sum(), abs=1e-12)


def test_a_model_that_is_sure_and_always_wrong_has_the_largest_error() -> None:
    assert expected_calibration_error(np.ones(4), np.zeros(4, dtype=bool)) == 1
    assert expected_calibration_error(np.ones(4), np.ones(4, dtype=bool)) == 0


def test_no_images_have_no_calibration() -> None:
    nothing = np.array([]), np.array([], dtype=bool)
    assert isnan(expected_calibration_error(*nothing))
    answer = reliability(*nothing, 4)
    assert answer.counts.tolist() == [0, 0, 0, 0]
    assert np.isnan([answer.confidence, answer.accuracy, answer.low, answer.high]).all()


@pytest.mark.parametrize("wrong", [-0.01, 1.01, nan, np.inf])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    for metric in (reliability, expected_calibration_error):
        with pytest.raises(ValueError, match="outside 0 to 1"):
            metric(np.array([0.5, wrong]), np.array([True, True]))


def test_unequal_lengths_and_no_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="probabilities for"):
        reliability(np.array([0.5]), np.array([True, False]))
    with pytest.raises(ValueError, match="0 bins"):
        reliability(np.array([0.5]), np.array([True]), 0)
