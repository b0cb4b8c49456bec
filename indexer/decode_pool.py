"""Reading and decoding ahead, with the results in the order of the addresses: threads read, processes decode."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from shotdex.media.decoding.exif import read_exif
from shotdex.media.files.places import EXCHANGE, Exchange, TooManyBytes
from shotdex.models.protocols import Prepared
from shotdex.store.errors import ContainerFailure, ImageFailure, ShotdexError
from shotdex.store.types import NOTHING_SAID, Failure, Limits, Photo, Reason

from .decode_worker import WHOLE
from .decoders import Workers

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
"""Cores that this process may use: of a large machine, Slurm gives a task a few."""

WORKERS = max(2, min(32, CORES))
"""Decoding processes at most. They start one by one, when the ones that are there do not keep up."""

LONG_TURN = 2.0
"""Seconds from which on the model need not wait for all: a slow source must not keep back what has arrived."""

NO_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image ready for the encoder. `prepared` is None where its content is known and need not be encoded.

    `photo` is what a camera wrote into its file.
    """

    address: str
    content_sha256: str
    width: int
    height: int
    prepared: Prepared | None
    photo: Photo = NOTHING_SAID


Result = Decoded | Failure
"""What comes of an image: one for the encoder, or why it cannot be used."""


@dataclass(slots=True)
class Decoder:
    """Turns addresses into images, once: see `decode_ahead`.

    `portable` is what a decoding process needs to do `prepare` itself, or None where it sends whole images and
    `prepare` runs here. `is_known` tells by content hash which need no pixels. `read` gives an address's bytes, or
    raises `TooManyBytes` where there are more than the limit. `prepare`, `is_known` and `read` are called from several
    threads; with `in_order`, `read` only from the one that takes the results, in the order of the addresses. Where the
    taker `shares_cores` with the decoders, these work only while it waits for results; what they began they end.
    """

    prepare: Callable[[Image.Image], Prepared]
    portable: Mapping[str, Any] | None
    is_known: Callable[[str], bool]
    read: Callable[[str, int], bytes]
    limits: Limits
    in_order: bool = False
    shares_cores: bool = False
    _workers: Workers = field(init=False)
    _threads: ThreadPoolExecutor = field(init=False)
    _may_decode: threading.Event = field(default_factory=threading.Event)
    _room: threading.Semaphore = field(init=False)
    _requests: Exchange = field(init=False)

    def __post_init__(self) -> None:
        self._workers = Workers(self.limits, self.portable, WORKERS)
        self._requests = EXCHANGE.get().part()  # of the threads that read
        # More threads than processes: some read while others wait for their turn to decode.
        self._threads = ThreadPoolExecutor(2 * WORKERS, "decode", EXCHANGE.set, (self._requests,))
        # Files read ahead in order are as many as keep the processes busy, however far ahead the results may be.
        self._room = threading.Semaphore(2 * WORKERS)
        self._may_decode.set()  # nothing is there yet for the model

    def decode_ahead(self, addresses: Iterable[str], ahead: int) -> Generator[Result, None, None]:
        """Yield results in the order of the addresses, with at most `ahead` of them in memory.

        Where the iterator is closed early, or an error goes through it, the processes end with it; otherwise a few idle
        ones are left to the next indexing of this process.

        Raises:
            ShotdexError: no process for decoding can be started. Nothing that an image's file holds raises.
        """
        pending: deque[Future[Result]] = deque()
        finished = False
        try:
            for address in addresses:
                pending.append(self._submit(address))
                if len(pending) >= ahead:
                    yield self._next_of(pending)
            while pending:
                yield self._next_of(pending)
            finished = True
        finally:
            self._workers.close(now=not finished)
            if not finished:
                self._requests.end()  # the threads that read wait for no server
            with self._decoding():  # so that nobody waits for it
                self._threads.shutdown(wait=True, cancel_futures=True)

    def _submit(self, address: str) -> Future[Result]:
        if not self.in_order:
            return self._threads.submit(lambda: self._decoded(address, self._read(address)))
        if not self._room.acquire(blocking=False):
            with self._decoding():
                self._room.acquire()
        data = [self._read(address)]

        def work() -> Result:
            try:
                return self._decoded(address, data.pop())  # popped, so that the result does not keep the file
            finally:
                self._room.release()

        return self._threads.submit(work)

    def _next_of(self, pending: deque[Future[Result]]) -> Result:
        """Wait for the oldest result; where cores are shared, for all of them, unless these take long."""
        if not pending[0].done():
            with self._decoding():
                if self.shares_cores:
                    wait(pending, LONG_TURN)
                wait([pending[0]])
        return pending.popleft().result()

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        """Let images be decoded inside, and after it where the cores are not shared."""
        self._may_decode.set()
        try:
            yield
        finally:
            if self.shares_cores:
                self._may_decode.clear()

    def _read(self, address: str) -> bytes | Failure:
        limit = NO_LIMIT if self.limits.bytes is None else self.limits.bytes
        try:
            return self.read(address, limit)
        except TooManyBytes as error:
            return Failure(address, "read", Reason.TOO_LARGE, f"{error}; --max-pixels 0 lifts the limit")
        except ContainerFailure as error:
            return Failure(address, "read", error.reason, error.detail)
        except Exception as error:  # decompressors and the file system raise a dozen types
            return Failure(address, "read", Reason.UNREADABLE, f"{type(error).__name__}: {error}")

    def _decoded(self, address: str, data: bytes | Failure) -> Result:
        if isinstance(data, Failure):
            return data
        self._may_decode.wait()
        content = hashlib.sha256(data).hexdigest()
        if self.is_known(content):
            return Decoded(address, content, 0, 0, None, read_exif(io.BytesIO(data)))
        try:
            reply = self._workers.decode(data)
            prepared = reply.arrays
            if self.portable is None:  # the process sent the whole image
                prepared = self.prepare(Image.fromarray(prepared[WHOLE]))
            return Decoded(address, content, reply.width, reply.height, prepared, reply.photo)
        except ImageFailure as error:
            return Failure(address, "decode", error.reason, error.detail)
        except ShotdexError:
            raise
        except Exception as error:
            return Failure(address, "decode", Reason.CORRUPT, f"{type(error).__name__}: {error}")
