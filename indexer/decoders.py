"""The processes that decode images: they start when there is work, and a dead one is replaced.

See `decode_worker.py` for what a process does and how it is spoken to.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from shotdex.models.protocols import Prepared
from shotdex.store.errors import ImageFailure, ShotdexError
from shotdex.store.types import Limits, Photo, Reason

from .decode_worker import TIMED_OUT, read_frame, write_frame

PIPE_BYTES = 1 << 20
"""Asked for where the system lets pipes grow (Linux): an image goes through in one piece."""

PATIENCE = 0.25
"""Seconds that threads wait in all before one more process is started: about what starting it takes."""

SPARE = 4
"""How many idle processes are kept for the next indexing of this process."""

KILLED = "the decoder was killed, most likely for lack of memory"
"""Said of an image whose process was killed from outside. That may be another's doing, so it is tried again."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A decoded image: its size in pixels, its arrays, and what a camera wrote into its file."""

    width: int
    height: int
    arrays: Prepared
    photo: Photo


class Died(Exception):
    """The process is gone; `status` is its exit status as subprocess counts it, `early` whether it took nothing in."""

    def __init__(self, status: int, early: bool) -> None:
        super().__init__(str(status))
        self.status = status
        self.early = early


class Worker:
    """One decoding process. `fresh` until it has answered; `options` are what it was started with."""

    def __init__(self, options: bytes) -> None:
        self.options, self.fresh = options, True
        try:
            self.process = start_process()
        except (OSError, ValueError, TypeError) as error:
            raise _no_start(f"{type(error).__name__}: {error}") from error
        assert self.process.stdin is not None and self.process.stdout is not None and self.process.stderr is not None
        self._in, self._out = self.process.stdin, self.process.stdout
        if sys.platform == "linux":
            import fcntl

            for pipe in (self._in, self._out):
                with contextlib.suppress(OSError):  # beyond what this user may have
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with contextlib.suppress(OSError):
            write_frame(self._in, options)
            self._in.flush()
        if read_frame(self._out) is None:
            said = self.process.stderr.read().decode("utf-8", "replace")
            self.end()
            raise _no_start(said.strip().rpartition("\n")[2] or "it says nothing")
        self.process.stderr.close()

    def ask(self, data: bytes) -> Reply:
        """Return the image in a file, with arrays that own their memory.

        Raises:
            ImageFailure: it is none that can be used.
            Died: the process died of it.
        """
        try:
            write_frame(self._in, data)
            self._in.flush()
        except OSError:
            raise Died(self._ended(), early=True) from None
        self.fresh = False
        if (header := read_frame(self._out)) is None or (pixels := read_frame(self._out)) is None:
            raise Died(self._ended(), early=False)
        said = json.loads(header)
        if "reason" in said:
            raise ImageFailure(Reason[said["reason"]], said["detail"])
        values, arrays, start = np.frombuffer(pixels, dtype=np.uint8), {}, 0
        for name, shape in said["arrays"]:
            end = start + math.prod(shape)
            arrays[name] = values[start:end].reshape(shape)
            start = end
        photo = said["photo"]
        if photo["taken_at"] is not None:
            photo["taken_at"] = datetime.fromisoformat(photo["taken_at"])
        return Reply(said["width"], said["height"], arrays, Photo(**photo))

    def _ended(self) -> int:
        with contextlib.suppress(OSError):  # what could not be written is written again when the pipe is closed
            self._in.close()
        return self.process.wait()

    def end(self) -> None:
        """End the process at once; whoever waits for its answer learns of it."""
        self.process.kill()
        self._ended()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def start_process() -> subprocess.Popen[bytes]:
    """Start a process that has not been sent anything yet."""
    # One thread of numpy's: more would only reserve memory. A session of its own: Ctrl-C in a terminal is for us.
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "shotdex.indexer.decode_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=surroundings,
        start_new_session=True,
    )


