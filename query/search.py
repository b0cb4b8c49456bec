"""From a query to ranked images: best first, ties by image id; exact, or through an inverted file if one was built."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import TypeVar

import numpy as np

from shotdex.models.protocols import LoadEncoder, checked, finite
from shotdex.store.engines.base import Filter
from shotdex.store.engines.flat import faiss_ahead
from shotdex.store.engines.inverted_file import LEAST, Figures
from shotdex.store.engines.vector_index import VectorIndex
from shotdex.store.errors import EmptyQuery, EmptyStore, EngineUnavailable, OptionError, StoreNotFound
from shotdex.store.near import near_misses
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Hit, Query, Vectors

from .kept import Known, Place, Unknown, View, renewed, signature_of
from .text_lookup import encoded_texts, remember, text_vectors, texts_cut

PATIENCE = 1.0
"""Seconds that a result may wait to be remembered while another process holds the catalog."""

SLOW = 0.1
"""Seconds from which an exact search is called slow, and what to do about it is said."""

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
        notes = found.notes + texts_cut(encoder, query.texts, load)
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
        if query.k < 1:
            raise OptionError(f"cannot return {query.k} images", "choose at least one: -k 10")
        if not any(text.strip() for text in query.texts) and not query.images:
            raise EmptyQuery("the query is empty", 'search for something: shotdex search "a dog"')
        if "faiss" not in sys.modules:
            faiss_ahead()

        def look(view: View) -> tuple[Place, dict[str, Vectors], Ranking | None]:
            place = view.place(encoder_name)
            kept, texts = view.filter(query.where), view.texts(place, query.texts)
            # What needs no model is searched at once, while the catalog is open.
            at_hand = None if query.images else encoded_texts(place.encoder, query.texts, load, texts, late=True)
            if at_hand is None:
                return place, texts, None
            view.known.add_texts(place, at_hand[1])
            return place, at_hand[1], _nearest(view, place, _mean([at_hand[0]]), query.k, kept, through)

        place, texts, found = self._run(look)
        if found is not None:
            remember(self._store, place.encoder_id, texts, PATIENCE)
            return found, place.encoder
        vector = _query_vector(self._store, place, query, load, texts)
        # Loading a model takes a while: the images are those of now.
        found = self._run(lambda view: _nearest(view, place, vector, query.k, view.filter(query.where), through))
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


def _nearest(view: View, place: Place, vector: Vectors, k: int, kept: Filter, through: Through) -> Ranking:
    index = view.index(place)
    if len(index) == 0:
        raise EmptyStore(f"the store at {view.store.root} has no images", "index images: shotdex index FOLDER")
    if view.con is None and view.known.too_many:  # the facts of the hits are not there: it would be in vain
        raise Unknown
    milvus, notes = _milvus(view, place, through) if through.engine != "faiss" else (None, ())
    started = time.perf_counter()
    try:
        ids, scores = (milvus or index).search(vector, k, kept, exact=through.exact and milvus is None)
    except EngineUnavailable as error:
        if through.engine == "milvus":
            raise
        milvus, notes = None, (f"{error}; FAISS answered instead" + (f" ({error.hint})" if error.hint else ""),)
        view.known.not_ready[place] = time.monotonic() + RETRY_SECONDS, notes[0]
        started = time.perf_counter()
        ids, scores = index.search(vector, k, kept, exact=through.exact)
    seconds = time.perf_counter() - started
    facts = view.facts(ids.tolist())
    hits = [
        Hit(rank, image_id, path, score, *labels)
        for rank, (image_id, score, (path, *labels)) in enumerate(
            zip(ids.tolist(), scores.tolist(), facts, strict=True), start=1
        )
    ]
    figures = None if through.exact or milvus is not None else index.figures
    return Ranking(hits, len(index), seconds, figures, notes, "faiss" if milvus is None else "milvus")


def _milvus(view: View, place: Place, through: Through) -> tuple[VectorIndex | None, tuple[str, ...]]:
    """Return the index that is searched through Milvus, if it is to be; and why not, where that is to be said.

    Raises:
        OptionError: Milvus is asked for by name, and was not added, or may miss images that may not be missed.
    """
    by_name, index = through.engine == "milvus", view.through_milvus(place)
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
    until, note = view.known.not_ready.get(place, (0.0, ""))
    return (None, (note,)) if not by_name and time.monotonic() < until else (index, ())


def _query_vector(store: Store, place: Place, query: Query, load: LoadEncoder, known: Mapping[str, Vectors]) -> Vectors:
    """Return the unit vector (D,) of a query: the mean of the unit vectors of its texts and images, made unit."""
    encoder = place.encoder
    parts = [text_vectors(store, place.encoder_id, encoder, query.texts, load, known)]
    if query.images:
        from shotdex.media.open_image import open_image  # Pillow, for those who need it

        most = query.max_pixels and max(query.max_pixels, _largest_indexed(store))
        images = [open_image(address, most) for address in query.images]
        parts.append(finite(checked(load(encoder), encoder).encode_images(images), encoder))
    return _mean(parts)


def _largest_indexed(store: Store) -> int:
    """Return the pixels of the largest image of a store: who lifted the limit to index it has lifted it here."""
    with store.reading() as con:
        return int(con.rows("SELECT coalesce(max(width::BIGINT * height), 0) FROM stored_images")[0][0])


def _mean(parts: Sequence[Vectors]) -> Vectors:
    mean = np.concatenate(parts).mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length < 1e-6:
        raise EmptyQuery("the parts of the query cancel each other out", "combine fewer texts and images")
    return np.asarray(mean / length, dtype=np.float32)
