from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.analysis.metrics.confusion import confusion

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=60)


@given(pairs)
def test_confusion_matches_a_naive_twin(rows: list[tuple[int, int]]) -> None:
    truth, predicted = np.array([t for t, _ in rows], np.int64), np.array([p for _, p in rows], np.int64)
    truth.flags.writeable = predicted.flags.writeable = False
    matrix = confusion(truth, predicted, 4)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[rows.count((t, p)) for p in range(4)] for t in range(4)]


@pytest.mark.parametrize(("truth", "predicted"), [([3], [0]), ([0], [-1]), ([0, 1], [0])])
def test_classes_without_a_place_and_unequal_lengths_are_refused(truth: list[int], predicted: list[int]) -> None:
    with pytest.raises(ValueError, match=r"outside 0 to 2|true classes for"):
        confusion(np.array(truth), np.array(predicted), 3)
