"""Searches that arrive at the same time share one matrix product."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

from shotdex.store.engines.many import Request
from shotdex.store.engines.vector_index import VectorIndex
from shotdex.store.types import Ids, Vectors

TOGETHER = 32
"""The most searches that share a product."""

Found = tuple[Ids, Vectors]


class Batcher:
    """Takes all searches that wait, searches them together in a thread, and goes on with those that came meanwhile.

    `products` counts how often an index was searched, `searches` how many searches that served.
    """

    def __init__(self) -> None:
        self.products = self.searches = 0
        self._waiting: SimpleQueue[tuple[VectorIndex, Request, Future[Found]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="searches", daemon=True)
        self._thread.start()

    def search(self, index: VectorIndex, request: Request) -> Found:
        """Return what an exact search of the index returns."""
        future: Future[Found] = Future()
        self._waiting.put((index, request, future))
        return future.result()

    def close(self) -> None:
        """End the thread once it has done what waits."""
        self._waiting.put(None)

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            taken = [first]
            while len(taken) < TOGETHER and not self._waiting.empty():
                if (further := self._waiting.get()) is None:
                    self._waiting.put(None)
                    break
                taken.append(further)
            for index in {id(one[0]): one[0] for one in taken}.values():
                own = [(request, future) for other, request, future in taken if other is index]
                self.products += 1
                self.searches += len(own)
                _settle([future for _, future in own], lambda: index.search_many([request for request, _ in own]))  # noqa: B023


def _settle(futures: list[Future[Found]], work: Callable[[], list[Found]]) -> None:
    try:
        for future, found in zip(futures, work(), strict=True):
            future.set_result(found)
    except BaseException as error:
        for future in futures:
            if not future.done():
                future.set_exception(error)
