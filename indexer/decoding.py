"""Reading and decoding ahead in worker threads, with the results in the order of the candidates."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from shotdex.store.addresses import read_bytes
from shotdex.store.pictures import PictureRefused, decode
from shotdex.store.words import Prepared, Reason, Rejection

from .sources import Candidate

WORKERS = max(2, min(8, os.cpu_count() or 2))


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture ready for the encoder. `prepared` is None where its content is known and need not be encoded."""

    candidate: Candidate
    content_sha256: str
    width: int
    height: int
    prepared: Prepared | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A picture that cannot be used."""

    candidate: Candidate
    rejection: Rejection


@dataclass(frozen=True, slots=True)
class Decoder:
    """Turns candidates into pictures. `is_known` tells by content hash which need no pixels."""

    prepare: Callable[[Image.Image], Prepared]
    is_known: Callable[[str], bool]

    def decode(self, candidate: Candidate) -> Decoded | Refused:
        """Read and decode one candidate; nothing that a file holds makes this raise."""
        try:
            data = read_bytes(candidate.address)
        except Exception as error:  # zip, gzip and the file system raise a dozen types
            return _refused(candidate, "read", Reason.UNREADABLE, f"{type(error).__name__}: {error}")
        content = hashlib.sha256(data).hexdigest()
        if self.is_known(content):
            return Decoded(candidate, content, 0, 0, None)
        try:
            image = decode(data)
            return Decoded(candidate, content, image.width, image.height, self.prepare(image))
        except PictureRefused as error:
            return _refused(candidate, "decode", error.reason, error.detail)
        except Exception as error:
            return _refused(candidate, "decode", Reason.CORRUPT, f"{type(error).__name__}: {error}")

    def decode_ahead(self, candidates: Iterable[Candidate], ahead: int) -> Iterator[Decoded | Refused]:
        """Yield results in the order of the candidates, with at most `ahead` of them in memory."""
        pending: deque[Future[Decoded | Refused]] = deque()
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="decode")
        try:
            for candidate in candidates:
                pending.append(pool.submit(self.decode, candidate))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _refused(candidate: Candidate, stage: str, reason: Reason, detail: str) -> Refused:
    return Refused(candidate, Rejection(candidate.address, stage, reason, detail))
