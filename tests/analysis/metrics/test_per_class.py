from __future__ import annotations

import warnings
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

from shotdex.analysis.metrics.confusion import PerClass, mean_per_class_recall, per_class

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=40)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    truth, predicted = (np.array([row[i] for row in rows], dtype=np.int64) for i in (0, 1))
    truth.flags.writeable = predicted.flags.writeable = False
    return truth, predicted


def naive(rows: list[tuple[int, int]], classes: int) -> list[tuple[float, float, float, int]]:
    """Recall, precision, F1 and support of each class, by going through the images one at a time."""
    out = []
    for c in range(classes):
        hits = sum(t == c and p == c for t, p in rows)
        missed = sum(t == c and p != c for t, p in rows)
        false = sum(t != c and p == c for t, p in rows)
        recall = hits / (hits + missed) if hits + missed else nan
        precision = hits / (hits + false) if hits + false else nan
        f1 = 2 * hits / (2 * hits + missed + false) if hits + missed + false else nan
        out.append((recall, precision, f1, hits + missed))
    return out


@given(pairs)
def test_per_class_matches_a_naive_twin(rows: list[tuple[int, int]]) -> None:
    answer = per_class(*columns(rows), 5)
    assert answer.support.dtype == np.int64
    table = np.column_stack([answer.recall, answer.precision, answer.f1, answer.support])
    np.testing.assert_allclose(table, np.array(naive(rows, 5)), rtol=0, atol=1e-15)


@given(pairs.filter(bool))
def test_per_class_is_what_scikit_learn_computes(rows: list[tuple[int, int]]) -> None:
    truth, predicted = columns(rows)
    expected = precision_recall_fscore_support(truth, predicted, labels=range(5), zero_division=np.nan)
    answer = per_class(truth, predicted, 5)
    for mine, theirs in zip((answer.precision, answer.recall, answer.f1, answer.support), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-12)


@given(pairs.filter(bool))
def test_mean_per_class_recall_is_scikit_learn_s_balanced_accuracy(rows: list[tuple[int, int]]) -> None:
    truth, predicted = columns(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that some predicted classes have no images
        expected = balanced_accuracy_score(truth, predicted)
    assert mean_per_class_recall(truth, predicted, 5) == pytest.approx(expected, abs=1e-12)


def test_the_mean_recall_weighs_classes_not_images() -> None:
    truth, predicted = columns([(0, 0)] * 9 + [(1, 0)])
    assert mean_per_class_recall(truth, predicted, 3) == 0.5  # accuracy is .9, and class 2 has no images


def test_what_is_undefined_is_nan_and_what_is_nought_is_nought() -> None:
    # Class 0: images, never predicted. 1: predicted, no images. 2: neither.
    answer = per_class(*columns([(0, 1), (0, 1)]), 3)
    for name, expected in {"recall": [0, nan, nan], "precision": [nan, 0, nan], "f1": [0, 0, nan]}.items():
        np.testing.assert_array_equal(getattr(answer, name), expected)
    assert answer.support.tolist() == [2, 0, 0]


def test_nothing_has_no_recall() -> None:
    truth, predicted = columns([])
    answer = per_class(truth, predicted, 2)
    assert isinstance(answer, PerClass)
    assert np.isnan([answer.recall, answer.precision, answer.f1]).all()
    assert isnan(mean_per_class_recall(truth, predicted, 2))


def test_classes_without_a_place_are_refused() -> None:
    for metric in (per_class, mean_per_class_recall):
        with pytest.raises(ValueError, match="outside 0 to 1"):
            metric(np.array([2]), np.array([0]), 2)
