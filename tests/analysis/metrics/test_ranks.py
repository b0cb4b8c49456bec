from __future__ import annotations

from fractions import Fraction
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score

from shotdex.analysis.metrics.shares import mean_reciprocal_rank


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=50))
def test_the_mean_reciprocal_rank_matches_a_naive_twin(ranks: list[int]) -> None:
    array = np.array(ranks, dtype=np.int16)
    array.flags.writeable = False
    expected = sum(Fraction(1, rank) for rank in ranks) / len(ranks)
    assert mean_reciprocal_rank(array) == pytest.approx(float(expected), rel=1e-12)


def test_it_is_scikit_learn_s_label_ranking_precision_with_one_label() -> None:
    rng = np.random.default_rng(8)
    scores, truth = rng.normal(size=(200, 12)), rng.integers(0, 12, 200)
    ranks = 1 + (scores > scores[np.arange(200), truth][:, None]).sum(axis=1)
    expected = label_ranking_average_precision_score(np.eye(12)[truth], scores)
    assert mean_reciprocal_rank(ranks) == pytest.approx(expected, abs=1e-12)


def test_no_images_have_no_rank() -> None:
    assert isnan(mean_reciprocal_rank(np.array([], dtype=np.int64)))


@pytest.mark.parametrize("rank", [0, -1])
def test_ranks_below_one_are_refused(rank: int) -> None:
    with pytest.raises(ValueError, match="count from 1"):
        mean_reciprocal_rank(np.array([1, rank]))
