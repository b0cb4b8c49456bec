"""An inverted file: which vectors lie together, so that a search need only compare those near its query.

An inverted file (IVF, Sivic and Zisserman 2003) by reference: centroids made by spherical k-means, and for each a list
of the rows nearest to it. The vectors stay where they are and are compared as a flat search compares them, so every
cosine is exact; what can be missed is a vector in a list that was not searched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shotdex.store.types import Ids, Vectors

from .flat import faiss_module

MEASURED_K = 10
"""Recall is measured for so many hits; for more of them as many times more lists are searched."""

LEAST = 10_000
"""Images below which exact search takes a few milliseconds."""

SAMPLE = 64
"""Vectors per centroid that the centroids are trained on."""

ROUNDS = 10
"""Rounds of k-means."""

CHUNK = 8_192
"""Vectors put into lists at a time."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Which share of the true ten nearest is found, over how many queries; and which share of the rows is compared."""

    value: float
    questions: int
    looked_at: float


@dataclass(frozen=True, slots=True)
class Changed:
    """How many rank-1 predictions of a run would change if its images were found through the inverted file."""

    run: str
    images: int
    changed: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured when an inverted file was built: over `rows` vectors, `cells` centroids, nprobe `probes`.

    `asked` is the recall to be reached; `texts` is None if the store remembers no text. Seconds are medians of one
    search over everything. The names of the fields are those of the file and of the JSON output.
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
        """How many searches through the inverted file take as long as an exact one."""
        return self.exact_seconds / self.seconds if self.seconds else math.nan


@dataclass(frozen=True, slots=True)
class InvertedFile:
    """`centroids` (C, D) are unit rows; `rows` (N,) those of a file, list by list: c has rows[starts[c]:starts[c + 1]].

    Of the lists, those of the `nprobe` nearest centroids are searched.
    """

    centroids: Vectors
    starts: Ids
    rows: npt.NDArray[np.int32]
    nprobe: int
    figures: Figures | None = field(default=None, compare=False)

    def nearest(self, query: Vectors) -> Ids:
        """Return the centroids for a vector (D,), nearest first."""
        return np.argsort(-(self.centroids @ query), kind="stable")

    def positions(self, query: Vectors, k: int, kept: Ids) -> Ids:
        """Return those of the `kept` rows (rising) that a search for the k nearest compares, rising; at least k.

        Rows that came after the inverted file was made are all compared. A filter that leaves few rows has all of them
        compared, too; one that leaves more has as many compared as there would be without it, so further lists.
        """
        order, sizes = self.nearest(query), np.diff(self.starts)
        nprobe = min(len(order), self.nprobe * max(1, math.ceil(k / MEASURED_K)))
        enough = max(k, int(sizes[order[:nprobe]].sum()))
        if len(kept) <= 2 * enough:
            return kept
        covered = int(np.searchsorted(kept, len(self.rows)))
        allowed = None
        if covered < len(self.rows):
            allowed = np.zeros(len(self.rows), dtype=np.bool_)
            allowed[kept[:covered]] = True
            counted = np.concatenate([[0], np.cumsum(allowed[self.rows])])
            sizes = np.diff(counted[self.starts])
        last = int(np.searchsorted(np.cumsum(sizes[order]), enough)) + 1
        found = np.concatenate([self.rows[self.starts[c] : self.starts[c + 1]] for c in order[:last].tolist()])
        found = np.sort(found if allowed is None else found[allowed[found]]).astype(np.int64)
        return np.concatenate([found, kept[covered:]])

    def centroid_of_rows(self) -> npt.NDArray[np.int32]:
        """Return the centroid of each row (N,)."""
        of_rows = np.empty(len(self.rows), dtype=np.int32)
        of_rows[self.rows] = np.repeat(np.arange(len(self.centroids), dtype=np.int32), np.diff(self.starts))
        return of_rows


def train_inverted_file(
    vectors: Vectors, sample: Ids, count: int, seed: int, advance: Callable[[int], None]
) -> InvertedFile:
    """Put every vector (N, D) into the list of one of `count` centroids, which are trained on the rows of a sample.

    Besides the result it takes the memory of the sample. `advance` is called with how many vectors were compared with
    every centroid: `ROUNDS` times the sample, and then all. Only the nearest list is searched until `nprobe` is set.
    """
    centroids = _centroids(np.array(vectors[sample]), count, seed, advance)
    index = faiss_module().IndexFlatIP(vectors.shape[1])
    index.add(centroids)
    nearest = np.empty(len(vectors), dtype=np.int32)
    for start in range(0, len(vectors), CHUNK):
        # numpy copies what is not aligned, as a file's vectors are; FAISS would compare them more slowly.
        part = np.array(vectors[start : start + CHUNK])
        nearest[start : start + len(part)] = index.search(part, 1)[1][:, 0]
        advance(len(part))
    starts = np.concatenate([[0], np.cumsum(np.bincount(nearest, minlength=len(centroids)))]).astype(np.int64)
    return InvertedFile(centroids, starts, np.argsort(nearest, kind="stable").astype(np.int32), 1)


def _centroids(sample: Vectors, count: int, seed: int, advance: Callable[[int], None]) -> Vectors:
    """Return unit rows (count, D). Round by round, so that the work can be watched, and ended."""
    faiss = faiss_module()
    centroids = None
    for _ in range(ROUNDS):
        means = faiss.Kmeans(
            sample.shape[1], count, niter=1, spherical=True, seed=seed, min_points_per_centroid=1,
            max_points_per_centroid=len(sample),
        )  # fmt: skip
        means.train(sample, init_centroids=centroids)
        centroids = np.array(means.centroids, dtype=np.float32)
        advance(len(sample))
    assert centroids is not None
    return centroids
