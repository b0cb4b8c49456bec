"""What all parts of the server share: the session, the threads that serve it, and the form of every answer."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fastapi import Request, Response

from shotdex import Session
from shotdex.follower import Follower
from shotdex.formatting import plain
from shotdex.outcomes import Selection
from shotdex.snapshot import Snapshot
from shotdex.store.types import Ids

from .batching import Batcher
from .options import ServeOptions
from .previews import Previews
from .problems import Problem

PAUSE = 0.05
"""Seconds without a reader of the catalog between two: an indexer takes its turn then."""

WAITING = 16
"""Requests that may wait for the catalog: fewer than there are threads, so that searches go on."""

WHERE_SECONDS = 10.0
"""How long a SQL condition may take."""

MOST_ANSWERS = 64


class NotModified(Exception):
    """The client has this generation already; answered with 304."""


class Served:
    """One store that is served; `process` names this serving of it, since when prompt sets are counted."""

    def __init__(self, session: Session, options: ServeOptions, follower: Follower) -> None:
        self.session = session
        self.options = options
        self.follower = follower
        self.process = secrets.token_hex(8)
        self.batcher = Batcher()
        self.previews = Previews()
        self._catalog, self._queue = threading.Lock(), threading.BoundedSemaphore(WAITING)
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()

    @property
    def snapshot(self) -> Snapshot:
        """The store as it is in memory."""
        return self.session.snapshot()

    def answer(self, body: dict[str, Any], status: int = 200) -> Response:
        """Return a JSON answer, with the generation of the store."""
        generation = body.get("generation") or self.snapshot.generation
        text = json.dumps({"generation": generation, **plain(body)}, ensure_ascii=False, allow_nan=False)
        return Response(text.encode(errors="replace"), status, {"ETag": f'"{generation}"'}, "application/json")

    def plain(self, value: Any) -> dict[str, Any]:
        """Return a result as JSON has it."""
        said: dict[str, Any] = plain(value)
        return said

    def unchanged(self, request: Request) -> None:
        """Raise `NotModified` where the client already has the answer of this generation; a FastAPI dependency."""
        known = request.headers.get("if-none-match", "")
        if f'"{self.snapshot.generation}"' in [one.strip().removeprefix("W/") for one in known.split(",")]:
            raise NotModified

    @contextmanager
    def catalog(self) -> Iterator[Session]:
        """Give the session to one reader or writer of the catalog at a time, with a pause before the next."""
        if not self._queue.acquire(blocking=False):
            raise Problem(503, "too many requests are waiting for the catalog", "try again", {"Retry-After": "2"})
        try:
            with self._catalog:
                try:
                    yield self.session
                finally:
                    time.sleep(PAUSE)
        finally:
            self._queue.release()

    def select(self, selection: Selection, snapshot: Snapshot | None = None) -> Ids | None:
        """Return the ids that a selection keeps, rising; None for all. A SQL condition has some seconds."""
        if (where := selection.where) is not None:
            if "@" in where:  # a saved selection, which may change without the images
                with self.catalog() as session:
                    passing = session.passing(where, WHERE_SECONDS)
            else:
                passing = self.kept(("where", where), lambda session: session.passing(where, WHERE_SECONDS))
            selection = replace(selection, where=None, ids=passing)
        return self.session.select(selection, snapshot)

    def kept(self, key: Hashable, make: Callable[[Session], Any]) -> Any:
        """Return what `make` reads from the catalog, kept for as long as the generation stays; the last few are."""
        key = (self.snapshot.generation, key)
        if key not in self._answers:
            with self.catalog() as session:
                if key not in self._answers:
                    self._answers[key] = make(session)
                while len(self._answers) > MOST_ANSWERS:
                    self._answers.popitem(last=False)
        return self._answers[key]

    def close(self) -> None:
        """End the threads."""
        self.batcher.close()
