"""Batches on their way through the model, in order: the next is launched before the last one is fetched."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from shotdex.store.words import ImageEncoder, ImageVectors, Prepared

from .batch import Pending

USUAL_BATCH = 64
"""Pictures a batch where neither the user nor the encoder says how many."""


@runtime_checkable
class Launching(Protocol):
    """An encoder that does not wait for the device it computes on, and knows what suits it."""

    @property
    def in_flight(self) -> int:
        """How many batches are worth launching before the first of them is waited for; 1 where it waits anyway."""

    @property
    def shares_cores(self) -> bool:
        """Whether it computes on the cores that decode pictures."""

    def begin(self, batch: Sequence[Prepared]) -> Callable[[], ImageVectors]:
        """Launch a batch of at least one picture; what is returned waits for its vectors."""

    def good_batch(self) -> int:
        """Return how many pictures a batch should have."""


def launch(encoder: ImageEncoder, batch: Sequence[Prepared]) -> Callable[[], ImageVectors]:
    """Launch a batch where the encoder can, else compute it; return what waits for its vectors."""
    if isinstance(encoder, Launching):
        return encoder.begin(batch)
    vectors = encoder.encode_prepared(batch)
    return lambda: vectors


def batch_size_for(encoder: ImageEncoder, wanted: int | None) -> int:
    """Return the wanted size, else the encoder's own."""
    if wanted is not None:
        return wanted
    return encoder.good_batch() if isinstance(encoder, Launching) else USUAL_BATCH


def shares_cores(encoder: ImageEncoder) -> bool:
    """Tell whether an encoder computes on the cores that decode pictures, as far as it says."""
    return isinstance(encoder, Launching) and encoder.shares_cores


@dataclass(frozen=True, slots=True)
class Flight:
    """A batch on its way. `failures` of its pictures are known already; `finish` waits, and gives all its rows."""

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
