"""Which classes are confused: an order in which they stand together, and a list of the largest confusions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from shotdex.analysis.stats.proportions import wilson
from shotdex.store.types import Estimate

from . import style
from .drawing import number, theme
from .text import safe, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def best_leaf_order(tree: Floats, distance: Floats) -> Rows:
    """Return the tree's leaves such that the distances between neighbours have the smallest sum.

    Of all orders that turning the branches can give, 2^(N - 1), by Bar-Joseph, Gifford and Jaakkola (2001), "Fast
    optimal leaf ordering for hierarchical clustering", Bioinformatics 17, in O(N^3): 1,000 leaves take a second. SciPy
    1.17's `optimal_leaf_ordering` missed the optimum for 64 of 120 random trees of seven leaves (its issue 11227). Of
    several best orders it returns one that depends on the arguments alone.

    Args:
        tree: (N - 1, 4) float, as `scipy.cluster.hierarchy.linkage` gives it; N at least 2.
        distance: (N, N) float, symmetric.

    Returns:
        (N,) int64.
    """
    children = tree[:, :2].astype(np.int64)
    leaves = _leaves(children)
    # The cost of the best order of a branch that begins with u and ends with w stands in [u, w]: every two leaves are
    # the two ends of one branch only, the smallest with both.
    cost = np.zeros_like(distance)
    for left, right in children.tolist():
        across = distance[np.ix_(leaves[left], leaves[right])]
        joined = _min_plus(_inner(cost, leaves, children, left), across)
        ends = _min_plus(joined, _inner(cost, leaves, children, right))
        cost[np.ix_(leaves[left], leaves[right])] = ends
        cost[np.ix_(leaves[right], leaves[left])] = ends.T
    return _trace(cost, distance, leaves, children)


def _leaves(children: Rows) -> list[Rows]:
    """Return the leaves under each node: the leaves themselves first, the root last."""
    leaves = [np.array([leaf], dtype=np.int64) for leaf in range(len(children) + 1)]
    for left, right in children.tolist():
        leaves.append(np.concatenate([leaves[left], leaves[right]]))
    return leaves


def _inner(cost: Floats, leaves: list[Rows], children: Rows, node: int) -> Floats:
    """Return the costs of a branch by its two ends, (L, L); infinite for ends that it cannot have."""
    within = leaves[node]
    if len(within) == 1:
        return np.zeros((1, 1))
    size = len(leaves[children[node - len(children) - 1, 0]])
    block = cost[np.ix_(within, within)]
    block[:size, :size] = block[size:, size:] = np.inf
    return block


def _min_plus(one: Floats, other: Floats) -> Floats:
    """Return the smallest one[i, j] + other[j, k] over j, (I, K)."""
    if len(one) <= other.shape[1]:
        return np.array([(row[:, None] + other).min(axis=0) for row in one])
    return np.array([(one + column).min(axis=1) for column in other.T]).T


def _trace(cost: Floats, distance: Floats, leaves: list[Rows], children: Rows) -> Rows:
    """Return the order that the costs came from, from the root down."""
    count = len(children) + 1
    left, right = leaves[children[-1, 0]], leaves[children[-1, 1]]
    first, last = np.unravel_index(int(np.argmin(cost[np.ix_(left, right)])), (len(left), len(right)))
    waiting = [(len(leaves) - 1, int(left[first]), int(right[last]))]
    order: list[int] = []
    while waiting:
        node, begin, end = waiting.pop()
        if node < count:
            order.append(node)
            continue
        one, other = children[node - count].tolist()
        if begin not in leaves[one]:
            one, other = other, one
        before = _inner(cost, leaves, children, one)[leaves[one] == begin][0]
        after = _inner(cost, leaves, children, other)[leaves[other] == end][0]
        total = before[:, None] + distance[np.ix_(leaves[one], leaves[other])] + after
        inner, outer = np.unravel_index(int(np.argmin(total)), total.shape)
        waiting += [(other, int(leaves[other][outer]), end), (one, begin, int(leaves[one][inner]))]
    return np.array(order, dtype=np.int64)


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
        matrix: (C, C) int, rows the true classes, columns the predicted ones. A row without images counts as rates
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


_LONGEST_NAME = 22
_LARGE = 8.0  # inches
_HEADING = "Largest confusions: rate [95 % interval]"


@dataclass(frozen=True, slots=True)
class Confusion:
    """Images of the class numbered `true` taken for the class numbered `predicted`: `count`, and their `rate`."""

    true: int
    predicted: int
    count: int
    rate: Estimate


def largest_confusions(matrix: npt.NDArray[np.integer[Any]], most: int) -> list[Confusion]:
    """Return the largest confusions of a matrix, at most `most`, none with a count of 0.

    They stand by the lower end of the rate's Wilson interval, so that a class with a single image does not lead the
    list; ties by the numbers of the true, then the predicted class.

    Args:
        matrix: (C, C) int, rows the true classes, columns the predicted ones; the diagonal is not confusion.
        most: how many to return.
    """
    true, predicted = np.nonzero(matrix)
    counts, totals = matrix[true, predicted], matrix.sum(axis=1)[true]
    # A thousand classes have half a million pairs, but few different shares among them.
    shares, which = np.unique(np.stack([counts, totals], axis=1), axis=0, return_inverse=True)
    rates = [wilson(count, total) for count, total in shares.tolist()]
    low = np.array([rate.low for rate in rates])[which.ravel()]
    low[true == predicted] = -np.inf
    order = np.lexsort((predicted, true, -low))[: max(0, min(most, int((true != predicted).sum())))]
    return [
        Confusion(int(true[i]), int(predicted[i]), int(counts[i]), rates[int(which.ravel()[i])]) for i in order.tolist()
    ]


def _lines(found: Sequence[Confusion], labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what the list says: which class was taken for which, and how often."""
    pairs = [
        f"{safe(shorten(labels[one.true], _LONGEST_NAME))} → {safe(shorten(labels[one.predicted], _LONGEST_NAME))}"
        for one in found
    ]
    numbers = [
        f"{number(one.rate.value, 2)} [{number(one.rate.low, 2)}, {number(one.rate.high, 2)}]"
        f"  {one.count:,} of {one.rate.n:,}"
        for one in found
    ]
    return pairs, numbers


