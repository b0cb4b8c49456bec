"""The model and the decoders take turns where they share the cores.

Side by side they are slower than one after the other: the model's threads wait for each other at every layer, so one
that is held up by a decoder holds up all. The demo model, which needs as long for a picture as decoding it takes,
indexed 12 % more a second in turns, measured on two cores.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Decoders wait while it is the model's turn, but for what they have begun."""

    def __init__(self, shared: bool = False) -> None:
        """Nobody ever waits unless the cores are `shared`."""
        self._shared = shared
        self._free = threading.Event()
        self._free.set()

    @contextmanager
    def of_the_model(self) -> Iterator[None]:
        """Let no further picture be decoded inside."""
        if self._shared:
            self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def await_decoding(self) -> None:
        """Wait until pictures may be decoded."""
        self._free.wait()
