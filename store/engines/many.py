"""Several queries searched with one matrix product: what each finds is what a flat search finds, to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from shotdex.store.types import Ids, Vectors

from .base import Filter
from .flat import Rows, faiss_module, in_order

MARGIN = 1e-5
"""A matrix product may differ by its rounding, some 1e-7, from FAISS's inner product, by which hits are ranked."""

FEW = 10
"""A filter that keeps fewer than one image in ten is searched by itself, over those images alone."""

BLOCK_BYTES = 2**20
"""Vectors that are multiplied at a time: they stay in the cache of a core."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A unit vector (D,), how many of the nearest images are wanted, and which images may be hits."""

    vector: Vectors
    k: int
    kept: Filter = field(default_factory=Filter)


def best_of_many(rows: Rows, requests: Sequence[Request]) -> list[tuple[Ids, Vectors]]:
    """Return for each request what `Rows.best` returns: ids and cosines, best first, ties by id."""
    found: list[tuple[Ids, Vectors]] = [(rows.ids[:0], np.empty(0, np.float32))] * len(requests)
    together: list[tuple[int, int, Ids | None]] = []
    for number, request in enumerate(requests):
        positions = rows.positions(request.kept)
        k = min(request.k, len(positions))
        if k and len(positions) * FEW >= len(rows.ids):
            together.append((number, k, None if len(positions) == len(rows.ids) else positions))
        elif k:
            found[number] = rows.best(np.ascontiguousarray(request.vector, np.float32), k, positions)
    if together:
        queries = np.stack([requests[number].vector for number, *_ in together]).astype(np.float32, copy=False)
        scores = products(queries, rows.vectors)
        for (number, k, within), query, own in zip(together, queries, scores, strict=True):
            found[number] = _refined(rows, query, k, own, within)
    return found


def products(queries: Vectors, vectors: Vectors) -> Vectors:
    """Return the inner products (Q, N) of some queries (Q, D) with vectors (N, D), which may be mapped from a file.

    There the vectors are not aligned, and numpy would copy all of them at once: into fresh memory, which costs ten
    times what multiplying does. They are copied part by part into the same place.
    """
    found = np.empty((len(queries), len(vectors)), np.float32)
    block = min(len(vectors), max(64, BLOCK_BYTES // (4 * vectors.shape[1])))
    place = np.empty((block, vectors.shape[1]), np.float32)
    for start in range(0, len(vectors), max(1, block)):
        part = vectors[start : start + block]
        np.copyto(place[: len(part)], part)
        found[:, start : start + len(part)] = queries @ place[: len(part)].T
    return found


def _refined(rows: Rows, query: Vectors, k: int, scores: Vectors, positions: Ids | None) -> tuple[Ids, Vectors]:
    """Return the k best, of which the products are computed again as a flat search computes them."""
    own = scores if positions is None else scores[positions]
    kth = np.partition(own, len(own) - k)[len(own) - k]
    near = np.flatnonzero(~(own < kth - MARGIN))  # NaN is kept, as in a flat search
    places = np.ascontiguousarray(near if positions is None else positions[near], dtype=np.int64)
    products, faiss = np.empty(len(places), np.float32), faiss_module()
    faiss.fvec_inner_products_by_idx(
        faiss.swig_ptr(products),
        faiss.swig_ptr(query),
        faiss.swig_ptr(rows.vectors),
        faiss.swig_ptr(places),
        rows.vectors.shape[1],
        1,
        len(places),
    )
    return in_order(rows.ids[places], products, k)
