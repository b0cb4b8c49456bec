"""The processes that decode images: they start when there is work, and a dead one is replaced."""

from __future__ import annotations

import atexit
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

from shotdex.store.errors import ImageFailure
from shotdex.store.types import Limits, Reason

from .decode_worker import TIMED_OUT, settings_frame
from .decoder_process import Died, Reply, Worker

PATIENCE = 0.25
"""Seconds that threads wait in all before one more process is started: about what starting it takes."""

SPARE = 4
"""How many idle processes are kept for the next indexing of this process."""

KILLED = "the decoder was killed, most likely for lack of memory"
"""Said of an image whose process was killed from outside. That may be another's doing, so it is tried again."""


class _Spare:
    """Idle processes that one indexing leaves to the next in this process; they end with it."""

    def __init__(self) -> None:
        self._kept: list[tuple[bytes, Worker]] = []
        self._lock = threading.Lock()
        atexit.register(self.end)

    def keep(self, settings: bytes, worker: Worker) -> bool:
        """Keep a process, unless there are enough."""
        with self._lock:
            if len(self._kept) >= SPARE:
                return False
            self._kept.append((settings, worker))
            return True

    def take(self, settings: bytes) -> Worker | None:
        """Return a living process that was started with the same options, if there is one."""
        with self._lock:
            fitting = [entry for entry in self._kept if entry[0] == settings]
            for entry in fitting:
                self._kept.remove(entry)
                if entry[1].is_alive():
                    return entry[1]
                entry[1].end(now=True)
        return None

    def end(self) -> None:
        """End them all."""
        with self._lock:
            kept, self._kept = self._kept, []
        for _, worker in kept:
            worker.end(now=True)


_SPARE = _Spare()


class Workers:
    """Decodes images in up to `most` processes; may be called from as many threads.

    Nothing is started before the first image, and few images need one process only: the next one is started when
    the threads have waited for as long as it takes.
    """

    def __init__(self, limits: Limits, portable: Mapping[str, Any] | None, most: int) -> None:
        self._limits = limits
        self._settings = settings_frame(limits, portable)
        self._most = most
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._changed = threading.Condition()
        self._starting = threading.Lock()
        self._waited = 0.0
        self._closed = False

    def decode(self, data: bytes) -> Reply:
        """Return the image in a file.

        Raises:
            ImageFailure: it is none that can be used, or the process died of it.
            ShotdexError: no process can be started.
        """
        while True:
            worker = self._take()
            fresh = worker.fresh
            try:
                reply = worker.ask(data)
            except ImageFailure:
                self._give(worker)
                raise
            except Died as died:
                self._bury(worker)
                failure = self._cause(died.status)
                # One that had decoded others may have died of what they left behind, or between two images.
                if (fresh and not died.early) or self._closed or failure.reason is Reason.TOO_SLOW:
                    raise failure from None
            except BaseException:
                worker.kill()
                self._bury(worker)
                raise
            else:
                self._give(worker)
                return reply

    def close(self, now: bool = False) -> None:
        """Let all processes go, idle ones to those that wait for one; with `now` end them, those at work too.

        Whoever waits for one that is at work then gets an ImageFailure.
        """
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            for worker in self._all if now else ():
                worker.kill()
            self._changed.notify_all()
        for worker in idle:
            if now or not _SPARE.keep(self._settings, worker):
                self._bury(worker)

    def _take(self) -> Worker:
        with self._starting:  # the others wait here, so that one at a time is started
            began = time.monotonic()
            with self._changed:
                if self._closed:
                    raise _interrupted()
                while not self._idle and self._all and (left := self._patience_left(began)) > 0:
                    self._changed.wait(left)
                self._waited += time.monotonic() - began
                if self._idle:
                    return self._idle.pop()
                self._waited = 0.0
            return self._start()

    def _patience_left(self, began: float) -> float:
        if len(self._all) >= self._most:
            return threading.TIMEOUT_MAX
        return PATIENCE - self._waited - (time.monotonic() - began)

    def _start(self) -> Worker:
        worker = _SPARE.take(self._settings) or Worker(self._settings)
        with self._changed:
            self._all.add(worker)
            if not self._closed:
                return worker
        self._bury(worker)
        raise _interrupted()

    def _give(self, worker: Worker) -> None:
        with self._changed:
            closed = self._closed
            if not closed:
                self._idle.append(worker)
                self._changed.notify()
        if closed:
            self._bury(worker)

    def _bury(self, worker: Worker) -> None:
        with self._changed:
            self._all.discard(worker)
            self._changed.notify()
        worker.end(now=True)

    def _cause(self, status: int) -> ImageFailure:
        seconds = self._limits.seconds
        if seconds is not None and status == (-signal.SIGALRM if hasattr(signal, "SIGALRM") else TIMED_OUT):
            return ImageFailure(Reason.TOO_SLOW, f"not decoded within {seconds:g} s; --max-seconds 0 lifts the limit")
        if hasattr(signal, "SIGKILL") and status == -signal.SIGKILL:
            return ImageFailure(Reason.TOO_LARGE, KILLED)
        return ImageFailure(Reason.CORRUPT, f"the decoder crashed ({_status_name(status)})")


def _status_name(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"


def _interrupted() -> ImageFailure:
    return ImageFailure(Reason.UNREADABLE, "interrupted")
