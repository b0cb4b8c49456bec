"""One connection pool for http and https: fsspec's, with limits of time, no cookies, and errors of one family."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from shotdex.store.errors import SourceError

from .urls import shown

CONNECT_S = 30.0
READ_S = 30.0
"""Seconds until a connection must stand, and in which a server must send something."""

INSTALL = 'pip install "shotdex[remote]"'

# A URL of these letters alone is sent as it was given: requoting may break a signature.
_WRITTEN = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")


class Passing(ConnectionError):
    """Trouble that may be gone after `wait_s` seconds."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def missing(scheme: str, error: ImportError) -> SourceError:
    """Return the error for a library that is not installed."""
    return SourceError(f"reading {scheme} URLs needs {error.name or 'a library'}, which is not installed", INSTALL)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as it begins. Close it, or the connection is not free for the next request."""

    url: str
    status: int
    headers: Mapping[str, str]
    raw: Any

    def read(self, most: int) -> bytes:
        """Return the next bytes of the body, none at its end."""
        return bytes(_wait(self.raw.content.read, most))

    def close(self) -> None:
        """Let go of the connection; where the body was not read to its end, it is cut."""

        async def close() -> None:
            self.raw.close()

        _wait(close)


def request(url: str, headers: Mapping[str, str]) -> Response:
    """Send a GET and return the answer as it begins, after redirects (to http and https only, ten at most)."""
    import yarl

    session = _wait(_filesystem().set_session)
    target = yarl.URL(url, encoded=bool(_WRITTEN.fullmatch(url)))

    async def send() -> Any:
        return await session.get(target, headers=dict(headers))

    raw = _wait(send)
    return Response(str(raw.url), raw.status, raw.headers, raw)


def _wait(work: Any, *arguments: Any) -> Any:
    from fsspec.asyn import sync

    return sync(_filesystem().loop, work, *arguments)


@cache
def _filesystem() -> Any:
    import fsspec

    try:
        return fsspec.filesystem("http", get_client=_client, skip_instance_cache=True)
    except ImportError as error:
        raise missing("http", ImportError(name="aiohttp")) from error


async def _client(**settings: Any) -> Any:
    import aiohttp

    # Proxies and ~/.netrc are the user's. Unpacking is ours: aiohttp's has no bound that we set.
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_connect=CONNECT_S, sock_read=READ_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=True,
        **settings,
    )


@contextlib.contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what aiohttp raises into OSErrors whose messages hold no secrets."""
    _filesystem()
    import aiohttp

    try:
        yield
    except aiohttp.ClientConnectorError as error:
        why = str(error.os_error.strerror or error.os_error or "no connection")
        raise ConnectionError(f"{shown(url)} cannot be reached: {why}") from None
    except TimeoutError as error:
        if error.args and not isinstance(error, aiohttp.ClientError):  # our own
            raise
        raise TimeoutError(f"{shown(url)} did not answer in {READ_S:.0f} s") from None
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError) as error:
        raise Passing(f"{shown(url)}: the connection was lost ({type(error).__name__})", 0.5) from None
    except (aiohttp.ClientError, ValueError) as error:
        # Their messages hold the URL as it is.
        raise OSError(f"{shown(url)} cannot be read: {type(error).__name__}") from None
