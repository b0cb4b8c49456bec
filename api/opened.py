"""What all parts of a session share: the store, and the models and searches, each made only once it is needed."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from shotdex.store.location import recorded_place
from shotdex.store.store import Store

if TYPE_CHECKING:
    from shotdex.models.encoder_pool import EncoderPool
    from shotdex.query.search import Searcher


class Opened:
    """A store with its encoders; `device` is where models run."""

    def __init__(self, store: Store, device: str = "auto") -> None:
        if recorded_place(store.root) not in (None, str(store.root.resolve())):
            from shotdex.store.relocation import follow

            follow(store)
        self.store = store
        self.path = store.root
        self._device = device
        self._pool: EncoderPool | None = None
        self._searches: Searcher | None = None
        self._lock = Lock()

    @property
    def encoders(self) -> EncoderPool:
        """The encoders, each loaded when first needed and then kept."""
        with self._lock:
            if self._pool is None:
                from shotdex.models.encoder_pool import EncoderPool

                self._pool = EncoderPool(self.store, self._device)
            return self._pool

    @property
    def _searcher(self) -> Searcher:
        """The searches, which keep what they read of the store."""
        with self._lock:
            if self._searches is None:
                from shotdex.query.search import Searcher

                self._searches = Searcher(self.store)
            return self._searches
