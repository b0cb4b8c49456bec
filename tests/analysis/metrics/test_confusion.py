from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from shotdex.analysis.metrics.confusion import confusion, confusion_at_k, rates
from shotdex.analysis.metrics.shares import top_k

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=60)


def frozen(values: object) -> np.ndarray:
    array = np.array(values, dtype=np.int64)
    array.flags.writeable = False
    return array


@given(pairs)
def test_confusion_matches_a_naive_twin(rows: list[tuple[int, int]]) -> None:
    matrix = confusion(frozen([t for t, _ in rows]), frozen([p for _, p in rows]), 4)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[rows.count((t, p)) for p in range(4)] for t in range(4)]


def test_confusion_and_rates_are_what_scikit_learn_computes() -> None:
    rng = np.random.default_rng(3)
    truth, predicted = rng.integers(0, 5, 200), rng.integers(0, 7, 200)
    matrix = confusion(truth, predicted, 7)
    np.testing.assert_array_equal(matrix, confusion_matrix(truth, predicted, labels=range(7)))
    expected = confusion_matrix(truth, predicted, labels=range(7), normalize="true")
    np.testing.assert_allclose(rates(matrix)[:5], expected[:5], rtol=0, atol=1e-15)
    assert np.isnan(rates(matrix)[5:]).all()  # scikit-learn gives the two classes without images rates of 0


@pytest.mark.parametrize(("truth", "predicted"), [([3], [0]), ([0], [-1]), ([0, 1], [0])])
def test_classes_without_a_place_and_unequal_lengths_are_refused(truth: list[int], predicted: list[int]) -> None:
    with pytest.raises(ValueError, match=r"outside 0 to 2|true classes for"):
        confusion(np.array(truth), np.array(predicted), 3)


rankings = st.lists(st.tuples(st.integers(0, 3), st.permutations(range(4))), max_size=40)
"""Images as (true class, classes from best to worst)."""


@given(rankings, st.integers(1, 4))
def test_confusion_at_k_matches_a_naive_twin_that_looks_into_the_rankings(
    rows: list[tuple[int, list[int]]], k: int
) -> None:
    truth, first = frozen([t for t, _ in rows]), frozen([order[0] for _, order in rows])
    true_rank = frozen([order.index(t) + 1 for t, order in rows])
    expected = np.zeros((4, 4), np.int64)
    for t, order in rows:
        expected[t, t if t in order[:k] else order[0]] += 1
    matrix = confusion_at_k(truth, first, true_rank, 4, k)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == expected.tolist()
    if k == 1:
        assert matrix.tolist() == confusion(truth, first, 4).tolist()
    if rows:
        assert matrix.trace() / len(rows) == top_k(true_rank, 4)[k - 1].value


@pytest.mark.parametrize(
    ("ranks", "k", "message"),
    [([1, 2], 0, "k is 0"), ([1, 2], 4, "k is 4"), ([0, 2], 1, "outside 1 to 3"), ([1, 4], 1, "outside 1 to 3")],
)
def test_what_cannot_be_a_rank_is_refused(ranks: list[int], k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confusion_at_k(np.array([0, 1]), np.array([0, 2]), np.array(ranks), 3, k)


def test_ranks_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="ranks for"):
        confusion_at_k(np.array([0, 1]), np.array([0, 2]), np.array([1]), 3, 1)


def test_rates_of_a_class_without_images_are_undefined() -> None:
    counts = frozen([[3, 1], [0, 0]])
    answer = rates(counts)
    assert answer.dtype == np.float64
    assert answer[0].tolist() == [0.75, 0.25]
    assert np.isnan(answer[1]).all()
    assert rates(np.zeros((0, 0), np.int64)).shape == (0, 0)
