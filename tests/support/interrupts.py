"""Ctrl-C while a test works."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ctrl_c(after: float, sent: list[float]) -> Iterator[None]:
    """Interrupt this process after some seconds, and every ten seconds until the work has ended.

    `sent` gets the seconds before each interruption: more than one say that the first was lost.
    """
    over = threading.Event()

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
