"""One process that decodes images, seen from here: it is given a file's bytes and answers with arrays.

See `decode_worker.py` for what it does and how it is spoken to.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

import numpy as np

from shotdex.models.protocols import Prepared
from shotdex.store.errors import ImageFailure, ShotdexError
from shotdex.store.types import Photo, Reason

from .decode_worker import read_frame, write_frame

PIPE_BYTES = 1 << 20
"""Asked for where the system lets pipes grow (Linux): an image goes through in one piece."""


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
    """One decoding process."""

    def __init__(self, settings: bytes) -> None:
        self.fresh = True
        try:
            self._process = start_process()
        except (OSError, ValueError, TypeError) as error:
            raise _no_start(f"{type(error).__name__}: {error}") from error
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
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

    def ask(self, data: bytes) -> Reply:
        """Return the image in a file.

        Raises:
            ImageFailure: it is none that can be used.
            Died: the process died of it.
        """
        try:
            write_frame(self._in, data)
            self._in.flush()
        except OSError:
            raise Died(self._ended(), early=True) from None
        header, self.fresh = read_frame(self._out), False
        if header is None:
            raise Died(self._ended(), early=False)
        said = json.loads(header)
        arrays = _arrays(self._out, said.get("arrays", ()))
        if arrays is None:
            raise Died(self._ended(), early=False)
        if "reason" in said:
            raise ImageFailure(Reason[said["reason"]], said["detail"])
        return Reply(said["width"], said["height"], arrays, _photo(said["photo"]))

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


def _photo(said: dict[str, Any]) -> Photo:
    time = said["taken_at"]
    return Photo(**said | {"taken_at": None if time is None else datetime.fromisoformat(time)})


def _no_start(why: str) -> ShotdexError:
    return ShotdexError(
        f"the process that decodes images could not be started: {why}",
        f"try: {sys.executable} -P -m shotdex.indexer.decode_worker < {os.devnull}",
    )
