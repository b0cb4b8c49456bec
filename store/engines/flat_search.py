"""Scanning vectors for those nearest to one: exact, by FAISS's own inner product, on every core."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt

from shotdex.store.types import Ids, Vectors

BLOCK = 16_384
"""Rows scored between two looks at the k-th best; bounds memory, and keeps what cannot be among the best off it."""

ALONE = 8_192
"""Rows below which one core does it all: less is done before another has begun."""

SPARSE = 16
"""Ids are looked up in a table of bytes where the highest is at most so many times their number."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rows:
    """Vectors (N, D), in memory or mapped, and the image of each; `present` marks those that may be answers."""

    ids: Ids
    vectors: Vectors
    present: Mask

    def wanted(self, allowed: Ids | None) -> Ids:
        """Return the positions, rising, of those that may be answers, of some ids only where `allowed` names them."""
        return np.flatnonzero(self.present if allowed is None else self.present & among(self.ids, allowed))


def faiss_module() -> Any:
    """Import FAISS: late, for commands that do not search; untyped, because its stubs leave out its wrappers."""
    import faiss

    return faiss


def faiss_ahead() -> None:
    """Begin to import FAISS beside what else there is to do before a search: for a first answer that is much."""

    def load() -> None:
        with suppress(ImportError):  # said where it is needed
            faiss_module()

    Thread(target=load, name="faiss").start()


def among(ids: Ids, others: Ids) -> Mask:
    """Return for each id whether it is among others; both are above -1."""
    if len(others) == 0 or len(ids) == 0:
        return np.zeros(len(ids), dtype=np.bool_)
    top = int(max(ids.max(), others.max()))
    if top > SPARSE * (len(ids) + len(others)) or min(ids.min(), others.min()) < 0:
        return np.isin(ids, others)
    table = np.zeros(top + 1, dtype=np.bool_)
    table[others] = True
    found: Mask = table[ids]
    return found


def nearest(vectors: Vectors, query: Vectors, k: int, positions: Ids) -> tuple[Ids, Vectors]:
    """Return the positions and inner products of the k rows nearest to `query` (D,), and of all equal to the k-th.

    In no order. Only the rows at `positions` are looked at; the product of a row is the same whichever others are.
    """
    faiss = faiss_module()
    threads = min(faiss.omp_get_max_threads(), 1 + len(positions) // ALONE)
    if threads == 1:
        return _scan(vectors, query, k, positions)
    # Cores share the rows, as FAISS gives one query to one core; within FAISS each then works alone.
    with ThreadPoolExecutor(threads, initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
        found = list(pool.map(lambda part: _scan(vectors, query, k, part), np.array_split(positions, threads)))
    return _best(np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found]), k)


def _scan(vectors: Vectors, query: Vectors, k: int, positions: Ids) -> tuple[Ids, Vectors]:
    faiss = faiss_module()
    of_query, of_vectors = faiss.swig_ptr(np.ascontiguousarray(query, np.float32)), faiss.swig_ptr(vectors)
    kept, scores = positions[:0], np.empty(0, np.float32)
    for start in range(0, len(positions), BLOCK):
        block = np.ascontiguousarray(positions[start : start + BLOCK], dtype=np.int64)
        products = np.empty(len(block), np.float32)
        faiss.fvec_inner_products_by_idx(
            faiss.swig_ptr(products), of_query, of_vectors, faiss.swig_ptr(block), vectors.shape[1], 1, len(block)
        )
        if len(kept) >= k:  # what is no number is kept here and comes last of all
            over = ~(products < scores.min())
            block, products = block[over], products[over]
        kept, scores = _best(np.concatenate([kept, block]), np.concatenate([scores, products]), k)
    return kept, scores


def _best(positions: Ids, scores: Vectors, k: int) -> tuple[Ids, Vectors]:
    """Keep the k best, and those equal to the k-th."""
    if len(scores) <= k:
        return positions, scores
    kth = -np.partition(-scores, k - 1)[k - 1]
    if np.isnan(kth):
        return positions, scores
    over = scores >= kth
    return positions[over], scores[over]
