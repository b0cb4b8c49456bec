"""Where bytes are: a path on this machine, or a URL (http, https, s3, gs) that fsspec opens.

A place is a string: an absolute path, or a URL as the user gave it. Paths never load fsspec. What a URL may be, and how
secrets in it are treated, stands in `urls`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from .bounded import Facts, Listed, NotListed, TooManyBytes, read_bounded
from .urls import SCHEMES, WEB, checked, is_url, name_of, relative_to, scheme_of, shown

__all__ = [
    "SCHEMES",
    "Facts",
    "Listed",
    "NotListed",
    "TooManyBytes",
    "absolute",
    "facts",
    "is_file",
    "is_folder",
    "is_url",
    "many_facts",
    "name_of",
    "open_binary",
    "read_all",
    "read_bounded",
    "relative_to",
    "shown",
    "walk",
]


def absolute(place: str) -> str:
    """Return a URL with its scheme in lower case, and a path made absolute, with `~` and links resolved.

    Raises:
        SourceError: a URL of a scheme that is not read, with a password, or several chained.
    """
    return checked(place) if scheme_of(place) else str(Path(place).expanduser().resolve())


def open_binary(place: str) -> BinaryIO:
    """Open a place for reading; the file can seek. A URL is read in parts, as far as the server can.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    if is_url(place):
        url = checked(place)
        return _reader(url).open_binary(url)  # type: ignore[no-any-return]
    # O_NONBLOCK: to open a pipe would wait for its other end.
    descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{place} is no regular file")
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
    found = Path(place).stat()
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
        return Path(place).is_file()
    except (OSError, ValueError):
        return False


def is_folder(place: str) -> bool:
    """Tell whether there is a folder: on the web, a page that lists one."""
    try:
        if not is_url(place):
            return Path(place).is_dir()
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
