from __future__ import annotations

from itertools import combinations, pairwise
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotdex.analysis.figures.labels import leader_end, place_labels, spread

AREA = (400.0, 300.0)
CLEAR = 5.0


def apart(one, size, other, extent):
    return bool(((one >= other + extent) | (one + size <= other)).any())


def assert_placed(anchors, sizes, corners):
    named = np.flatnonzero(~np.isnan(corners[:, 0]))
    for row in named:
        assert (corners[row] >= 0).all() and (corners[row] + sizes[row] <= np.array(AREA) + 1e-9).all(), "it is outside"
        for anchor in anchors:
            box = np.rint(anchor) - CLEAR
            assert apart(corners[row], sizes[row], box, np.full(2, 2 * CLEAR)), "it lies on an anchor"
    for a, b in combinations(named, 2):
        assert apart(corners[a] + 1e-6, sizes[a] - 2e-6, corners[b], sizes[b]), "two labels overlap"


places = st.tuples(st.floats(0, 400), st.floats(0, 300))
extents = st.tuples(st.floats(5, 120), st.floats(8, 30))


@given(st.lists(st.tuples(places, extents), min_size=1, max_size=15))
@settings(deadline=None, max_examples=60)
def test_no_label_lies_on_another_or_on_an_anchor_or_outside(labelled):
    anchors, sizes = (np.array(part, dtype=np.float64) for part in zip(*labelled, strict=True))
    anchors.flags.writeable = sizes.flags.writeable = False
    corners = place_labels(anchors, sizes, AREA, CLEAR)
    assert_placed(anchors, sizes, corners)
    assert np.array_equal(corners, place_labels(anchors, sizes, AREA, CLEAR), equal_nan=True)


def test_far_anchors_have_their_labels_next_to_them():
    anchors = np.array([[100.0, 100.0], [300.0, 100.0], [200.0, 250.0]])
    sizes = np.full((3, 2), [50.0, 12.0])
    corners = place_labels(anchors, sizes, AREA, CLEAR)
    ends = np.array([leader_end(a, c, s) for a, c, s in zip(anchors, corners, sizes, strict=True)])
    assert np.hypot(*(ends - anchors).T).max() < 15
    assert corners[0, 0] + 25 < 100 and corners[1, 0] + 25 > 300, "they turn away from each other"


def test_an_island_has_its_labels_in_a_column_whose_leaders_do_not_cross():
    anchors = np.array([350.0, 250.0]) + np.random.default_rng(0).normal(size=(9, 2)) * 6
    sizes = np.column_stack([np.linspace(40, 120, 9), np.full(9, 14.0)])
    corners = place_labels(anchors, sizes, AREA, CLEAR)
    assert_placed(anchors, sizes, corners)
    right = corners[:, 0] + sizes[:, 0]
    assert np.ptp(right) == pytest.approx(0, abs=1e-9) and right.max() < anchors[:, 0].min(), "flush, on the left"
    assert np.diff(np.sort(corners[:, 1])) == pytest.approx(14)
    lines = [(a, leader_end(a, c, s)) for a, c, s in zip(anchors, corners, sizes, strict=True)]
    assert not any(crossing(one, other) for one, other in combinations(lines, 2))


def crossing(one, other):
    def side(p, q, r):
        return np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    (a, b), (c, d) = one, other
    return side(a, b, c) != side(a, b, d) and side(c, d, a) != side(c, d, b)


def test_labels_without_room_are_left_out():
    sizes = np.full((60, 2), [90.0, 20.0])
    corners = place_labels(np.full((60, 2), [200.0, 150.0]), sizes, AREA, CLEAR)
    assert 10 < np.isnan(corners[:, 0]).sum() < 60
    assert_placed(np.array([[200.0, 150.0]]), sizes, corners)
    assert np.isnan(place_labels(np.array([[5.0, 5.0]]), np.array([[500.0, 10.0]]), AREA, CLEAR)).all()


def test_only_the_first_anchors_may_have_labels():
    anchors = np.random.default_rng(0).uniform(0, 300, (200, 2))
    sizes = np.full((5, 2), [30.0, 10.0])
    corners = place_labels(anchors, sizes, AREA, 2.0)
    assert corners.shape == (5, 2)
    assert place_labels(anchors, np.zeros((0, 2)), AREA, 2.0).shape == (0, 2)
    assert place_labels(np.zeros((0, 2)), np.zeros((0, 2)), AREA, 2.0).shape == (0, 2)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_spread_values_keep_their_order_and_distance(values):
    moved = spread(values, 0.05, 0.0, 1.0)
    order = sorted(range(len(values)), key=lambda index: values[index])
    placed = [moved[index] for index in order]
    assert all(later - earlier >= 0.05 - 1e-9 for earlier, later in pairwise(placed))
    assert all(0.025 - 1e-9 <= place <= 0.975 + 1e-9 for place in placed)


def test_values_that_are_apart_stay_and_too_many_are_nan():
    assert spread([0.9, 0.2, 0.5], 0.1, 0.0, 1.0) == [0.9, 0.2, 0.5]
    assert all(isnan(value) for value in spread([0.5] * 11, 0.1, 0.0, 1.0))
    assert spread([], 0.1, 0.0, 1.0) == []