@dataclass(frozen=True, slots=True)
class List:
    """The list as it is written: both columns, and the text's size in points."""

    pairs: Sequence[str]
    numbers: Sequence[str]
    size: float

    @property
    def width(self) -> float:
        """Inches across that the list takes."""
        if not self.pairs:
            return 0.0
        return max(style.longest(self.pairs) + style.longest(self.numbers), len(_HEADING)) * 0.6 * self.size / 72 + 0.5


def plan_largest(matrix: npt.NDArray[np.integer[Any]], labels: Sequence[str], height: float) -> List:
    """Return the list for a matrix that is `height` inches high: 20 confusions in small print, or 30."""
    size, most = (theme().tick, 30) if height > _LARGE else (theme().small, 20)
    found = largest_confusions(matrix, min(most, int(height * 72 / (size * 1.55)) - 2))
    return List(*_lines(found, labels), size)


def draw_largest(figure: Figure, planned: List) -> None:
    """Write the list to the right of everything else; nothing where there is no confusion."""
    from matplotlib.lines import Line2D

    if not planned.pairs:
        return
    # A legend of two columns without handles: the layout keeps its place free, and its columns are aligned.
    written = [*planned.pairs, *planned.numbers]
    legend = figure.legend(
        [Line2D([], [], linestyle="") for _ in written],
        written,
        ncols=2,
        loc="outside right upper",
        title=_HEADING,
        fontsize=planned.size,
        title_fontsize=planned.size,
        frameon=False,
        labelcolor=theme().ink,
        alignment="left",
        handlelength=0,
        handletextpad=0,
        columnspacing=1.4,
    )
    legend.get_title().set_color(theme().muted)
