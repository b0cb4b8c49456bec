"""Hits in pages, in another order, in groups, and with each near-duplicate once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from shotdex.store.errors import OptionError
from shotdex.store.queries import Hit
from shotdex.store.types import Ids, Space, Vectors

if TYPE_CHECKING:
    from shotdex.query.ranking import Ranking
    from shotdex.store.store import Store

SORTS, GROUPS = ("score", "taken_at", "path"), ("category", "condition", "split")
"""What hits can be sorted by, and what they can be grouped by."""

AHEAD = 4
"""How many hits are found for each that is kept, where near-duplicates are folded; more are found where that is few."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How to show hits; see `Session.search`."""

    skip: int = 0
    sort: str = "score"
    group_by: str | None = None
    collapse: bool = False

    def __post_init__(self) -> None:
        if self.skip < 0:
            raise OptionError(f"{self.skip} hits cannot be skipped", "choose 0 or more: --skip 20")
        if self.sort not in SORTS:
            raise OptionError(f"hits cannot be sorted by {self.sort!r}", f"choose one of: {', '.join(SORTS)}")
        if self.group_by is not None and self.group_by not in GROUPS:
            raise OptionError(f"hits cannot be grouped by {self.group_by!r}", f"choose one of: {', '.join(GROUPS)}")


def arranged(
    store: Store,
    find: Callable[[int], Ranking],
    k: int,
    how: Arrangement,
    vectors: Callable[[Ids], tuple[Ids, Vectors]],
    space: Space,
) -> tuple[Ranking, dict[int, int]]:
    """Return k hits as `how` says, and how many near-duplicates stand behind each, by image id.

    `find` returns the best so many hits; `vectors` the vectors of images, with their ids. Ranks stay those of the
    cosine: what is skipped keeps its ranks, and so do hits in another order.
    """
    if not isinstance(k, Integral):
        raise OptionError(f"k is the number of images, not {k!r}", "for example: k=10")
    last, more = how.skip + k, dict[int, int]()
    if not how.collapse or k < 1:
        found = find(last if k >= 1 else k)  # which says what is wrong with a k below 1
        hits = found.hits[how.skip :]
    else:
        found, leaders, more = _folded(find, last, vectors, space)
        hits = [replace(hit, rank=rank) for rank, hit in enumerate(leaders, start=1)][how.skip : last]
    if how.sort == "path":
        hits = sorted(hits, key=lambda hit: hit.path)
    elif how.sort == "taken_at":
        times = _times(store, [hit.image_id for hit in hits])
        hits = sorted(hits, key=lambda hit: (times.get(hit.image_id) or datetime.max, hit.rank))
    if how.group_by is not None:
        groups: dict[str | None, list[Hit]] = {}
        for hit in hits:
            groups.setdefault(getattr(hit, how.group_by), []).append(hit)
        unlabelled = groups.pop(None, [])
        hits = [hit for group in (*groups.values(), unlabelled) for hit in group]
    return replace(found, hits=hits), more


def _folded(
    find: Callable[[int], Ranking], wanted: int, vectors: Callable[[Ids], tuple[Ids, Vectors]], space: Space
) -> tuple[Ranking, list[Hit], dict[int, int]]:
    """Return the best hit of each group of near-duplicates, for at least `wanted` groups where there are so many.

    A hit belongs to the best one before it whose cosine with it reaches the threshold of `shotdex duplicates`.
    """
    from shotdex.analysis.duplicates.find import THRESHOLDS

    count = AHEAD * wanted + 64
    while True:
        found = find(count)
        ids = np.array([hit.image_id for hit in found.hits], dtype=np.int64)
        order, rows = vectors(np.sort(ids))
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        place = np.searchsorted(order, ids)
        leaders: list[Hit] = []
        kept = np.empty((0, unit.shape[1]), dtype=unit.dtype)
        more: dict[int, int] = {}
        for hit, row in zip(found.hits, place.tolist(), strict=True):
            near = np.flatnonzero(kept @ unit[row] >= THRESHOLDS[space])
            if len(near):
                more[leaders[near[0]].image_id] = more.get(leaders[near[0]].image_id, 0) + 1
            else:
                leaders.append(hit)
                kept = np.concatenate([kept, unit[row : row + 1]])
        if len(leaders) > wanted or len(found.hits) < count:
            return found, leaders, more
        count *= AHEAD


def _times(store: Store, ids: list[int]) -> dict[int, datetime | None]:
    with store.reading() as con:
        query = "SELECT image_id, taken_at FROM images WHERE image_id IN (SELECT unnest($ids)::BIGINT)"
        return dict(con.rows(query, {"ids": ids}))
