"""Looking, in a thread, whether a catalog has changed, so that what is kept in memory is brought up to date."""

from __future__ import annotations

import logging
from threading import Event, Thread

from shotdex.query.search import Searcher
from shotdex.store.errors import ShotdexError, StoreError

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Between two looks."""


class Follower:
    """Looks every half second whether the catalog has changed, in a thread, and has it read again.

    `trouble` is why the catalog could not be read the last time, None while it can be.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.trouble: ShotdexError | None = None
        self._searcher = searcher
        self._ended = Event()
        self._thread = Thread(target=self._follow, name="follower", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Look now, and have the catalog read again if it has changed."""
        try:
            self._searcher.renew()
            self.trouble = None
        except ShotdexError as error:  # what was read before stays
            self.trouble = error
        except Exception as error:  # such as a disk that fails: the thread must go on
            log.exception("the catalog cannot be read")
            self.trouble = StoreError(f"the catalog cannot be read: {error}", "look for damage: shotdex verify")

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.look()
