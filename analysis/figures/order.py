"""An order of classes in which those that are confused with each other stand together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .leaf_order import best_leaf_order

Order = npt.NDArray[np.int64]


def clustered_order(matrix: npt.NDArray[np.integer[Any]]) -> Order:
    """Return the classes of a confusion matrix, those that are confused with each other next to each other.

    The similarity of two classes is the mean of the two rates at which one is taken for the other. Average linkage on
    1 - similarity gives a tree, whose leaves stand such that neighbours are as similar as it allows (see
    `best_leaf_order`).

    Classes that no chain of confusions connects are not pulled about: each connected group stands where its first class
    stood, and starts with the end that comes first. So a matrix without confusions keeps its order, and the result
    depends on nothing but the matrix.

    Args:
        matrix: (C, C) int, rows the true classes, columns the predicted ones. A row without pictures counts as rates
            of 0.

    Returns:
        (C,) int64, a permutation: `matrix[order][:, order]` is the matrix in this order.

    Raises:
        ValueError: the matrix is not square, or has a negative count.
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or (counts < 0).any():
        raise ValueError(f"a matrix of shape {counts.shape} is not a square one of counts")
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    similar = (rates + rates.T) / 2
    np.fill_diagonal(similar, 0)
    ordered = [_ordered(similar, group) for group in _groups(similar)]
    return np.concatenate([np.zeros(0, dtype=np.int64), *ordered])


def _groups(similar: npt.NDArray[np.float64]) -> list[Order]:
    """Return the classes that some chain of confusions connects, group by group, by each group's first class."""
    from scipy.sparse.csgraph import connected_components

    if not len(similar):
        return []
    _, numbers = connected_components(similar > 0, directed=False)
    groups = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
    return sorted(groups, key=lambda group: int(group[0]))


def _ordered(similar: npt.NDArray[np.float64], group: Order) -> Order:
    """Return one connected group in its order, the end of the lower class first."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    if len(group) < 3:
        return group
    distance = 1 - similar[np.ix_(group, group)]
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    leaves: Order = group[best_leaf_order(tree, distance)]
    return leaves if leaves[0] < leaves[-1] else leaves[::-1]
