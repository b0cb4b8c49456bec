"""Cells: which vectors of a FAISS file lie together, so that a search need only look at those near its question.

An inverted file (IVF, Sivic and Zisserman 2003) by reference: centres made by spherical k-means, and for each the rows
of the vectors nearest to it. The vectors stay where they are and are scored as an exact search scores them, so every
cosine is exact; what can be missed is a vector in a cell that was not looked into.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shotdex.store.types import Ids, Vectors

from .flat_search import faiss_module

MEASURED_K = 10
"""Recall is measured for so many answers; for more of them as many times more cells are looked into."""

SAMPLE = 64
"""Vectors a cell that the centres are trained on."""

ROUNDS = 10
"""Rounds of k-means."""

CHUNK = 8_192
"""Vectors put into cells at a time."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Which share of the true ten nearest is found, over how many questions; and which share of the rows it takes."""

    value: float
    questions: int
    looked_at: float


@dataclass(frozen=True, slots=True)
class Changed:
    """How many rank-1 predictions of a run would be others if its images were looked up through the cells."""

    run: str
    images: int
    changed: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured when cells were built. `rows` they cover, of which `probes` cells are looked into.

    `asked` is the recall that was asked for; `texts` is None where the store remembers no text. Seconds are medians of
    one search over everything.
    """

    rows: int
    cells: int
    probes: int
    asked: float
    images: Recall
    texts: Recall | None
    exact_seconds: float
    seconds: float
    built_seconds: float
    runs: tuple[Changed, ...] = ()

    @property
    def times_faster(self) -> float:
        """How many searches through the cells take as long as an exact one."""
        return self.exact_seconds / self.seconds if self.seconds else math.nan


@dataclass(frozen=True, slots=True)
class Cells:
    """`centres` (C, D) are unit rows; `rows` (N,) those of a file, cell by cell: c has rows[starts[c]:starts[c + 1]].

    Of the cells, the `probes` nearest are looked into.
    """

    centres: Vectors
    starts: Ids
    rows: npt.NDArray[np.int32]
    probes: int
    figures: Figures | None = field(default=None, compare=False)

    def nearest(self, query: Vectors) -> Ids:
        """Return the cells for a vector (D,), nearest first."""
        return np.argsort(-(self.centres @ query), kind="stable")

    def positions(self, query: Vectors, k: int, wanted: Ids) -> Ids:
        """Return those of the `wanted` rows (rising) that a search for the k nearest looks at, rising; at least k.

        Rows that came after the cells were made are all looked at. A filter that leaves few rows has all of them looked
        at, too; one that leaves more has as many looked at as there would be without it, so further cells.
        """
        order, sizes = self.nearest(query), np.diff(self.starts)
        probes = min(len(order), self.probes * max(1, math.ceil(k / MEASURED_K)))
        enough = max(k, int(sizes[order[:probes]].sum()))
        if len(wanted) <= 2 * enough:
            return wanted
        covered = int(np.searchsorted(wanted, len(self.rows)))
        allowed = None
        if covered < len(self.rows):
            allowed = np.zeros(len(self.rows), dtype=np.bool_)
            allowed[wanted[:covered]] = True
            counted = np.concatenate([[0], np.cumsum(allowed[self.rows])])
            sizes = np.diff(counted[self.starts])
        last = int(np.searchsorted(np.cumsum(sizes[order]), enough)) + 1
        found = np.concatenate([self.rows[self.starts[c] : self.starts[c + 1]] for c in order[:last].tolist()])
        found = np.sort(found if allowed is None else found[allowed[found]]).astype(np.int64)
        return np.concatenate([found, wanted[covered:]])

    def of_rows(self) -> npt.NDArray[np.int32]:
        """Return the cell of each row (N,)."""
        cells = np.empty(len(self.rows), dtype=np.int32)
        cells[self.rows] = np.repeat(np.arange(len(self.centres), dtype=np.int32), np.diff(self.starts))
        return cells


def make_cells(vectors: Vectors, sample: Ids, count: int, seed: int, advance: Callable[[int], None]) -> Cells:
    """Put every vector (N, D) into one of `count` cells whose centres are trained on the rows of a sample.

    Beside the result it takes the memory of the sample. `advance` is told how many vectors were compared with every
    centre: `ROUNDS` times the sample, and then all.
    """
    centres = _centres(np.array(vectors[sample]), count, seed, advance)
    index = faiss_module().IndexFlatIP(vectors.shape[1])
    index.add(centres)
    cells = np.empty(len(vectors), dtype=np.int32)
    for start in range(0, len(vectors), CHUNK):
        # numpy copies what is not aligned, as a file's vectors are; FAISS would compare them more slowly.
        part = np.array(vectors[start : start + CHUNK])
        cells[start : start + len(part)] = index.search(part, 1)[1][:, 0]
        advance(len(part))
    starts = np.concatenate([[0], np.cumsum(np.bincount(cells, minlength=len(centres)))]).astype(np.int64)
    return Cells(centres, starts, np.argsort(cells, kind="stable").astype(np.int32), 1)


def _centres(sample: Vectors, count: int, seed: int, advance: Callable[[int], None]) -> Vectors:
    """Return unit rows (count, D). Round by round, so that the work can be watched, and ended."""
    faiss = faiss_module()
    centres = None
    for _ in range(ROUNDS):
        means = faiss.Kmeans(
            sample.shape[1], count, niter=1, spherical=True, seed=seed, min_points_per_centroid=1,
            max_points_per_centroid=len(sample),
        )  # fmt: skip
        means.train(sample, init_centroids=centres)
        centres = np.array(means.centroids, dtype=np.float32)
        advance(len(sample))
    assert centres is not None
    return centres