def _no_start(why: str) -> ShotdexError:
    return ShotdexError(
        f"the process that decodes images could not be started: {why}",
        f"try: {sys.executable} -P -m shotdex.indexer.decode_worker < {os.devnull}",
    )


_spare: list[Worker] = []  # idle ones that one indexing leaves to the next in this process
_spare_lock = threading.Lock()


def _started(options: bytes) -> Worker:
    """Return a living process that was left with the same options, else a new one."""
    with _spare_lock:
        for worker in [one for one in _spare if one.options == options]:
            _spare.remove(worker)
            if worker.process.poll() is None:
                return worker
            worker.end()
    return Worker(options)


@atexit.register
def end_spare() -> None:
    """End the processes that were left to the next indexing."""
    with _spare_lock:
        while _spare:
            _spare.pop().end()


class Workers:
    """Decodes images in up to `most` processes; may be called from as many threads.

    Nothing is started before the first image, and few images need one process only: the next one is started when
    the threads have waited for as long as it takes.
    """

    def __init__(self, limits: Limits, portable: Mapping[str, Any] | None, most: int) -> None:
        self._seconds = limits.seconds
        self._options = json.dumps({"limits": asdict(limits), "portable": portable}).encode()
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
            fresh, lives = worker.fresh, False
            try:
                reply = worker.ask(data)
                lives = True
                return reply
            except ImageFailure:
                lives = True
                raise
            except Died as died:
                failure = self._cause(died.status)
                # One that had decoded others may have died of what they left behind, or between two images.
                if (fresh and not died.early) or self._closed or failure.reason is Reason.TOO_SLOW:
                    raise failure from None
            finally:
                self._release(worker, lives)

    def close(self, now: bool = False) -> None:
        """Let all processes go, idle ones to those that wait for one; with `now` end them, those at work too.

        Whoever waits for one that is at work then gets an ImageFailure.
        """
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            for worker in self._all if now else ():
                worker.process.kill()
            self._changed.notify_all()
        for worker in idle:
            with _spare_lock:
                kept = not now and len(_spare) < SPARE
                _spare.extend([worker] * kept)
            if not kept:
                worker.end()

    def _take(self) -> Worker:
        """Return an idle process; where none is for too long, and there may be more, a new one."""
        with self._starting:  # the others wait here, so that one at a time is started
            began = time.monotonic()
            with self._changed:
                while self._all and not self._idle and not self._closed:
                    left = PATIENCE - self._waited - (time.monotonic() - began)
                    full = len(self._all) >= self._most
                    if left <= 0 and not full:
                        break
                    self._changed.wait(threading.TIMEOUT_MAX if full else left)
                self._waited += time.monotonic() - began
                if self._idle:
                    return self._idle.pop()
                self._waited = 0.0
            if not self._closed:
                worker = _started(self._options)
                with self._changed:
                    self._all.add(worker)
                if not self._closed:
                    return worker
                self._release(worker, lives=False)
            raise ImageFailure(Reason.UNREADABLE, "interrupted")

    def _release(self, worker: Worker, lives: bool) -> None:
        """Take a process back: for the next image where it lives, else to be ended."""
        with self._changed:
            kept = lives and not self._closed
            if kept:
                self._idle.append(worker)
            else:
                self._all.discard(worker)
            self._changed.notify()
        if not kept:
            worker.end()

    def _cause(self, status: int) -> ImageFailure:
        alarm = -signal.SIGALRM if hasattr(signal, "SIGALRM") else TIMED_OUT
        if self._seconds is not None and status == alarm:
            limit = f"not decoded within {self._seconds:g} s; --max-seconds 0 lifts the limit"
            return ImageFailure(Reason.TOO_SLOW, limit)
        if hasattr(signal, "SIGKILL") and status == -signal.SIGKILL:
            return ImageFailure(Reason.TOO_LARGE, KILLED)
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"exit status {status}"
        return ImageFailure(Reason.CORRUPT, f"the decoder crashed ({name})")
