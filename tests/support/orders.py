"""Whether an answer is the best in their order, as far as a processor's last bits let that be told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shotdex.store.queries import Part, PartKind

NEAR = 1e-6
"""Scores of unit vectors in float32 differ by less than this from those in float64, however they are summed."""


def disorder(found: Sequence[int], ids: np.ndarray, vectors: np.ndarray, query: np.ndarray, k: int) -> str:
    """Return what is wrong with an answer of `k`, or nothing: best first, and among copies of a vector by id.

    Which of two different vectors comes first where their scores are nearer than `NEAR` is not looked at.
    """
    if len(set(found)) != len(found) or not set(found) <= set(ids.tolist()):
        return f"{found} are not different ones of {ids.tolist()}"
    row = {int(one): i for i, one in enumerate(ids)}
    scores = vectors.astype(np.float64) @ query.astype(np.float64)
    best, got = np.sort(scores)[::-1][:k], scores[[row[one] for one in found]]
    if len(got) != len(best) or not (np.abs(got - best) < NEAR).all():
        return f"{found} score {got.tolist()}, the best {best.tolist()}"
    copies: dict[bytes, list[int]] = defaultdict(list)
    for one in sorted(row):
        copies[vectors[row[one]].tobytes()].append(one)
    shown: dict[bytes, list[int]] = defaultdict(list)
    for one in found:
        shown[vectors[row[one]].tobytes()].append(one)
    for vector, met in shown.items():
        if met != copies[vector][: len(met)]:
            return f"{met} of {copies[vector]}, which have one vector, are not the first by id"
    return ""


def image_part(path: str | Path) -> Part:
    """Return the image at a path as a part of a query."""
    return Part(str(path), PartKind.IMAGE)
