"""Groups against a walk along the pairs, flags against loops over all rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.analysis.duplicates.pairs import connected, elsewhere, first_of_each, sizes

COUNT = 12
ends = st.lists(st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1)), max_size=14)
names = st.lists(st.sampled_from(["train", "test", "val", None]), min_size=COUNT, max_size=COUNT)


def joined(pairs: list[tuple[int, int]]) -> np.ndarray:
    both = np.array(pairs, np.int64).reshape(-1, 2)
    return connected(COUNT, both[:, 0], both[:, 1])


def walk(pairs: list[tuple[int, int]], start: int) -> set[int]:
    """Every row that can be reached from one, pair by pair."""
    reached, before = {start}, set[int]()
    while reached != before:
        before = set(reached)
        reached |= {b for a, b in pairs if a in before} | {a for a, b in pairs if b in before}
    return reached


@given(ends)
def test_groups_match_a_walk(pairs: list[tuple[int, int]]) -> None:
    groups = joined(pairs)
    assert groups.dtype == np.int64
    assert groups.tolist() == [min(walk(pairs, row)) for row in range(COUNT)]
    assert sizes(groups).tolist() == [len(walk(pairs, row)) for row in range(COUNT)]


@given(ends, names)
def test_labels_elsewhere_match_a_loop(pairs: list[tuple[int, int]], labels: list[str | None]) -> None:
    want = [
        labels[row] is not None and any(labels[other] not in (None, labels[row]) for other in walk(pairs, row))
        for row in range(COUNT)
    ]
    assert elsewhere(joined(pairs), labels).tolist() == want


@given(ends, st.sets(st.integers(0, COUNT - 1)))
def test_the_first_of_each_group_among_some_rows(pairs: list[tuple[int, int]], some: set[int]) -> None:
    rows = sorted(some)
    kept = first_of_each(joined(pairs)[np.array(rows, np.int64)])
    want = [not any(other < row and other in some for other in walk(pairs, row)) for row in rows]
    assert kept.tolist() == want


def test_nothing_to_join() -> None:
    none = np.empty(0, np.int64)
    assert connected(0, none, none).tolist() == []
    assert connected(3, none, none).tolist() == [0, 1, 2]
    assert sizes(none).tolist() == elsewhere(none, []).tolist() == first_of_each(none).tolist() == []


def test_as_many_labels_as_rows() -> None:
    with pytest.raises(ValueError, match="zip"):
        elsewhere(np.array([0, 0]), ["a"])


def test_inputs_are_not_written_to() -> None:
    first, second = np.array([0, 1]), np.array([1, 2])
    groups = np.array([0, 0, 0])
    for array in (first, second, groups):
        array.flags.writeable = False
    assert connected(3, first, second).tolist() == [0, 0, 0]
    assert first_of_each(groups).tolist() == [True, False, False]
