"""Where bytes are: a path on this machine, or a URL (http, https, s3, gs) that fsspec opens.

A place is a string: an absolute path, or a URL as the user wrote it. Paths never load fsspec. What a URL may be, and
how secrets in it are treated, is in `urls`.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO
from unicodedata import normalize

from shotdex.store.errors import OptionError
from shotdex.store.file_names import local, stored
from shotdex.store.types import WEB_FILES, WEB_SECONDS

from .urls import WEB, checked, is_url, name_of, relative_to, scheme_of, shown

__all__ = ["is_url", "name_of", "relative_to", "shown"]  # besides what is defined here

PIECE = 1 << 20
"""Bytes read from a file at once."""


class TooManyBytes(Exception):
    """A file or member holds more than the limit. Never leaves shotdex: it becomes a failure."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What tells whether a file changed: its size in bytes, and its time in ns since 1970 (or what stands for it)."""

    size_bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that a listing names. `facts` are None where the listing lacks them."""

    url: str
    facts: Facts | None


@dataclass(frozen=True, slots=True)
class NotListed:
    """A folder whose listing could not be read, and why."""

    url: str
    why: str


@dataclass(slots=True, eq=False)
class Exchange:
    """The requests to web servers of one piece of work: what they may take, and which of them are on their way.

    An answer must have begun, and its pieces must follow each other, within `seconds`; a folder may list `files` files
    and folders in all. None lifts a limit. `named` where the user can lift them by option. `silent` counts, by server,
    how often in a row it did not answer; a server that stays silent is given up. It is None where nobody counts.
    """

    seconds: float | None = WEB_SECONDS
    files: int | None = WEB_FILES
    named: bool = False
    silent: dict[str, int] | None = None
    _running: set[Any] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: bool = False

    def lifted_by(self, option: str) -> str:
        """Return the end of an error message that names the option which lifts a limit."""
        return f"; {option} 0 lifts the limit" if self.named else ""

    @staticmethod
    def of_options(seconds: float, files: int) -> Exchange:
        """Return the one whose limits options mean; 0 lifts a limit.

        Raises:
            OptionError: `seconds` is not a number, or one of them is negative.
        """
        if not seconds >= 0 or files < 0:
            raise OptionError("--web-timeout and --web-files are numbers from 0", "for example: --web-timeout 60")
        return Exchange(seconds if 0 < seconds < 1e6 else None, files or None, named=True, silent={})

    @contextmanager
    def in_effect(self) -> Iterator[None]:
        """Let requests that are made inside belong to this one."""
        token = EXCHANGE.set(self)
        try:
            yield
        finally:
            EXCHANGE.reset(token)

    def part(self) -> Exchange:
        """Return one for requests that are ended together, without the others."""
        return Exchange(self.seconds, self.files, self.named, self.silent)

    def began(self, request: Any) -> None:
        """Take in a request, which has a method `cancel`; it is cancelled where all were ended."""
        with self._lock:
            self._running.add(request)
        if self._ended:
            request.cancel()

    def finished(self, request: Any) -> None:
        """Forget a request."""
        with self._lock:
            self._running.discard(request)

    def end(self) -> None:
        """Cancel all requests, those that come later too: whoever waits for one need not wait for its server."""
        self._ended = True
        with self._lock:
            running = list(self._running)
        for request in running:
            request.cancel()


EXCHANGE: ContextVar[Exchange] = ContextVar("EXCHANGE", default=Exchange())  # noqa: B039 - it is meant to be shared
"""The one that requests belong to that are made here."""


def read_bounded(file: BinaryIO, limit: int) -> bytes:
    """Return all that is left in an open file.

    Raises:
        TooManyBytes: it is more than `limit` bytes; no more than that were read.
    """
    # In pieces: a read of half a GiB makes room for all of it first, however small the file is.
    parts, wanted = [], limit + 1
    while wanted > 0 and (part := file.read(min(wanted, PIECE))):
        parts.append(part)
        wanted -= len(part)
    if wanted <= 0:
        raise TooManyBytes(f"more than {limit:,} bytes")
    return b"".join(parts)


def number_of(mark: str) -> int:
    """Return a number of 63 bits that stands for a checksum or version of any form."""
    return int.from_bytes(hashlib.blake2b(mark.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") >> 1


def absolute(place: str) -> str:
    """Return a URL with its scheme in lower case, and a path made absolute, with `~` and links resolved.

    Raises:
        SourceError: a URL of a scheme that is not read, with a password, or several chained.
    """
    return checked(place) if scheme_of(place) else stored(as_spelled(str(Path(local(place)).expanduser().resolve())))


def as_spelled(path: str) -> str:
    """Return an absolute path as the disk spells it, where accents are one character in one and two in the other.

    It stays as it is where it is there, and where nothing of that name is.
    """
    if path.isascii() or os.path.lexists(path):
        return path
    parent, name = os.path.split(path)
    parent = as_spelled(parent) if parent != path else parent
    wanted = normalize("NFC", name)
    with suppress(OSError):
        if not os.path.lexists(found := os.path.join(parent, name)):  # noqa: PTH118
            names = (each for each in os.listdir(parent) if normalize("NFC", each) == wanted)  # noqa: PTH208
            found = os.path.join(parent, min(names, default=name))  # noqa: PTH118
        return found
    return path


def open_binary(place: str) -> BinaryIO:
    """Open a place for reading; the file can seek. A URL is read in parts, as far as the server can.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    if is_url(place):
        url = checked(place)
        return _reader(url).open_binary(url)  # type: ignore[no-any-return]
    # O_NONBLOCK: to open a pipe would wait for its other end.
    descriptor = os.open(local(place), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{place} is not a regular file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_all(place: str, limit: int) -> bytes:
    """Return a whole file; a URL's in one request.

    Raises:
        TooManyBytes: it is more than `limit` bytes; no more than that were read.
        OSError: it cannot be read.
    """
    if is_url(place):
        url = checked(place)
        return _reader(url).read_all(url, limit)  # type: ignore[no-any-return]
    with open_binary(place) as file:
        return read_bounded(file, limit)


def facts(place: str) -> Facts:
    """Return size and time of a file; for a URL whose server gives no time, a number made of its ETag.

    Raises:
        OSError: there is none.
    """
    if is_url(place):
        url = checked(place)
        return _reader(url).facts(url)  # type: ignore[no-any-return]
    found = Path(local(place)).stat()
    return Facts(found.st_size, found.st_mtime_ns)


def many_facts(urls: Sequence[str]) -> list[Facts | OSError]:
    """Return the facts of files on the web, or why there are none, some requests at a time.

    Raises:
        SourceError: one of them may not be opened, or a library for them is not installed.
    """
    from . import web

    return web.many_facts([checked(url) for url in urls])


def is_file(place: str) -> bool:
    """Tell whether there is a file; False also where the name is longer than the file system allows."""
    try:
        if is_url(place):
            return not is_folder(place) and facts(place).size_bytes >= 0
        return Path(local(place)).is_file()
    except (OSError, ValueError):
        return False


def is_folder(place: str) -> bool:
    """Tell whether there is a folder: on the web, a page that lists one."""
    try:
        if not is_url(place):
            return Path(local(place)).is_dir()
        url = checked(place)
        if scheme_of(url) in WEB:
            from . import web_pages

            return web_pages.is_folder(url)
        from . import buckets

        return buckets.is_folder(url)
    except (OSError, ValueError):
        return False


def walk(url: str) -> Iterator[Listed | NotListed]:
    """Find every file below the URL of a folder, one by one. No file comes twice, and none from elsewhere.

    Raises:
        OSError: it cannot be listed at all. A folder below that cannot gives a `NotListed`.
        SourceError: it may not be opened, or a library for it is not installed.
    """
    url = checked(url)
    if scheme_of(url) in WEB:
        from . import web_pages

        yield from web_pages.walk(url)
    else:
        from . import buckets

        yield from buckets.walk(url)


def _reader(url: str) -> ModuleType:
    """Return the module that reads such URLs: `facts`, `open_binary` and `read_all`."""
    if scheme_of(url) in WEB:
        from . import web

        return web
    from . import buckets

    return buckets
