from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from shotdex.analysis.baselines.consistency import error_consistency

answers = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def columns(rows: list[tuple[bool, bool]]) -> tuple[np.ndarray, np.ndarray]:
    a, b = (np.array([row[i] for row in rows], dtype=bool) for i in (0, 1))
    a.flags.writeable = b.flags.writeable = False
    return a, b


@given(answers)
def test_error_consistency_matches_a_naive_twin(rows: list[tuple[bool, bool]]) -> None:
    answer = error_consistency(*columns(rows))
    p_a, p_b = sum(a for a, _ in rows) / len(rows), sum(b for _, b in rows) / len(rows)
    observed = sum(a == b for a, b in rows) / len(rows)
    expected = p_a * p_b + (1 - p_a) * (1 - p_b)
    assert answer.n == len(rows)
    assert answer.observed == pytest.approx(observed, abs=1e-12)
    assert answer.expected == pytest.approx(expected, abs=1e-12)
    if len(set(rows)) == 1 and rows[0][0] == rows[0][1]:
        assert isnan(answer.kappa) and answer.expected == 1
    else:
        assert answer.kappa == pytest.approx((observed - expected) / (1 - expected), abs=1e-9)
        assert -1 <= answer.kappa <= 1


@given(answers.filter(lambda rows: len(set(rows)) > 1))
def test_kappa_is_what_scikit_learn_and_statsmodels_compute(rows: list[tuple[bool, bool]]) -> None:
    a, b = columns(rows)
    kappa = error_consistency(a, b).kappa
    assert kappa == pytest.approx(cohen_kappa_score(a, b), abs=1e-9)
    table = [
        [rows.count((True, True)), rows.count((True, False))],
        [rows.count((False, True)), rows.count((False, False))],
    ]
    assert kappa == pytest.approx(cohens_kappa(table, return_results=False), abs=1e-9)


def test_the_same_errors_agree_and_opposite_ones_disagree() -> None:
    right = np.array([True, False, True, False])
    assert error_consistency(right, right).kappa == 1
    assert error_consistency(right, ~right).kappa == -1
    assert error_consistency(right, np.array([True, True, False, False])).kappa == 0


def test_two_that_are_never_wrong_have_no_kappa() -> None:
    for value in (True, False):
        always = np.full(7, value)
        answer = error_consistency(always, always)
        assert isnan(answer.kappa)
        assert (answer.observed, answer.expected, answer.n) == (1, 1, 7)
    assert error_consistency(np.full(7, True), np.full(7, False)).kappa == 0


def test_no_images_have_no_agreement() -> None:
    nothing = np.array([], dtype=bool)
    answer = error_consistency(nothing, nothing)
    assert np.isnan([answer.kappa, answer.observed, answer.expected]).all() and answer.n == 0


def test_unequal_lengths_are_refused() -> None:
    two, one = np.array([True, False]), np.array([True])
    with pytest.raises(ValueError, match="answers for"):
        error_consistency(two, one)
