"""The class that the nearest training images have: exact cosine k-nearest-neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt

from shotdex.store.types import Vectors

from .problem import Codes, Problem, validation_split

CANDIDATES = (1, 3, 5, 10, 20, 50)
"""The numbers of neighbours to choose from."""

EXTRA = 16
"""How many more than k are fetched, so that equal scores at the edge can be put in order."""

VOTES_AT_ONCE = 16_777_216
"""Cells of the table of votes, images by classes, that are held at a time."""

Neighbours = npt.NDArray[np.int64]
"""For each of N queries the rows of its k nearest vectors, nearest first, shape (N, k)."""


@dataclass(frozen=True, slots=True)
class NeighboursResult:
    """`predicted` (M,) int64 classes of the test images, from the `k` nearest of all training images.

    `accuracies` are those of every candidate k on the `validation` images of the training part; NaN without any.
    """

    k: int
    accuracies: dict[int, float]
    validation: int
    predicted: Codes


def neighbours_probe(problem: Problem, seed: int = 0) -> NeighboursResult:
    """Classify the test vectors by majority among their nearest training vectors.

    k is the candidate with the best accuracy on the validation part of the training images (`validation_split`), with
    the rest of them as neighbours; among equals the smallest. Where no class has two training images there is nothing
    to choose on, and k is 1. Test images and their classes have no part in it.
    """
    fit, validation = validation_split(problem.train_codes, seed)
    fitting = [k for k in CANDIDATES if k <= len(fit)]
    found = nearest(problem.train[fit], problem.train[validation], fitting[-1])
    near_codes, truth = problem.train_codes[fit][found], problem.train_codes[validation]
    accuracies = {
        k: float((vote(near_codes[:, :k], problem.classes) == truth).mean()) if len(truth) else nan for k in fitting
    }
    k = max(fitting, key=lambda k: (accuracies[k], -k)) if len(truth) else 1
    near = nearest(problem.train, problem.test, k)
    return NeighboursResult(k, accuracies, len(truth), vote(problem.train_codes[near], problem.classes))


def nearest(vectors: Vectors, queries: Vectors, k: int) -> Neighbours:
    """Return the rows of the k vectors with the highest inner product with each query, best first.

    Every pair is compared (FAISS's flat index), in float32; equal scores stand in the order of their rows.

    Args:
        vectors: (N, D) float32, N >= k; unit rows make the inner product the cosine.
        queries: (M, D) float32.
        k: from 1 to N.

    Returns:
        (M, k) int64.

    Raises:
        ValueError: k is outside 1 to N.
    """
    import faiss

    if not 1 <= k <= len(vectors):
        raise ValueError(f"cannot find {k} neighbours among {len(vectors)} vectors")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    asked = np.ascontiguousarray(queries, dtype=np.float32)
    found = np.empty((len(asked), k), dtype=np.int64)
    open_rows, fetch = np.arange(len(asked)), min(k + EXTRA, len(vectors))
    while len(open_rows):
        scores, rows = index.search(asked[open_rows], fetch)
        order = np.lexsort((rows, -scores), axis=1)
        scores, rows = np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)
        found[open_rows] = rows[:, :k]
        # A tie that runs past the last one fetched could hide a lower row: fetch more until it does not.
        tied = scores[:, -1] == scores[:, k - 1]
        if fetch == len(vectors):
            break
        open_rows, fetch = open_rows[tied], min(fetch * 4, len(vectors))
    return found


def vote(near_codes: Codes, classes: int) -> Codes:
    """Return the class that most neighbours have; among classes with as many, that of the nearest neighbour.

    Args:
        near_codes: (N, k) int64, the classes of each image's neighbours, nearest first; k >= 1.
        classes: how many classes there are.

    Returns:
        (N,) int64.
    """
    winners = np.empty(len(near_codes), dtype=np.int64)
    step = max(VOTES_AT_ONCE // classes, 1)
    for start in range(0, len(near_codes), step):
        part = near_codes[start : start + step]
        row = np.arange(len(part))[:, None]
        votes = np.bincount((row * classes + part).ravel(), minlength=len(part) * classes).reshape(-1, classes)
        leading = np.take_along_axis(votes, part, axis=1) == votes.max(axis=1, keepdims=True)
        winners[start : start + step] = part[row[:, 0], leading.argmax(axis=1)]
    return winners
