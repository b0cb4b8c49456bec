"""How far down the ranking the true class stands."""

from __future__ import annotations

import numpy as np

from .confusion import Codes


def mean_reciprocal_rank(true_rank: Codes) -> float:
    """Return the mean of 1 / rank of the true class, in (0, 1]; NaN without pictures.

    1 means that every picture put its own class first; a class that stands second adds 1/2, one that stands tenth 1/10.
    Voorhees (1999), "The TREC-8 question answering track report". All classes are ranked, so every picture has a rank.

    Args:
        true_rank: (N,) int, the place of the true class in the picture's own ranking, from 1.

    Raises:
        ValueError: a rank below 1.
    """
    ranks = np.asarray(true_rank, dtype=np.int64)
    if ranks.size == 0:
        return float("nan")
    if ranks.min() < 1:
        raise ValueError(f"a rank is {ranks.min()}, but ranks count from 1")
    return float((1.0 / ranks).mean())
