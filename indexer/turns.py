"""The model and the decoders take turns where they share the cores.

Side by side they are slower than one after the other: the model's threads wait for each other at every layer, so one
that is held up by a decoder holds up all. Turns are long, as each change leaves cores idle for a moment: the decoders
work until everything that may wait has been decoded, or for some seconds, the model until nothing is left.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Decoders work while it is their turn, which is always unless the cores are `shared`; what they began they end."""

    def __init__(self, shared: bool) -> None:
        self.shared = shared
        self._decoders = threading.Event()
        self._decoders.set()  # nothing is there yet for the model

    @contextmanager
    def of_the_decoders(self) -> Iterator[None]:
        """Let pictures be decoded inside, and not after it."""
        self._decoders.set()
        try:
            yield
        finally:
            if self.shared:
                self._decoders.clear()

    def await_decoding(self) -> None:
        """Wait until pictures may be decoded."""
        self._decoders.wait()
