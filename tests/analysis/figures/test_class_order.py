from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from shotdex.analysis.figures.class_order import best_leaf_order, clustered_order


def distances(matrix):
    rates = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    far = 1 - (rates + rates.T) / 2
    np.fill_diagonal(far, 0)
    return far


def tree_orders(tree, node, classes):
    """Yield every order of the leaves that the tree allows, by turning each branch both ways."""
    if node < classes:
        yield [node]
        return
    left, right = int(tree[node - classes, 0]), int(tree[node - classes, 1])
    for a, b in product(tree_orders(tree, left, classes), tree_orders(tree, right, classes)):
        yield a + b
        yield b + a


def length(order, far):
    return sum(far[a, b] for a, b in pairwise(order))


@pytest.mark.parametrize("seed", range(12))
def test_neighbours_are_as_alike_as_the_tree_allows(seed):
    """The naive twin tries every order of the tree; all classes are confused, so there is one group."""
    rng = np.random.default_rng(seed)
    matrix = rng.integers(1, 30, (7, 7))
    far = distances(matrix)
    tree = linkage(squareform(far, checks=False), "average")
    best = min(length(order, far) for order in tree_orders(tree, 12, 7))
    order = clustered_order(matrix)
    assert length(order.tolist(), far) == pytest.approx(best, abs=1e-12)
    assert order.tolist() in list(tree_orders(tree, 12, 7)) and order[0] < order[-1]


@pytest.mark.parametrize("matrix", [np.eye(9, dtype=int) * 5, np.zeros((9, 9), dtype=int), np.diag(np.arange(9))])
def test_without_confusions_the_order_stays(matrix):
    assert clustered_order(matrix).tolist() == list(range(9))


def test_groups_stand_where_their_first_class_stood():
    matrix = np.eye(6, dtype=int) * 9
    matrix[1, 4] = matrix[4, 1] = 3
    assert clustered_order(matrix).tolist() == [0, 1, 4, 2, 3, 5]
    matrix[5, 2] = 1  # in one direction only
    assert clustered_order(matrix).tolist() == [0, 1, 4, 2, 5, 3]


def test_shuffled_blocks_come_back_together():
    rng = np.random.default_rng(0)
    blocks = np.kron(np.eye(8), np.ones((5, 5))) * 10 + rng.integers(0, 3, (40, 40)) + np.eye(40) * 50
    shuffled = rng.permutation(40)
    order = clustered_order(blocks.astype(int)[np.ix_(shuffled, shuffled)])
    families = shuffled[order] // 5
    assert np.count_nonzero(np.diff(families)) == 7, "each family is one run"


def test_a_class_without_images_stands_by_what_is_taken_for_it():
    matrix = np.array([[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0], [4, 0, 0, 0]])
    assert clustered_order(matrix).tolist() == [0, 3, 1, 2]


@given(nps.arrays(np.int64, st.integers(0, 12).map(lambda n: (n, n)), elements=st.integers(0, 3)))
@settings(deadline=None)
def test_any_matrix_has_an_order_and_always_the_same(matrix):
    matrix.flags.writeable = False
    order = clustered_order(matrix)
    assert order.dtype == np.int64 and sorted(order.tolist()) == list(range(len(matrix)))
    assert clustered_order(matrix).tolist() == order.tolist()


def test_the_order_of_a_tree_without_balance():
    """Points on a line make a tree that adds one leaf after the other, and the best order is the line's."""
    places = np.cumsum(np.arange(1, 301.0))
    far = np.abs(places[:, None] - places)
    shuffled = np.random.default_rng(0).permutation(300)
    distance = far[np.ix_(shuffled, shuffled)]
    order = shuffled[best_leaf_order(linkage(squareform(distance), "single"), distance)]
    assert order.tolist() in (list(range(300)), list(range(299, -1, -1)))


@pytest.mark.parametrize("matrix", [np.zeros((2, 3), dtype=int), np.zeros(4, dtype=int), np.array([[1, -1], [0, 1]])])
def test_what_is_no_confusion_matrix_is_refused(matrix):
    with pytest.raises(ValueError, match="not a square one of counts"):
        clustered_order(matrix)
