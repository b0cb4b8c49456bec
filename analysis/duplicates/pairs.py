"""Every pair of vectors that are nearly the same, exactly and in bounded memory; and from pairs to groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotdex.store.errors import OptionError
from shotdex.store.progress import NoProgress, Progress
from shotdex.store.types import Vectors

Rows = npt.NDArray[np.int64]
"""Numbers of rows, from 0."""

ROWS, COLUMNS = 2048, 4096
"""A block of cosines: 32 MiB of float32."""

MOST = 10_000_000
"""Pairs kept before the search gives up: they take 0.3 GB, and nobody looks at so many."""

TOLERANCE = 1e-9
"""How far below the threshold a cosine may be and still reach it. Pairs are scored in float64, where a vector and its
copy may miss 1 by rounding, some 1e-16; a cosine of 1 - 1e-9 is an angle of 0.003 degrees."""

_RESCORED = 8192  # pairs scored in float64 at a time: 64 MiB at 512 dimensions


@dataclass(frozen=True, slots=True)
class Pairs:
    """P pairs of rows, each once, by rising `first`, then `second`: `first` < `second`, both (P,) int64; `cosine`
    (P,) float64 in [-1, 1].
    """

    first: Rows
    second: Rows
    cosine: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)


def near_pairs(vectors: Vectors, threshold: float, progress: Progress | None = None, most: int = MOST) -> Pairs:
    """Return every pair of rows whose cosine is at least `threshold`, less `TOLERANCE`.

    All N (N - 1) / 2 pairs are compared. Float32 blocks find the candidates, with a margin over what float32 can lose;
    each candidate is then scored in float64, so the answer does not depend on how the work was cut.

    Args:
        vectors: (N, D) float32, of any length: rows are made unit here. A row of zeros has no direction and is near
            nothing. With fewer than two rows there are no pairs.
        threshold: in (0, 1].
        progress: counts blocks, not images.
        most: pairs to give up at.

    Raises:
        OptionError: the threshold is outside (0, 1], or more than `most` pairs reach it.
        ValueError: a value that is not finite.
    """
    if not 0 < threshold <= 1:
        raise OptionError(f"{threshold:g} is not a valid threshold", "choose a cosine in (0, 1], such as 0.99")
    unit = _unit(vectors)
    margin = (vectors.shape[1] + 8) * 2.0**-24  # of a float32 dot product of unit vectors: D roundings, and theirs
    blocks = [(top, left) for top in range(0, len(unit), ROWS) for left in range(top, len(unit), COLUMNS)]
    shown = progress or NoProgress()
    shown.start(len(blocks))
    parts, found = [], 0
    for top, left in blocks:
        part = _rescored(vectors, *_candidates(unit, top, left, threshold - margin), threshold)
        parts.append(part)
        found += len(part)
        if found > most:
            raise OptionError(
                f"more than {most:,} pairs of images have a cosine of {threshold:g} or more",
                "raise --threshold, or search fewer images with --where",
            )
        shown.advance(1)
    return _joined(parts)


def _unit(vectors: Vectors) -> Vectors:
    if not np.isfinite(vectors).all():
        raise ValueError("the vectors hold values that are not finite")
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0)[:, None], dtype=np.float32)


def _candidates(unit: Vectors, top: int, left: int, least: float) -> tuple[Rows, Rows]:
    """Return the rows of pairs in one block that may reach the threshold, above the diagonal only."""
    cosines = unit[top : top + ROWS] @ unit[left : left + COLUMNS].T
    first, second = np.divmod(np.flatnonzero(cosines >= least), cosines.shape[1])
    above = first + top < second + left
    return first[above] + top, second[above] + left


def _rescored(vectors: Vectors, first: Rows, second: Rows, threshold: float) -> Pairs:
    """Return those of the pairs that reach the threshold in float64."""
    cosine = np.empty(len(first))
    for start in range(0, len(first), _RESCORED):
        part = slice(start, start + _RESCORED)
        a, b = vectors[first[part]].astype(np.float64), vectors[second[part]].astype(np.float64)
        squares = np.einsum("pd,pd->p", a, a) * np.einsum("pd,pd->p", b, b)
        with np.errstate(invalid="ignore"):  # a row of zeros: NaN, which reaches nothing
            cosine[part] = np.einsum("pd,pd->p", a, b) / np.sqrt(squares)
    reached = cosine >= threshold - TOLERANCE
    return Pairs(first[reached], second[reached], np.clip(cosine[reached], -1.0, 1.0))


def _joined(parts: list[Pairs]) -> Pairs:
    if not parts:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    first, second, cosine = (np.concatenate([getattr(p, name) for p in parts]) for name in Pairs.__slots__)
    order = np.lexsort((second, first))
    return Pairs(first[order], second[order], cosine[order])


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
