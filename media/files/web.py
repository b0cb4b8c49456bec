"""Files behind http and https: facts, whole files, and files that can seek, over fsspec's connection (aiohttp).

Every request has limits of time, every answer a bound of bytes. One GET with a range tells all that is asked of a
server: HEAD is refused by some and by signed URLs. A server that ignores ranges sends the whole file, which is then
spooled to disk. Trouble that may be gone in a moment (429, 5xx, a lost connection) is tried once more.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import BinaryIO, TypeVar, cast

from .bounded import Facts, TooManyBytes
from .ranged import BLOCK, RangedFile
from .urls import shown
from .web_session import Passing, Response, request, translated

SPOOL_LIMIT = 64 * 1024**3
"""Bytes above which a file that cannot be read in parts is not fetched: 64 GiB."""

WAIT_S = 0.5
LONGEST_WAIT_S = 5.0

# A server that drips keeps every single read within its limit, so the whole is bounded too: after a minute it must
# have sent 10 kB for every second.
PATIENCE_S = 60.0
SLOWEST = 10_000

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose body has not been read. `url` is where redirects led."""

    url: str
    status: int
    headers: Mapping[str, str]
    response: Response

    @property
    def size(self) -> int | None:
        """Return the bytes of the whole file, where the server says."""
        if self.status in (206, 416):
            found = re.search(r"/(\d+)\s*$", self.headers.get("Content-Range", ""))
            return int(found[1]) if found else None
        length = self.headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdigit() else None

    @property
    def version(self) -> str | None:
        """Return what the server tells versions of a file apart by."""
        return self.headers.get("ETag") or self.headers.get("Last-Modified")

    def chunks(self) -> Iterator[bytes]:
        """Read the body piece by piece, each at most 256 KiB."""
        began, total = time.monotonic(), 0
        while chunk := self.response.read(1 << 18):
            total += len(chunk)
            yield chunk
            if time.monotonic() - began > PATIENCE_S + total / SLOWEST:
                raise TimeoutError(f"{shown(self.url)} sends less than {SLOWEST // 1000} kB a second")

    def body(self, limit: int) -> bytes:
        """Return the whole body, unpacked where it comes packed.

        Raises:
            TooManyBytes: it is more than `limit` bytes; no more than that were kept.
        """
        if self.status == 200 and (self.size or 0) > limit:
            raise TooManyBytes(f"more than {limit:,} bytes")
        data = bytearray()
        for chunk in self.chunks():
            data += chunk
            if len(data) > limit:
                raise TooManyBytes(f"more than {limit:,} bytes")
        return _unpacked(bytes(data), self.headers.get("Content-Encoding", ""), limit)


def _unpacked(data: bytes, packing: str, limit: int) -> bytes:
    # Asked for none; some servers keep files packed and send them so whatever is asked.
    if packing.lower() in ("", "identity"):
        return data
    if packing.lower() not in ("gzip", "x-gzip", "deflate"):
        raise OSError(f"the server sends it packed by {packing[:20]!r}")
    try:
        unpacked = zlib.decompressobj(wbits=47).decompress(data, limit + 1)
    except zlib.error as error:
        raise OSError(f"what the server sends cannot be unpacked: {error}") from error
    if len(unpacked) > limit:
        raise TooManyBytes(f"more than {limit:,} bytes")
    return unpacked


def _get(url: str, start: int | None = None, end: int | None = None) -> Reply:
    """Ask for a file, or its bytes from `start` up to `end`.

    Raises:
        FileNotFoundError, PermissionError, TimeoutError, OSError: there is no such answer.
        Passing: the same request may be answered in a moment.
    """
    wanted = {} if start is None or end is None else {"Range": f"bytes={start}-{end - 1}"}
    with translated(url):
        response = request(url, {"Accept-Encoding": "identity", **wanted})
    reply = Reply(response.url, response.status, response.headers, response)
    try:
        _check(url, reply, ranged=bool(wanted))
    except BaseException:
        response.close()
        raise
    return reply


def _check(url: str, reply: Reply, *, ranged: bool) -> None:
    status = reply.status
    if status in (404, 410):
        raise FileNotFoundError(f"{shown(url)} is not there ({status})")
    if status in (401, 403, 407):
        raise PermissionError(f"{shown(url)} may not be read ({status})")
    if status == 429 or status >= 500:
        wait = reply.headers.get("Retry-After", "")
        seconds = float(wait) if wait.isascii() and wait.isdigit() else WAIT_S
        raise Passing(f"{shown(url)}: the server answered {status}", min(seconds, LONGEST_WAIT_S))
    if status not in ((200, 206, 416) if ranged else (200,)):
        raise OSError(f"{shown(url)}: the server answered {status}")


