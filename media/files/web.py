"""Files behind http and https: facts, whole files, and files that can seek.

One GET with a range tells all that is needed of a server: HEAD is refused by some and by signed URLs. A server that
ignores ranges sends the whole file, which is then spooled to disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import BinaryIO, cast

from .places import EXCHANGE, Facts, TooManyBytes, number_of
from .urls import shown
from .web_session import WAIT_S, Passing, Reply, ask, wait

SPOOL_LIMIT, UNSIZED_LIMIT = 64 * 1024**3, 4 * 1024**3
"""Bytes above which a file that cannot be read in parts is not fetched: 64 GiB, and 4 where the server does not say
how large it is."""

BLOCK, KEPT = 2 << 20, 16
"""Bytes of one request when reading in parts, and how many such parts are kept."""

AT_ONCE = 8
"""Requests at a time for the facts of many files."""


def facts(url: str) -> Facts:
    """Return size and time of a file; for the time its ETag if it has none.

    A server that gives neither does not tell whether a file changed: the time is then now, and it is read again.
    """
    return wait(_facts(url))


def many_facts(urls: Sequence[str]) -> list[Facts | OSError]:
    """Return the facts of files, or why there are none, some requests at a time."""

    async def one(url: str, turn: asyncio.Semaphore) -> Facts | OSError:
        async with turn:
            try:
                return await _facts(url)
            except OSError as error:
                return error

    async def all_() -> list[Facts | OSError]:
        turn = asyncio.Semaphore(AT_ONCE)
        return list(await asyncio.gather(*(one(url, turn) for url in urls)))

    return wait(all_())


async def _facts(url: str) -> Facts:
    async def use(reply: Reply) -> Facts | None:
        if reply.status == 206:
            await reply.body(1)  # read to its end, so that the connection stays for the next request
        if reply.status == 416:  # empty, and few servers add the time to that answer
            return None
        return Facts(reply.size or 0, _modified_ns(reply.headers))

    return await ask(url, use, 0, 1) or cast(Facts, await ask(url, use))


def _modified_ns(headers: Mapping[str, str]) -> int:
    try:
        return int(parsedate_to_datetime(headers.get("Last-Modified", "")).timestamp()) * 1_000_000_000
    except (ValueError, OverflowError, TypeError):
        return number_of(headers["ETag"]) if headers.get("ETag") else time.time_ns()


def read_all(url: str, limit: int) -> bytes:
    """Return a file in one request.

    Raises:
        TooManyBytes: it is more than `limit` bytes.
    """
    return wait(ask(url, lambda reply: reply.body(limit)))


def open_binary(url: str) -> BinaryIO:
    """Return a file that seeks: by ranges, or where the server ignores them out of a temporary file."""

    async def use(reply: Reply) -> BinaryIO | None:
        if reply.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            raise OSError(f"{shown(url)}: the server sends it compressed, so it cannot be read in parts")
        if reply.status == 416 and reply.size == 0:
            return io.BytesIO()
        if reply.status == 206 and reply.size is not None:
            return _in_parts(url, reply, reply.size, await reply.body(BLOCK))
        return await _spooled(url, reply) if reply.status == 200 else None

    async def open_() -> BinaryIO:
        opened = await ask(url, use, 0, BLOCK)
        return await ask(url, lambda whole: _spooled(url, whole)) if opened is None else opened

    return wait(open_())


def _in_parts(url: str, reply: Reply, size: int, first: bytes) -> BinaryIO:
    """Return a file over fsspec's cache of blocks; at most 32 MiB of it are in memory."""
    from fsspec.spec import AbstractBufferedFile

    class File(AbstractBufferedFile):  # type: ignore[misc]
        def _fetch_range(self, start: int, end: int) -> bytes:
            end = min(end, size)
            return first[start:end] if end <= len(first) else wait(_range(url, start, end, reply))

    options = {"cache_type": "blockcache", "cache_options": {"maxblocks": KEPT}, "block_size": BLOCK, "size": size}
    return cast(BinaryIO, io.BufferedReader(File(None, url, "rb", **options), 1 << 16))


async def _range(url: str, start: int, end: int, first: Reply) -> bytes:
    async def use(reply: Reply) -> bytes:
        given = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", ""))
        if reply.status != 206 or given is None or int(given[1]) != start:
            raise OSError(f"{shown(url)}: the server sends a different part from the one requested")
        if (reply.size, reply.version) != (first.size, first.version):
            raise OSError(f"{shown(url)} changed while it was read")
        try:
            data = await reply.body(end - start)
        except TooManyBytes:
            raise OSError(f"{shown(url)}: the server sends more than was requested") from None
        if len(data) != end - start:
            raise Passing(f"{shown(url)}: the server sends less than was requested", WAIT_S)
        return data

    return await ask(url, use, start, end)


async def _spooled(url: str, reply: Reply) -> BinaryIO:
    limit = min(SPOOL_LIMIT, shutil.disk_usage(tempfile.gettempdir()).free // 2)
    lifted, exchange = "", EXCHANGE.get()
    if reply.size is None and exchange.files is not None:
        limit, lifted = min(limit, UNSIZED_LIMIT), exchange.lifted_by("--web-files")
    too_large = OSError(
        f"{shown(url)}: the server sends files only whole, and this one is over {limit:,} bytes{lifted}"
    )
    if (reply.size or 0) > limit:
        raise too_large
    with contextlib.ExitStack() as to_close:
        file = to_close.enter_context(tempfile.TemporaryFile())
        async for chunk in reply.chunks():
            file.write(chunk)
            if file.tell() > limit:
                raise too_large
        file.seek(0)
        to_close.pop_all()
    return cast(BinaryIO, file)
