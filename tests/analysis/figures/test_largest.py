from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from shotdex.analysis.figures.class_order import largest_confusions


def test_they_stand_by_the_lower_end_of_their_intervals():
    """The naive twin takes the intervals from statsmodels."""
    matrix = np.random.default_rng(0).integers(0, 40, (6, 6))
    matrix[2] = [0, 0, 0, 1, 0, 0]  # 1 of 1 is no large confusion
    expected = []
    for true in range(6):
        for predicted in range(6):
            if true != predicted and matrix[true, predicted]:
                n = matrix[true].sum()
                low, high = proportion_confint(matrix[true, predicted], n, method="wilson")
                expected.append((-low, true, predicted, matrix[true, predicted], n, high))
    expected.sort()
    found = largest_confusions(matrix, 100)
    assert len(found) == len(expected) > 20
    for one, (low, true, predicted, count, n, high) in zip(found, expected, strict=True):
        assert (one.true, one.predicted, one.count, one.rate.n) == (true, predicted, count, n)
        assert (one.rate.value, one.rate.low, one.rate.high) == pytest.approx((count / n, -low, high), abs=1e-12)
    assert [(one.true, one.predicted) for one in found].index((2, 3)) > 0
    assert largest_confusions(matrix, 3) == found[:3]


def test_ties_stand_by_class_and_nothing_is_no_confusion():
    assert largest_confusions(np.eye(3, dtype=int), 5) == []
    matrix = np.array([[1, 1, 1], [1, 1, 1], [0, 0, 0]])
    assert [(one.true, one.predicted) for one in largest_confusions(matrix, 5)] == [(0, 1), (0, 2), (1, 0), (1, 2)]
