"""From a query to ranked images, with what is known of the store kept from one search to the next."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import Lock
from typing import TypeVar

from shotdex.models.protocols import LoadEncoder
from shotdex.store.engines.flat import faiss_ahead
from shotdex.store.engines.inverted_file import LEAST
from shotdex.store.errors import StoreNotFound
from shotdex.store.near import near_misses
from shotdex.store.queries import Query
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Space

from .kept import Known, Place, Unknown, View, renewed, signature_of
from .parts import signs_inside
from .query_vector import Resolved, check_query, encode_rest, image_files, resolve
from .ranking import Ranking, Through, ranked
from .text_lookup import remember, texts_cut

PATIENCE = 1.0
"""Seconds that a result may wait to be remembered while another process holds the catalog."""

SLOW = 0.1
"""Seconds from which an exact search is called slow, and what to do about it is said."""

T = TypeVar("T")


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
        if (known := self._current()) is not None:
            with suppress(Unknown):
                return work(View(self._store, known, None))
        with self._lock:
            if (other := self._current()) is not None and other is not known:  # another thread has read it meanwhile
                with suppress(Unknown):
                    return work(View(self._store, other, None))
            return self._read_again(work)

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
            raise StoreNotFound(f"the store at {self._store.root} is gone", "restore it, or serve another one")
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
            return place, resolved, ranked(view, place, query, resolved, kept, through)

        place, resolved, found = self.read(look)
        if found is not None:
            remember(self._store, place.encoder_id, resolved.new_texts, PATIENCE)
            return found, place.encoder
        encode_rest(self._store, place, query, resolved, files, load)
        # Loading a model takes a while: the images are those of now.
        found = self.read(lambda view: ranked(view, place, query, resolved, view.filter(query.where), through))
        return found, place.encoder

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
