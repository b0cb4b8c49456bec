"""From candidates that an engine proposes to the exact answer, or to the proof that there is none to be had from it.

An engine elsewhere has its own rounding, its own order of equal vectors, and often an index that misses some. It only
proposes rows; the cosines are computed here, and further rows are fetched until none that is missing can be a hit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from shotdex.store.types import Ids, Vectors

MARGIN = 16
"""Rows that are fetched beyond the k that are needed: enough to see a gap where few vectors are nearly equal."""

GAP = 4e-6
"""Twice the error, 2e-6, that an engine's own cosine of two unit vectors may have: rounding makes a tenth of it."""

WIDER = 4
"""How many times as many rows the next request is for."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The images of proposed rows that may be hits, with exact cosines (N,), best first, ties by id.

    `worst` is the lowest exact cosine of any proposed row, hit or not; infinite where no vector of one is known.
    """

    ids: Ids
    cosines: Vectors
    worst: float


class Proposer(Protocol):
    """An engine, for one query and one filter."""

    @property
    def most(self) -> int:
        """How many rows one request may be for."""

    @property
    def allowed(self) -> int:
        """How many of the images that the engine has may be hits."""

    def propose(self, count: int) -> Ids:
        """Return its best rows: `count` of them, or all that it has, or thinks that it has, for this filter."""

    def score(self, rows: Ids) -> Scored:
        """Compute the cosines of the images that some rows stand for."""


def settled(proposer: Proposer, k: int) -> tuple[Ids, Vectors] | None:
    """Return ids and cosines of the k best images, or of all allowed ones if these are fewer; None: not from here.

    The rows that an engine leaves out are, by its own cosines, no better than any that it returns. So an image that
    was not proposed is better than the worst that was by less than `GAP`, and no hit once the k-th is further away.
    None is returned where that cannot be reached within `most` rows, and where an engine that has no further rows has
    not proposed every allowed image, fewer than min(k, allowed) hits in particular: it missed some. The caller then
    compares every vector.
    """
    k, count = min(k, proposer.allowed), 0
    if k < 1:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    while count < proposer.most:
        count = min(max(k + MARGIN, count * WIDER), proposer.most)
        rows = proposer.propose(count)
        found = proposer.score(rows)
        if len(found.ids) == proposer.allowed:
            return found.ids[:k], found.cosines[:k]
        if len(rows) < count:
            return None
        if len(found.ids) >= k and found.worst + GAP < found.cosines[k - 1]:
            return found.ids[:k], found.cosines[:k]
    return None
