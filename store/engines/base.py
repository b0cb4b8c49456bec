"""What a vector engine is: something that finds the nearest of the vectors that it covers, and says which these are.

The catalog holds every vector; an engine is derived from it and never the only copy of anything. The engine is asked
for what it covers, the rest is looked at exactly in the catalog. So an engine that is behind, damaged or gone costs
time, not answers. Adding one takes a file with its class and a line in `registry.ENGINES`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from shotdex.store.types import Ids, Vectors

NO_IDS: Ids = np.empty(0, np.int64)
NO_IDS.flags.writeable = False


STAMP_KEY = "engine_{}_{}"
"""The key in `meta` of what the catalog records of an engine, with the engine's name and the encoder's number."""


class EngineDamaged(Exception):
    """What an engine keeps is not what it wrote. Never leaves shotdex: the catalog is read instead."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which images may be hits.

    `where` is a condition on the columns of `images`, for engines that can evaluate it; `ids` are the images that it
    keeps, for those that cannot, and None where there is no filter. `without` are images that an engine covers and that
    have been removed since: they are never hits.
    """

    where: str | None = None
    ids: Ids | None = None
    without: Ids = field(default_factory=lambda: NO_IDS)


@dataclass(frozen=True, slots=True)
class EngineSite:
    """Where the engines of one encoder are: its number, the length of its vectors, and the folder for files.

    `store_id` is the identity of the catalog. `stamps` are those that the catalog has recorded, by engine. `opened` are
    the engines that stand before one in the registry, by name; an engine may search what another one keeps.
    """

    folder: Path
    store_id: str
    encoder_id: int
    dim: int
    stamps: dict[str, str]
    opened: dict[str, VectorEngine] = field(default_factory=dict)


class VectorEngine(Protocol):
    """Finds nearest vectors. One object may be searched by several threads while none changes it.

    Opening one never fails: an engine that is gone or damaged covers nothing.
    """

    @property
    def exact(self) -> bool:
        """Whether it finds every image that it covers."""

    @property
    def stamped_as(self) -> str:
        """Under which name the catalog records the stamp: its own, or that of the engine whose files it searches."""

    @property
    def stamp(self) -> str | None:
        """What the catalog records of its present state, so that it is opened with that and no other; None: no state.

        Another one after every `add` and `remove`. What an earlier stamp names stays usable until the new one is
        recorded.
        """

    @property
    def covers(self) -> Ids:
        """The ids (N,) of the images that it has vectors of, each once; the same array while nothing is changed."""

    def search(self, vectors: Vectors, k: int, among: Filter) -> tuple[Ids, Vectors]:
        """Return ids and cosines (Q, K) of the k best covered images for unit vectors (Q, D), best first, ties by id.

        K is k, or the number of covered images that the filter keeps if these are fewer. Cosines are those of
        `flat.nearest` to the last bit, so that equal vectors tie wherever they are kept.

        Raises:
            EngineDamaged: what it keeps was damaged since it was opened.
        """

    def add(self, ids: Ids, vectors: Iterable[Vectors]) -> None:
        """Cover further images: unit vectors (n, D) come in parts, row for row with `ids`.

        Raises:
            EngineDamaged: what it keeps is not what it wrote; nothing is changed.
            StoreError: it cannot be written, as where the disk is full; nothing is changed.
        """

    def remove(self, ids: Ids) -> None:
        """Cover some images no longer; raises what `add` raises."""

    def drop(self) -> None:
        """Delete all that it keeps."""
