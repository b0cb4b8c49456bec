"""Requests to web servers, over aiohttp on fsspec's event loop: bounded, without cookies, with errors of one family.

Everything has a bound: the time until an answer begins, the bytes of a body, how slowly it may come, and the whole.
Trouble that may be gone in a moment (429, 5xx, a lost connection) is tried again. Proxies and ~/.netrc are the user's.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import errno
import re
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from .places import EXCHANGE, TooManyBytes
from .urls import missing, shown

SLOWEST, WHOLE = 10_000, 120
"""A server that drips keeps every single read within the limit: beyond it it must send 10 kB a second, and the whole
answer may take 120 times the limit, an hour unless the user says otherwise."""

LARGE = 32 << 20
"""Bytes of a body after which it waits for its turn: of larger ones one is in memory at a time, whatever is sent."""

TRIES, WAIT_S, LONGEST_WAIT_S = 3, 0.5, 5.0
"""How often a request is tried, the seconds between, and the most that a server may ask for."""

SILENT = 3
"""Requests in a row that a server leaves without an answer before it is given up; the first, where it gave none yet."""

# A URL of these letters alone is sent as it was given: requoting may break a signature.
_WRITTEN = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")

_T = TypeVar("_T")


class Passing(ConnectionError):
    """Trouble that may be gone after `wait_s` seconds."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose body has not been read. `url` is where redirects led."""

    url: str
    status: int
    headers: Mapping[str, str]
    content: Any

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

    @property
    def kind(self) -> str:
        """Return the kind of content in lower case."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read the body piece by piece, each at most 256 KiB."""
        began, total, exchange = time.monotonic(), 0, EXCHANGE.get()
        while True:
            async with asyncio.timeout(exchange.seconds):  # also where the session was closed: aiohttp waits on then
                chunk = await self.content.read(1 << 18)
            if not chunk:
                return
            total += len(chunk)
            yield chunk
            if exchange.seconds is None:
                continue
            took, lifted = time.monotonic() - began, exchange.lifted_by("--web-timeout")
            if took > exchange.seconds + total / SLOWEST:
                raise TimeoutError(f"{shown(self.url)} sends less than {SLOWEST // 1000} kB a second{lifted}")
            if took > exchange.seconds * WHOLE:
                raise TimeoutError(f"{shown(self.url)} was not read within {exchange.seconds * WHOLE:g} s{lifted}")

    async def body(self, limit: int) -> bytes:
        """Return the whole body, unpacked where it comes packed.

        Raises:
            TooManyBytes: it is more than `limit` bytes; no more than that were kept.
        """
        if self.status == 200 and (self.size or 0) > limit:
            raise TooManyBytes(f"more than {limit:,} bytes")
        parts: list[bytes] = []
        total = 0
        async with contextlib.AsyncExitStack() as held:
            async for chunk in self.chunks():
                parts.append(chunk)  # put together at the end: a buffer that grows is copied, and twice in memory
                total += len(chunk)
                if total > limit:
                    raise TooManyBytes(f"more than {limit:,} bytes")
                if total - len(chunk) <= LARGE < total:
                    await held.enter_async_context(_turn_of_large_ones())
            data = b"".join(parts)
            parts.clear()
            return _unpacked(data, self.headers.get("Content-Encoding", ""), limit)


def _unpacked(data: bytes, packing: str, limit: int) -> bytes:
    # Asked for none; some servers keep files packed and send them so in any case. aiohttp unpacks without a bound.
    if packing.lower() in ("", "identity"):
        return data
    if packing.lower() not in ("gzip", "x-gzip", "deflate"):
        raise OSError(f"the server sends it compressed with {packing[:20]!r}")
    try:
        unpacked = zlib.decompressobj(wbits=47).decompress(data, limit + 1)
    except zlib.error as error:
        raise OSError(f"the server's data cannot be decompressed: {error}") from error
    if len(unpacked) > limit:
        raise TooManyBytes(f"more than {limit:,} bytes")
    return unpacked


def wait(work: Awaitable[_T]) -> _T:
    """Return what a coroutine gives that ran on fsspec's loop; Ctrl-C cancels it.

    Raises:
        SourceError: a library is not installed.
    """
    try:
        import aiohttp  # noqa: F401
        from fsspec.asyn import get_loop
    except ImportError as error:
        work.close()  # type: ignore[attr-defined]
        raise missing("http", error) from error
    exchange = EXCHANGE.get()  # the coroutine sees the same one: it runs in a copy of this context
    running = asyncio.run_coroutine_threadsafe(cast(Any, work), get_loop())
    exchange.began(running)
    try:
        return cast(_T, running.result())
    except BaseException:
        running.cancel()
        raise
    finally:
        exchange.finished(running)


_large: tuple[Any, asyncio.Lock] | None = None


def _turn_of_large_ones() -> asyncio.Lock:
    """Return the lock that the reader of a large body holds. Only code on the loop comes here."""
    global _large
    loop = asyncio.get_running_loop()
    if _large is None or _large[0] is not loop:
        _large = (loop, asyncio.Lock())
    return _large[1]


