"""The processes that decode pictures, seen from here: they start when there is work, and a dead one is replaced.

See `decode_worker.py` for what they do and how they are spoken to.
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
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from shotdex.store.errors import ShotdexError
from shotdex.store.pictures import PictureRefused
from shotdex.store.words import Limits, Prepared, Reason

from .decode_worker import TIMED_OUT, read_frame, settings_frame, write_frame

PATIENCE = 0.25
"""Seconds that threads wait in all before one more process is started: about what starting it takes."""

SPARE = 4
"""How many idle processes are kept for the next indexing of this process."""

KILLED = "the decoder was killed, most likely for lack of memory"
"""Said of a picture whose process was killed from outside. That may be another's doing, so it is tried again."""

PIPE_BYTES = 1 << 20
"""Asked for where the system lets pipes grow (Linux): a picture goes through in one piece."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A decoded picture: its size in pixels, and its arrays."""

    width: int
    height: int
    arrays: Prepared


class _Died(Exception):
    """The process is gone; `status` is its exit status as subprocess counts it, `early` whether it took nothing in."""

    def __init__(self, status: int, early: bool) -> None:
        super().__init__(str(status))
        self.status = status
        self.early = early


class _Worker:
    """One decoding process."""

    def __init__(self, settings: bytes) -> None:
        self.fresh = True
        try:
            self._process = _start()
        except (OSError, ValueError, TypeError) as error:
            raise _no_start(f"{type(error).__name__}: {error}") from error
        for pipe in (self._in, self._out):
            _widen(pipe)
        with contextlib.suppress(OSError):
            write_frame(self._in, settings)
            self._in.flush()
        if read_frame(self._out) is None:
            told = self._process.stderr.read() if self._process.stderr else b""
            self.end(now=True)
            raise _no_start(told.decode("utf-8", "replace").strip().rpartition("\n")[2] or "it says nothing")
        if self._process.stderr is not None:
            self._process.stderr.close()

    @property
    def _in(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _out(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def ask(self, data: bytes) -> Reply:
        """Return the picture in a file.

        Raises:
            PictureRefused: it is none that can be used.
            _Died: the process died of it.
        """
        try:
            write_frame(self._in, data)
            self._in.flush()
        except OSError:
            raise _Died(self._ended(), early=True) from None
        header, self.fresh = read_frame(self._out), False
        if header is None:
            raise _Died(self._ended(), early=False)
        said = json.loads(header)
        arrays = _arrays(self._out, said.get("arrays", ()))
        if arrays is None:
            raise _Died(self._ended(), early=False)
        if "reason" in said:
            raise PictureRefused(Reason[said["reason"]], said["detail"])
        return Reply(said["width"], said["height"], arrays)

    def _ended(self) -> int:
        with contextlib.suppress(OSError):  # what could not be written is written again when the pipe is closed
            self._in.close()
        return self._process.wait()

    def end(self, now: bool) -> None:
        """End the process: at once, or when it has nothing more to do."""
        if now:
            self._process.kill()
        self._ended()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def is_alive(self) -> bool:
        """Tell whether the process is still there."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the process; whoever waits for its answer learns of it."""
        self._process.kill()


class _Spare:
    """Idle processes that one indexing leaves to the next in this process; they end with it."""

    def __init__(self) -> None:
        self._kept: list[tuple[bytes, _Worker]] = []
        self._lock = threading.Lock()
        atexit.register(self.end)

    def keep(self, settings: bytes, worker: _Worker) -> bool:
        """Keep a process, unless there are enough."""
        with self._lock:
            if len(self._kept) >= SPARE:
                return False
            self._kept.append((settings, worker))
            return True

    def take(self, settings: bytes) -> _Worker | None:
        """Return a living process that was told the same settings, if there is one."""
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
    """Decodes pictures in up to `most` processes; may be called from as many threads.

    Nothing is started before the first picture, and few pictures need one process only: the next one is started when
    the threads have waited for as long as it takes.
    """

    def __init__(self, limits: Limits, portable: Mapping[str, Any] | None, most: int) -> None:
        self._limits = limits
        self._settings = settings_frame(limits, portable)
        self._most = most
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._changed = threading.Condition()
        self._starting = threading.Lock()
        self._waited = 0.0
        self._closed = False

    def decode(self, data: bytes) -> Reply:
        """Return the picture in a file.

        Raises:
            PictureRefused: it is none that can be used, or the process died of it.
            ShotdexError: no process can be started.
        """
        while True:
            worker = self._take()
            fresh = worker.fresh
            try:
                reply = worker.ask(data)
            except PictureRefused:
                self._give(worker)
                raise
            except _Died as died:
                self._bury(worker)
                refusal = self._cause(died.status)
                # One that had decoded others may have died of what they left behind, or between two pictures.
                if (fresh and not died.early) or self._closed or refusal.reason is Reason.TOO_SLOW:
                    raise refusal from None
            except BaseException:
                worker.kill()
                self._bury(worker)
                raise
            else:
                self._give(worker)
                return reply

    def close(self, now: bool = False) -> None:
        """Let all processes go, idle ones to whoever needs the like next; with `now` end them, those at work too.

        Whoever waits for one that is at work then gets a PictureRefused.
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

    def _take(self) -> _Worker:
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

    def _start(self) -> _Worker:
        worker = _SPARE.take(self._settings) or _Worker(self._settings)
        with self._changed:
            self._all.add(worker)
            if not self._closed:
                return worker
        self._bury(worker)
        raise _interrupted()

    def _give(self, worker: _Worker) -> None:
        with self._changed:
            closed = self._closed
            if not closed:
                self._idle.append(worker)
                self._changed.notify()
        if closed:
            self._bury(worker)

    def _bury(self, worker: _Worker) -> None:
        with self._changed:
            self._all.discard(worker)
            self._changed.notify()
        worker.end(now=True)

    def _cause(self, status: int) -> PictureRefused:
        seconds = self._limits.seconds
        if seconds is not None and status == (-signal.SIGALRM if hasattr(signal, "SIGALRM") else TIMED_OUT):
            return PictureRefused(Reason.TOO_SLOW, f"not decoded within {seconds:g} s")
        if hasattr(signal, "SIGKILL") and status == -signal.SIGKILL:
            return PictureRefused(Reason.TOO_LARGE, KILLED)
        return PictureRefused(Reason.CORRUPT, f"the decoder crashed ({_status_name(status)})")


def _start() -> subprocess.Popen[bytes]:
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


def _widen(pipe: IO[bytes]) -> None:
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):  # beyond what this user may have
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _arrays(file: IO[bytes], told: list[tuple[str, list[int]]]) -> Prepared | None:
    """Read the frame of pixels into arrays that own their memory; None where the process ended within it."""
    data = read_frame(file)
    if data is None:
        return None
    values, arrays, start = np.frombuffer(data, dtype=np.uint8), {}, 0
    for name, shape in told:
        length = math.prod(shape)
        arrays[name] = values[start : start + length].reshape(shape)
        start += length
    return arrays


def _status_name(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"


def _interrupted() -> PictureRefused:
    return PictureRefused(Reason.UNREADABLE, "interrupted")


def _no_start(why: str) -> ShotdexError:
    return ShotdexError(
        f"the process that decodes pictures does not start: {why}",
        f"try: {sys.executable} -P -m shotdex.indexer.decode_worker < {os.devnull}",
    )
