"""The process in which images are decoded, so that a decoder that crashes or hangs costs one image and not the run.

Run by `decoders.py` as `python -m shotdex.indexer.decode_worker`; nothing else should import it. It imports no model
and no database: it starts in the time that numpy and Pillow take.

On standard input comes a frame of JSON, {"limits": ..., "portable": ...}, and then a frame for each image, its file;
a frame is its length in 8 bytes (little-endian) and that many bytes. On standard output go one empty frame when the
process is ready, and for each image a frame of JSON and one of pixels:

    {"width": W, "height": H, "arrays": [[name, shape], ...],    the arrays' bytes, uint8, one after the other
     "photo": {...}}                                             what its EXIF block says, the fields of a `Photo`
    {"reason": name, "detail": text}                             an empty frame
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import signal
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from shotdex.media.decoding.decode import decode
from shotdex.media.decoding.exif import read_exif
from shotdex.models.preprocessing import FixedSize
from shotdex.models.protocols import Prepared
from shotdex.store.errors import ImageFailure
from shotdex.store.types import Limits, Reason

WHOLE = "rgb"
"""The name of the array where the whole image goes back, (H, W, 3)."""

TIMED_OUT = 1
"""The exit status after the time limit where there is no alarm signal: what faulthandler exits with."""

NICE = 10
"""How far decoding steps back behind the model: a tenth of its weight on Linux, where both want a core."""

MEMORY_BESIDE, MEMORY_PER_PIXEL = 3 << 30, 16
"""Bytes of address space that a decoding process may have: for itself and the file, and for each allowed pixel."""


def write_frame(file: IO[bytes], data: bytes | memoryview) -> None:
    """Write one frame; the caller flushes."""
    file.write(len(data).to_bytes(8, "little"))
    file.write(data)


def read_frame(file: IO[bytes]) -> bytes | None:
    """Return what one frame holds, or None where the other side is gone."""
    head = file.read(8)
    if len(head) < 8:
        return None
    length = int.from_bytes(head, "little")
    data = file.read(length)
    return data if len(data) == length else None


def main() -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    options = read_frame(requests)
    if options is None:
        return
    said = json.loads(options)
    limits, portable = Limits(**said["limits"]), said["portable"]
    _expect_the_worst(limits)
    _step_back()
    write_frame(replies, b"")
    replies.flush()
    _be_silent()
    prepare = FixedSize.of(portable) if portable is not None else None
    while (data := read_frame(requests)) is not None:
        with _alarm(limits.seconds):
            header, pixels = answer(data, limits, prepare)
        write_frame(replies, json.dumps(header, default=str).encode())  # times as their ISO texts
        write_frame(replies, pixels)
        replies.flush()


def answer(data: bytes, limits: Limits, prepare: FixedSize | None) -> tuple[dict[str, Any], bytes | memoryview]:
    """Return the reply to one image's file."""
    try:
        image = decode(data, limits)
        prepared: Prepared = {WHOLE: np.asarray(image)} if prepare is None else prepare.prepare(image)
    except ImageFailure as error:
        return {"reason": error.reason.name, "detail": error.detail}, b""
    except MemoryError:
        return {"reason": Reason.TOO_LARGE.name, "detail": "not enough memory"}, b""
    except Exception as error:
        return {"reason": Reason.CORRUPT.name, "detail": f"{type(error).__name__}: {error}"}, b""
    arrays = [[name, list(array.shape)] for name, array in prepared.items()]
    photo = asdict(read_exif(io.BytesIO(data)))
    header = {"width": image.width, "height": image.height, "arrays": arrays, "photo": photo}
    parts = [np.ascontiguousarray(array, dtype=np.uint8).reshape(-1).data for array in prepared.values()]
    return header, parts[0] if len(parts) == 1 else b"".join(parts)


def _be_silent() -> None:
    """Let nothing but replies out: C libraries print, and a reply with a line of theirs in it is garbage."""
    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)


def _expect_the_worst(limits: Limits) -> None:
    """Bound this process's memory, leave no core behind, and be the first to go where the machine runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {resource.RLIMIT_CORE: 0}
    if limits.pixels is not None:
        wanted[resource.RLIMIT_AS] = MEMORY_BESIDE + MEMORY_PER_PIXEL * limits.pixels
    for limit, value in wanted.items():
        hard = resource.getrlimit(limit)[1]
        with contextlib.suppress(ValueError, OSError):  # macOS knows the limit of memory and refuses it
            resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _step_back() -> None:
    """Take the processor where the model leaves it free.

    Model and decoders share the cores. Side by side they are slower than one after the other: the model's threads wait
    for each other, so that one of them held up holds up all. With less weight the decoders work while the model waits
    for images, and in what its single-threaded parts leave over.
    """
    with contextlib.suppress(OSError, AttributeError):  # there is none on Windows
        os.nice(NICE)
    # A process in a session of its own is weighed against other sessions, where Linux groups them, by this instead. In
    # somebody else's session it would slow that down, a user's shell say, and stay so.
    with contextlib.suppress(OSError, AttributeError):
        if os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text(str(NICE), encoding="ascii")


@contextlib.contextmanager
def _alarm(seconds: float | None) -> Any:
    """End this process where the block takes longer, whatever it is doing then."""
    if seconds is None:
        yield
    elif hasattr(signal, "setitimer"):
        # The default action of the signal needs no Python: it also ends a decoder that never comes back from C.
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)
    else:
        with Path(os.devnull).open("w", encoding="ascii") as nowhere:
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
            yield
            faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main()
