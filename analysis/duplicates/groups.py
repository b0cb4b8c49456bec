"""From pairs to groups, and which groups hold more than one label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .pairs import Rows

Flags = npt.NDArray[np.bool_]
"""One truth value an image, shape (N,)."""


def connected(count: int, first: Rows, second: Rows) -> Rows:
    """Return for each of `count` rows the lowest row that it is connected with, (N,) int64; its own where it is alone.

    Chains link: where a is near b and b near c, all three are one group, however far a is from c. So a group never
    splits a pair, its members can differ more than the threshold says, and a low threshold runs groups together.

    Args:
        count: how many rows there are.
        first: (P,) int64, one end of each pair.
        second: (P,) int64, the other end.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = (np.asarray(first, dtype=np.int32), np.asarray(second, dtype=np.int32))
    graph = coo_array((np.ones(len(first), dtype=bool), ends), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    _, lowest = np.unique(component, return_index=True)
    return np.asarray(lowest[component], dtype=np.int64)


def sizes(groups: Rows) -> Rows:
    """Return for each row how many rows its group has, itself included, (N,) int64."""
    return np.asarray(np.bincount(groups, minlength=len(groups))[groups], dtype=np.int64)


def elsewhere(groups: Rows, labels: Sequence[str | None]) -> Flags:
    """Return for each row whether its group holds another label than its own, (N,) bool.

    A row without a label is not flagged and flags no other: nothing is known of where it belongs.

    Args:
        groups: (N,) int64, as `connected` returns them.
        labels: N names, such as splits, or None.

    Raises:
        ValueError: the two differ in length.
    """
    held: dict[int, set[str]] = {}
    for group, label in zip(groups.tolist(), labels, strict=True):
        if label is not None:
            held.setdefault(group, set()).add(label)
    flags = (label is not None and len(held[group]) > 1 for group, label in zip(groups.tolist(), labels, strict=True))
    return np.fromiter(flags, dtype=bool, count=len(groups))


def first_of_each(groups: Rows) -> Flags:
    """Return which rows are the first of their group among the rows given, (N,) bool."""
    kept = np.zeros(len(groups), dtype=bool)
    kept[np.unique(groups, return_index=True)[1]] = True
    return kept
