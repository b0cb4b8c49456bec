"""Files that stay open between two reads, bounded in number, and opened again when they changed."""

from __future__ import annotations

import atexit
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from . import places
from .places import Facts

OPEN = 4
"""Files with open handles."""

FILES, MEMBERS = 256, 500_000
"""Files whose tables of members are remembered, and members in all of them but the last: at most 300 MB."""

URL_SECONDS = 60.0
"""Seconds for which a file behind a URL is taken to be as it was: asking costs a request."""


class Opened(Protocol):
    """A file with many members. Its length is the number of members in its table."""

    def __len__(self) -> int: ...

    def wake(self) -> None:
        """Keep handles open from now on."""

    def rest(self) -> None:
        """Close the handles; they are opened again when they are needed."""


T = TypeVar("T", bound=Opened)


@dataclass(slots=True)
class _Entry(Generic[T]):
    opened: T
    facts: Facts
    looked_at: float


class Kept(Generic[T]):
    """What is open, by place; the longest unused is closed first. Safe for several threads."""

    def __init__(self, open_: Callable[[str], T]) -> None:
        self._open = open_
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()
        atexit.register(self.close)  # or Python says at its end that files were left open

    def get(self, place: str) -> T:
        """Return the opened file; opened again where its size or time changed.

        Raises:
            OSError: it is gone, or cannot be read.
        """
        now = time.monotonic()
        with self._lock:
            entry = self._entries.get(place)
            if entry is not None and places.is_url(place) and now - entry.looked_at < URL_SECONDS:
                return self._used(place, entry)
        facts = places.facts(place)
        with self._lock:
            entry = self._entries.get(place)
            if entry is not None and entry.facts == facts:
                entry.looked_at = now
                return self._used(place, entry)
        opened = self._open(place)
        with self._lock:
            old = self._entries.pop(place, None)
            if old is not None:
                old.opened.rest()
            entry = self._entries[place] = _Entry(opened, facts, now)
            return self._used(place, entry)

    def close(self) -> None:
        """Close and forget everything."""
        with self._lock:
            while self._entries:
                self._entries.popitem()[1].opened.rest()

    def _used(self, place: str, entry: _Entry[T]) -> T:
        if next(reversed(self._entries)) != place or len(self._entries) == 1:
            self._entries.move_to_end(place)
            entry.opened.wake()
            self._settle()
        return entry.opened

    def _settle(self) -> None:
        for entry in list(self._entries.values())[:-OPEN]:
            entry.opened.rest()
        while len(self._entries) > 1 and self._too_many():
            self._entries.popitem(last=False)[1].opened.rest()

    def _too_many(self) -> bool:
        return len(self._entries) > FILES or sum(len(entry.opened) for entry in self._entries.values()) > MEMBERS
