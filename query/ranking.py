"""From the vector of a query to hits: best first, ties by image id; exact, or through Milvus or an inverted file."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from shotdex.store.engines.base import Filter
from shotdex.store.engines.flat import among, in_order
from shotdex.store.engines.inverted_file import Figures
from shotdex.store.engines.vector_index import VectorIndex
from shotdex.store.errors import EmptyStore, EngineUnavailable, OptionError
from shotdex.store.queries import Hit, Query
from shotdex.store.types import Ids, Space, Vectors

from .kept import Place, Unknown, View
from .query_vector import Resolved

SAME = 1e-7
"""Cosines of which the standard deviation is no more than this differ by rounding alone: they have no z."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The hits, among how many images they were searched, in how many seconds; opening is not counted.

    `approximate` are the figures of the inverted file through which they were found; None if the search was exact.
    `notes` say which texts are longer than the model reads, how to search faster, and why Milvus was not searched;
    `engine` is what was: "faiss" or "milvus".
    """

    hits: list[Hit]
    images: int
    seconds: float
    approximate: Figures | None
    notes: tuple[str, ...] = ()
    engine: str = "faiss"


ENGINES = ("auto", "faiss", "milvus")
"""What a search may go through; auto is Milvus where it was added and is ready, else FAISS."""

BUILD_SECONDS = 5.0
"""How long a search that asks for Milvus by name waits for an index that the server is building."""

RETRY_SECONDS = 30.0
"""How long `auto` does not try a Milvus again that was not ready, so that not every search waits for it."""


@dataclass(frozen=True, slots=True)
class Through:
    """Through which engine to search, one of `ENGINES`, and whether nothing may be missed."""

    engine: str = "auto"
    exact: bool = False

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise OptionError(f"there is no engine {self.engine!r}", f"choose one of: {', '.join(ENGINES)}")


def ranked(view: View, place: Place, query: Query, resolved: Resolved, kept: Filter, through: Through) -> Ranking:
    """Return the images nearest to a query whose parts all have vectors.

    Raises:
        EmptyStore: there are no images. Unknown: the catalog is needed and not open.
        EngineUnavailable, OptionError: Milvus is asked for by name, and cannot answer.
    """
    vector = resolved.vector(query)
    index = view.index(place)
    if len(index) == 0:
        raise EmptyStore(f"the store at {view.store.root} has no images", "index images: shotdex index FOLDER")
    if view.con is None and view.known.too_many:  # the facts of the hits are not there: it would be in vain
        raise Unknown
    milvus, notes = (None, ()) if through.engine == "faiss" else _milvus(view, place, through, query)
    started = time.perf_counter()
    if query.space is Space.VISION:
        ids, scores, (mean, deviation) = _by_vision(view, place, query, vector, kept)
    else:
        wanted = _Wanted(query, vector, kept, len(resolved.own))
        try:
            ids, scores = wanted.of(milvus or index, exact=through.exact and milvus is None)
        except EngineUnavailable as error:
            if through.engine == "milvus":
                raise
            milvus, notes = None, (f"{error}; FAISS answered instead" + (f" ({error.hint})" if error.hint else ""),)
            view.known.not_ready[place] = time.monotonic() + RETRY_SECONDS, notes[0]
            started = time.perf_counter()
            ids, scores = wanted.of(index, exact=through.exact)
        mean, deviation = index.moments(vector)
    ids, scores = _cut(query, ids, scores, resolved.own, mean, deviation)
    seconds = time.perf_counter() - started
    facts = view.facts(ids.tolist())
    spread = deviation > SAME
    hits = [
        Hit(rank, image_id, path, score, category, condition, split, (score - mean) / deviation if spread else None)
        for rank, (image_id, score, (path, category, condition, split)) in enumerate(
            zip(ids.tolist(), scores.tolist(), facts, strict=True), start=1
        )
    ]
    every = through.exact or milvus is not None or query.least or query.space is Space.VISION
    figures = None if every else index.figures
    return Ranking(hits, len(index), seconds, figures, notes, "faiss" if milvus is None else "milvus")


def _milvus(view: View, place: Place, through: Through, query: Query) -> tuple[VectorIndex | None, tuple[str, ...]]:
    """Return the index that is searched through Milvus, if it is to be; and why not, where that is to be said.

    Raises:
        OptionError: Milvus is asked for by name, and was not added, or may miss images that may not be missed.
    """
    by_name = through.engine == "milvus"
    if query.least or query.space is Space.VISION:
        if by_name:
            raise OptionError("Milvus finds the most similar images in the joint space", "search with --engine faiss")
        return None, ()
    index = view.through_milvus(place)
    if index is None:
        if by_name:
            raise OptionError(
                f"the images of {place.encoder} are not in Milvus", "send them: shotdex engine add milvus --uri URI"
            )
        return None, ()
    engine = index.engine()
    if through.exact and engine is not None and not engine.exact:
        if by_name:
            raise OptionError("the index in Milvus may miss images", "leave out --exact, or search with --engine faiss")
        return None, ()
    from shotdex.store.engines.milvus import MilvusEngine  # for those who have one

    if isinstance(engine, MilvusEngine):
        engine.patience = BUILD_SECONDS if by_name else 0.0
    until, note = view.known.not_ready.get(place, (0.0, ""))
    return (None, (note,)) if not by_name and time.monotonic() < until else (index, ())


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is searched for in the joint space; `own` is how many images may have to be left out afterwards."""

    query: Query
    vector: Vectors
    kept: Filter
    own: int

    def of(self, index: VectorIndex, exact: bool) -> tuple[Ids, Vectors]:
        """Return ids and cosines of enough images, in the order that the query has them in."""
        query, enough = self.query, self.query.k + self.own
        if not query.least:
            return index.search(self.vector, enough, self.kept, exact=exact)
        bounded = query.min_score is not None or query.min_z is not None
        ids, scores = index.search(-self.vector, len(index) if bounded else enough, self.kept, exact=True)
        return ids, -scores


def _by_vision(
    view: View, place: Place, query: Query, vector: Vectors, kept: Filter
) -> tuple[Ids, Vectors, tuple[float, float]]:
    ids, scores = view.vision(place, vector)
    spread = scores.astype(np.float64)
    moments = (float(spread.mean()), float(spread.std())) if len(spread) else (0.0, 0.0)
    if kept.ids is not None:
        among_kept = among(ids, kept.ids)
        ids, scores = ids[among_kept], scores[among_kept]
    sign = np.float32(-1 if query.least else 1)
    ids, scores = in_order(ids, sign * scores, len(ids))
    return ids, sign * scores, moments


def _cut(query: Query, ids: Ids, scores: Vectors, own: Ids, mean: float, deviation: float) -> tuple[Ids, Vectors]:
    """Return the first k that are not the query itself and reach the thresholds."""
    wanted = np.ones(len(ids), dtype=np.bool_)
    if len(own):
        wanted &= ~among(ids, own)
    if query.min_score is not None:
        wanted &= scores >= query.min_score
    if query.min_z is not None:
        wanted &= (scores - mean) >= query.min_z * deviation if deviation > SAME else False
    return ids[wanted][: query.k], scores[wanted][: query.k]
