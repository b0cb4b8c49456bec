"""What waits to be committed: whole batches of decoded images with what the encoder made of them.

A commit takes whole batches only. So an interrupted run, started again, cuts the rest of the source into the same
batches, and the model, whose last bits depend on what shares a batch, gives the same vectors as without the
interruption.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import numpy as np

from shotdex.store.connection import Connection
from shotdex.store.images import (
    FailureRecord,
    NewPlace,
    add_failures,
    add_images,
    clear_failures,
    mark_removed,
    move_images,
)
from shotdex.store.types import ImageRecord, ImageVectors
from shotdex.store.vectors import add_vectors, copy_vectors


@contextmanager
def interrupt_held_back() -> Iterator[None]:
    """Deliver a Ctrl-C that arrives inside only when the block has ended; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[FrameType | None] = []
    previous = signal.signal(signal.SIGINT, lambda _number, frame: arrived.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if arrived:
        raise KeyboardInterrupt


@dataclass(slots=True)
class Pending:
    """Rows for the next commit. `vectors` belong to `encoded_ids`, batch by batch; `counts` is what they amount to."""

    images: list[ImageRecord] = field(default_factory=list)
    encoded_ids: list[int] = field(default_factory=list)
    vectors: list[ImageVectors] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)
    moves: dict[int, NewPlace] = field(default_factory=dict)
    replaced: list[int] = field(default_factory=list)
    failures: list[FailureRecord] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def rows(self) -> int:
        """Return how many images wait."""
        return len(self.images) + len(self.moves) + len(self.failures)

    def add(self, other: Pending) -> None:
        """Take in what another one holds: all of it, also where Ctrl-C comes meanwhile."""
        with interrupt_held_back():
            self.images += other.images
            self.encoded_ids += other.encoded_ids
            self.vectors += other.vectors
            self.copies += other.copies
            self.moves |= other.moves
            self.replaced += other.replaced
            self.failures += other.failures
            self.counts.update(other.counts)

    def write(self, con: Connection, encoder_id: int) -> None:
        """Write everything inside the caller's transaction."""
        mark_removed(con, self.replaced)
        add_images(con, self.images)
        move_images(con, self.moves)
        if self.encoded_ids:
            joint = np.concatenate([part.joint for part in self.vectors])
            vision = np.concatenate([part.vision for part in self.vectors])
            add_vectors(con, encoder_id, self.encoded_ids, ImageVectors(joint, vision))
        copy_vectors(con, encoder_id, self.copies)
        clear_failures(con, [image.path for image in self.images] + [place.path for place in self.moves.values()])
        add_failures(con, self.failures)