# A session belongs to its loop, and fsspec starts another loop after a fork. Only code on the loop comes here, and it
# never waits, so no two threads make one.
_session: tuple[Any, Any] | None = None


def _shared_session() -> Any:
    global _session
    import aiohttp

    loop = asyncio.get_running_loop()
    if _session is None or _session[0] is not loop or _session[1].closed:
        jar = aiohttp.DummyCookieJar()
        _session = loop, aiohttp.ClientSession(cookie_jar=jar, auto_decompress=False, trust_env=True)
    return _session[1]


@atexit.register
def _close() -> None:
    with contextlib.suppress(Exception):
        if _session is not None and _session[0].is_running():
            asyncio.run_coroutine_threadsafe(_session[1].close(), _session[0]).result(timeout=1)


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn what aiohttp raises into OSErrors; its own messages hold the URL with its secrets."""
    import aiohttp

    try:
        yield
    except Passing:
        raise
    except aiohttp.ClientConnectorError as error:
        why = str(error.os_error.strerror or error.os_error or "no connection")
        if error.os_error.errno in (errno.ECONNRESET, errno.ECONNABORTED):
            raise Passing(f"{shown(url)} cannot be reached: {why}", WAIT_S) from None
        raise ConnectionError(f"{shown(url)} cannot be reached: {why}") from None
    except TimeoutError as error:
        if error.args and not isinstance(error, aiohttp.ClientError):  # our own
            raise
        raise _silence(url, "did not answer") from None
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as error:
        raise Passing(f"{shown(url)}: the connection was lost ({type(error).__name__})", WAIT_S) from None
    except (AssertionError, RuntimeError) as error:  # the session was closed, or its pool was, between two steps
        raise Passing(f"{shown(url)}: the connection was lost ({error or type(error).__name__})", WAIT_S) from error
    except (aiohttp.ClientError, ValueError) as error:
        raise OSError(f"{shown(url)} cannot be read: {type(error).__name__}") from None


def _silence(url: str, what: str) -> TimeoutError:
    now = EXCHANGE.get()
    return TimeoutError(f"{shown(url)} {what} in {now.seconds:g} s{now.lifted_by('--web-timeout')}")


@contextlib.contextmanager
def _heard(url: str) -> Iterator[None]:
    """Count whether a server answers, and give up one that does not.

    Each request would be given up by itself; but a page may list a hundred thousand of them.
    """
    silent, server = EXCHANGE.get().silent, urlsplit(url).netloc
    if silent is None:
        yield
        return
    if silent.get(server, 0) >= SILENT:
        raise _silence(url, "is given up: its server did not answer")
    try:
        yield
    except TimeoutError:
        silent[server] = silent[server] + 1 if server in silent else SILENT
        raise
    except Exception:
        silent[server] = 0
        raise
    silent[server] = 0


async def ask(url: str, use: Callable[[Reply], Awaitable[_T]], start: int | None = None, end: int | None = None) -> _T:
    """Ask for a file, or its bytes from `start` up to `end`, and return what `use` makes of the answer.

    Raises:
        FileNotFoundError, PermissionError, TimeoutError, OSError: there is no such answer.
    """
    for _ in range(TRIES - 1):
        try:
            return await _once(url, use, start, end)
        except Passing as trouble:
            await asyncio.sleep(trouble.wait_s)
    return await _once(url, use, start, end)


async def _once(url: str, use: Callable[[Reply], Awaitable[_T]], start: int | None, end: int | None) -> _T:
    import aiohttp
    import yarl

    wanted = {} if start is None or end is None else {"Range": f"bytes={start}-{end - 1}"}
    seconds = EXCHANGE.get().seconds
    limits = aiohttp.ClientTimeout(total=None, connect=seconds, sock_connect=seconds, sock_read=seconds)
    with _translated(url), _heard(url):
        target = yarl.URL(url, encoded=bool(_WRITTEN.fullmatch(url)))
        session = _shared_session()
        async with asyncio.timeout(seconds):  # headers may drip as bodies do
            response = await session.get(target, headers={"Accept-Encoding": "identity", **wanted}, timeout=limits)
        try:
            reply = Reply(str(response.url), response.status, response.headers, response.content)
            _check(url, reply, ranged=bool(wanted))
            return await use(reply)
        except TimeoutError as error:
            if session.closed:
                raise Passing(f"{shown(url)}: the connection was lost", WAIT_S) from error
            raise
        finally:
            response.close()  # cut, where the body was not read to its end


def _check(url: str, reply: Reply, *, ranged: bool) -> None:
    status = reply.status
    if status in (404, 410):
        raise FileNotFoundError(f"{shown(url)} is not there ({status})")
    if status in (401, 403, 407):
        raise PermissionError(f"{shown(url)} may not be read ({status})")
    if status == 429 or status >= 500:
        told = reply.headers.get("Retry-After", "")
        seconds = float(told) if told.isascii() and told.isdigit() else WAIT_S
        raise Passing(f"{shown(url)}: the server answered {status}", min(seconds, LONGEST_WAIT_S))
    if status not in ((200, 206, 416) if ranged else (200,)):
        raise OSError(f"{shown(url)}: the server answered {status}")
