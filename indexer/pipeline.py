"""Batches on their way through the model, in order: the next is launched before the last one is fetched."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from shotdex.models.protocols import ImageEncoder, Launching

from .batch import Pending


@dataclass(frozen=True, slots=True)
class Flight:
    """A batch on its way. `failures` of its images are known already; `finish` waits, and gives all its rows."""

    failures: int
    finish: Callable[[], Pending]


@dataclass(slots=True)
class Pipeline:
    """Up to `most` batches in flight. What comes out is in the order of what went in, so every commit is a prefix."""

    most: int
    _flying: deque[Flight] = field(default_factory=deque)

    @classmethod
    def of(cls, encoder: ImageEncoder) -> Pipeline:
        """Return one that suits an encoder."""
        return cls(encoder.in_flight if isinstance(encoder, Launching) else 1)

    def push(self, flight: Flight) -> Iterator[Pending]:
        """Take in a batch that was launched; yield those that are due now."""
        self._flying.append(flight)
        while len(self._flying) >= self.most:
            yield self._flying.popleft().finish()

    def drain(self) -> Iterator[Pending]:
        """Yield the rest."""
        while self._flying:
            yield self._flying.popleft().finish()

    def failures(self) -> int:
        """Return how many failures are in the batches on their way."""
        return sum(flight.failures for flight in self._flying)
