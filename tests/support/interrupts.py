"""Ctrl-C while a test works."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ctrl_c(after: float) -> Iterator[None]:
    """Interrupt this process after some seconds.

    One that is lost fails the test: it comes again every ten seconds, or the work would never end.

    Raises:
        AssertionError: the work has ended, and not at the first.
    """
    over, sent = threading.Event(), []

    def send() -> None:
        wait = after
        while not over.wait(wait):
            sent.append(wait)
            os.kill(os.getpid(), signal.SIGINT)
            wait = 10.0

    sender = threading.Thread(target=send, daemon=True)
    try:
        sender.start()
        yield
    finally:
        over.set()
        sender.join(60)
        assert len(sent) <= 1, f"the first {len(sent) - 1} of {len(sent)} were lost"