def _twice(work: Callable[[], _T]) -> _T:
    try:
        return work()
    except Passing as trouble:
        time.sleep(trouble.wait_s)
    return work()


def _asking(url: str, use: Callable[[Reply], _T], start: int | None = None, end: int | None = None) -> _T:
    def once() -> _T:
        reply = _get(url, start, end)
        try:
            with translated(url):
                return use(reply)
        finally:
            reply.response.close()

    return _twice(once)


def facts(url: str) -> Facts:
    """Return size and time of a file; for the time its ETag where there is none.

    A server that gives neither cannot be asked whether a file changed: the time is then now, and it is read again.
    """

    def use(reply: Reply) -> Facts:
        if reply.status == 206:
            reply.body(1)  # read to its end, so that the connection stays for the next request
        if reply.status == 416:  # empty, and few servers add the time to that answer
            return _asking(url, use)
        return Facts(reply.size or 0, _modified_ns(reply.headers))

    return _asking(url, use, 0, 1)


def _modified_ns(headers: Mapping[str, str]) -> int:
    try:
        return int(parsedate_to_datetime(headers.get("Last-Modified", "")).timestamp()) * 1_000_000_000
    except (ValueError, OverflowError, TypeError):
        return number_of(headers["ETag"]) if headers.get("ETag") else time.time_ns()


def number_of(mark: str) -> int:
    """Return a number of 63 bits that stands for a checksum or version of any form."""
    return int.from_bytes(hashlib.blake2b(mark.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") >> 1


def read_all(url: str, limit: int) -> bytes:
    """Return a file in one request.

    Raises:
        TooManyBytes: it is more than `limit` bytes.
    """
    return _asking(url, lambda reply: reply.body(limit))


def page(url: str, limit: int) -> tuple[str, str, bytes]:
    """Return where redirects led, the kind of content in lower case, and the content."""
    return _asking(url, lambda r: (r.url, r.headers.get("Content-Type", "").partition(";")[0].lower(), r.body(limit)))


def headers(url: str) -> tuple[str, str]:
    """Return where redirects led and the kind of content in lower case."""
    return _asking(url, lambda r: (r.url, r.headers.get("Content-Type", "").partition(";")[0].strip().lower()))


def open_binary(url: str) -> BinaryIO:
    """Return a file that seeks: by ranges, or where the server ignores them out of a temporary file."""
    return _asking(url, lambda reply: _seekable(url, reply), 0, BLOCK)


def _seekable(url: str, reply: Reply) -> BinaryIO:
    if reply.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        raise OSError(f"{shown(url)}: the server sends it packed, so it cannot be read in parts")
    if reply.status == 416 and reply.size == 0:
        return io.BytesIO()
    if reply.status == 206 and reply.size is not None:
        first = reply.body(BLOCK)
        raw = RangedFile(lambda start, end: _range(url, start, end, reply), reply.size, first)
        return cast(BinaryIO, io.BufferedReader(raw, 1 << 16))
    if reply.status == 200:
        return _spooled(url, reply)
    return _asking(url, lambda whole: _spooled(url, whole))


def _range(url: str, start: int, end: int, first: Reply) -> bytes:
    def use(reply: Reply) -> bytes:
        given = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", ""))
        if reply.status != 206 or given is None or int(given[1]) != start:
            raise OSError(f"{shown(url)}: the server does not send the part that it was asked for")
        if (reply.size, reply.version) != (first.size, first.version):
            raise OSError(f"{shown(url)} changed while it was read")
        data = reply.body(end - start)
        if len(data) != end - start:
            raise Passing(f"{shown(url)}: the server sends less than it was asked for", WAIT_S)
        return data

    try:
        return _asking(url, use, start, end)
    except TooManyBytes as error:
        raise OSError(f"{shown(url)}: the server sends more than it was asked for") from error


def _spooled(url: str, reply: Reply) -> BinaryIO:
    limit = min(SPOOL_LIMIT, shutil.disk_usage(tempfile.gettempdir()).free // 2)
    too_large = OSError(f"{shown(url)}: the server sends files only whole, and this one is over {limit:,} bytes")
    if (reply.size or 0) > limit:
        raise too_large
    with contextlib.ExitStack() as to_close:
        file = to_close.enter_context(tempfile.TemporaryFile())
        for chunk in reply.chunks():
            file.write(chunk)
            if file.tell() > limit:
                raise too_large
        file.seek(0)
        to_close.pop_all()
    return cast(BinaryIO, file)
