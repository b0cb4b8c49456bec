"""From a query to ranked images: best first, ties by image id; exact, or through an inverted file if one was built."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import TypeVar

import numpy as np

from shotdex.models.protocols import LoadEncoder
from shotdex.store.engines.base import Filter
from shotdex.store.engines.flat import among, faiss_ahead, in_order
from shotdex.store.engines.inverted_file import LEAST, Figures
from shotdex.store.engines.vector_index import VectorIndex
from shotdex.store.errors import EmptyStore, EngineUnavailable, OptionError, StoreNotFound
from shotdex.store.near import near_misses
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Hit, Ids, Query, Space, Vectors

from .kept import Known, Place, Unknown, View, renewed, signature_of
from .parts import signs_inside
from .query_vector import Resolved, check_query, encode_rest, image_files, resolve
from .text_lookup import remember, texts_cut

PATIENCE = 1.0
"""Seconds that a result may wait to be remembered while another process holds the catalog."""

SLOW = 0.1
"""Seconds from which an exact search is called slow, and what to do about it is said."""

SAME = 1e-7
"""Cosines of which the standard deviation is no more than this differ by rounding alone: they have no z."""

T = TypeVar("T")


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


DEFAULT = Through()


def search(
    store: Store, query: Query, load: LoadEncoder, encoder_name: str | None = None, through: Through = DEFAULT
) -> Ranking:
    """Find the k images nearest to a query: through Milvus or an inverted file if there is one, unless `exact`.

    Raises:
        EmptyQuery, OptionError: there is nothing to look for, or fewer than one image is wanted.
        EmptyStore: nothing is indexed.
        EngineUnavailable: Milvus was asked for by name, and does not answer or is not ready.
        BadSql, EncoderMismatch, ModelUnavailable, ModelOutputInvalid, UnreadableImage, QueryError.
    """
    return Searcher(store).search(query, load, encoder_name, through)


class Searcher:
    """Searches one store many times, and opens its catalog only for what it does not know yet or what has changed.

    Safe to use from several threads. A change is noticed by the catalog's files alone; see `Signature`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._known: Known | None = None
        self._warm: Callable[[View], object] | None = None

    def read(self, work: Callable[[View], T]) -> T:
        """Return what `work` makes of what is known of the store; the catalog is opened for what is missing.

        `work` may be called twice: the first time it may end with `Unknown`, and the catalog is open the second time.
        """
        return self._run(work)

    def follow(self, warm: Callable[[View], object] | None) -> None:
        """From now on answer from what is known, however old, so that nobody waits for a process that writes.

        `warm` reads all that later work needs whenever the catalog is opened; `renew` brings what is known up to date.
        With None, look for changes at every search again.
        """
        self._warm = warm

    def renew(self) -> bool:
        """Read the catalog again if it has changed since it was read; return whether it was read.

        Raises:
            StoreNotFound: the store is gone. StoreLocked, StoreCorrupt, SchemaTooNew.
        """
        now = signature_of(self._store)
        if now is None:
            raise StoreNotFound(f"the store at {self._store.root} is gone", "put it back, or serve another one")
        known = self._known
        if known is not None and (known.signature == now or not now.settled()):
            return False
        with self._lock:
            if self._known is not known:  # another thread has read it meanwhile
                return False
            self._read_again(lambda view: None)
        return True

    def forget(self) -> None:
        """Drop everything that is kept; the next search reads the catalog again."""
        self._known = None

    def search(
        self, query: Query, load: LoadEncoder, encoder_name: str | None = None, through: Through = DEFAULT
    ) -> Ranking:
        """Do what `search` does."""
        found, encoder = self._search(query, load, encoder_name, through)
        notes = found.notes
        if query.space is Space.JOINT:
            notes += texts_cut(encoder, query.texts, load)
        notes += signs_inside(query.texts)
        if len(found.hits) == query.k and not query.least and (query.min_score is not None or query.min_z is not None):
            notes += (f"the best {query.k:,} all reach the threshold, and others may: to see them, raise -k",)
        if not found.hits and query.where is not None:
            with self._store.reading() as con:
                notes += tuple(near_misses(con, f"SELECT ({query.where}\n)"))
        slow = found.seconds > SLOW and found.images >= LEAST and found.engine == "faiss"
        if slow and not through.exact and found.approximate is None:
            notes += (
                f"comparing {found.images:,} images took {found.seconds:.2f} s; "
                "an approximate index is faster: shotdex approximate",
            )
        return replace(found, notes=notes) if notes else found

    def _search(
        self, query: Query, load: LoadEncoder, encoder_name: str | None, through: Through
    ) -> tuple[Ranking, EncoderId]:
        check_query(query)
        if "faiss" not in sys.modules:
            faiss_ahead()
        files = image_files(self._store, query)

        def look(view: View) -> tuple[Place, Resolved, Ranking | None]:
            place = view.place(encoder_name)
            kept = view.filter(query.where)
            resolved = resolve(view, place, query, files, load)
            if not resolved.complete:
                return place, resolved, None
            # What needs no model is searched at once, while the catalog is open.
            return place, resolved, _nearest(view, place, query, resolved, kept, through)

        place, resolved, found = self._run(look)
        if found is not None:
            remember(self._store, place.encoder_id, resolved.new_texts, PATIENCE)
            return found, place.encoder
        encode_rest(self._store, place, query, resolved, files, load)
        # Loading a model takes a while: the images are those of now.
        found = self._run(lambda view: _nearest(view, place, query, resolved, view.filter(query.where), through))
        return found, place.encoder

    def _run(self, work: Callable[[View], T]) -> T:
        """Return what `work` makes of what is known, or of the catalog where that does not suffice."""
        if (known := self._current()) is not None:
            with suppress(Unknown):
                return work(View(self._store, known, None))
        with self._lock:
            if (other := self._current()) is not None and other is not known:  # another thread has read it meanwhile
                with suppress(Unknown):
                    return work(View(self._store, other, None))
            return self._read_again(work)

    def _read_again(self, work: Callable[[View], T]) -> T:
        before = signature_of(self._store)
        with self._store.reading() as con:
            # Nobody can write now, but the whole store can be replaced: then neither is to be trusted.
            signature = before if before == signature_of(self._store) else None
            known = renewed(self._known, con, signature)
            view = View(self._store, known, con)
            if self._warm is not None:
                self._warm(view)
            found = work(view)
        known.signature = signature if signature is not None and signature.settled() else None
        self._known = known
        return found

    def _current(self) -> Known | None:
        known = self._known
        if known is not None and self._warm is not None:
            return known
        if known is None or known.signature is None or known.signature != signature_of(self._store):
            return None
        return known


def _nearest(view: View, place: Place, query: Query, resolved: Resolved, kept: Filter, through: Through) -> Ranking:
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
    hits = [
        Hit(rank, image_id, path, score, category, condition, split, _z(score, mean, deviation))
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


def _z(score: float, mean: float, deviation: float) -> float | None:
    return (score - mean) / deviation if deviation > SAME else None


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
