"""Folders behind http and https: the pages that web servers make of them, with a link for each file.

A link counts where it leads to a file or folder directly in the page's own folder, so a walk stays below its start and
cannot run in circles. Links with a query (the columns to sort by) are left out, and
names that begin with a dot.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from .places import EXCHANGE, Listed, NotListed, TooManyBytes
from .urls import path_of, shown
from .web_session import Reply, ask, wait

LINK_BYTES = 160
"""Bytes of a page for each file and folder that a walk may find."""

DEPTH = 32
"""Folders within folders, where the number of files has a limit: a server that makes up folders must come to an end."""

_KINDS = ("text/html", "application/xhtml+xml")


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.extend(value for name, value in attrs if name == "href" and value)


def is_folder(url: str) -> bool:
    """Tell whether a URL is a page that lists a folder: it ends with `/`, or leads to itself with a `/`.

    Raises:
        OSError: it cannot be asked.
    """

    async def use(reply: Reply) -> bool:
        led = path_of(reply.url)
        return reply.kind in _KINDS and led.endswith("/") and led in (path_of(url), path_of(url) + "/")

    return wait(ask(url, use))


def walk(url: str) -> Iterator[Listed | NotListed]:
    """Find every file below a folder, by name within each folder.

    Raises:
        OSError: the first page cannot be read, or there is more than a walk may find. A later page that cannot be read
            gives a `NotListed`.
    """
    left = EXCHANGE.get().files
    first = _entries(url, left)
    waiting = [iter(first)]
    left = None if left is None else left - len(first)
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
        elif not found.endswith("/"):
            yield Listed(found, None)
        elif left is not None and len(waiting) >= DEPTH:
            lifted = EXCHANGE.get().lifted_by("--web-files")
            yield NotListed(found, f"more than {DEPTH} folders within each other{lifted}")
        else:
            try:
                entries = _entries(found, left)
            except _TooMany:
                raise
            except OSError as error:
                yield NotListed(found, str(error))
            else:
                left = None if left is None else left - len(entries)
                waiting.append(iter(entries))


class _TooMany(OSError):
    """A folder on the web lists more than a walk may find."""

    def __init__(self, folder: str, what: str) -> None:
        super().__init__(f"{shown(folder)} lists {what}{EXCHANGE.get().lifted_by('--web-files')}")


def _entries(folder: str, most: int | None) -> list[str]:
    """Return the URLs of what is directly in a folder, sorted, at most so many; folders end with `/`."""
    limit = EXCHANGE.get().files
    try:
        bytes_ = sys.maxsize if limit is None else limit * LINK_BYTES
        led, kind, content = wait(ask(folder, lambda reply: _page(reply, bytes_)))
    except TooManyBytes as error:
        raise _TooMany(folder, f"too much: a page of {error}") from None
    start = folder if folder.endswith("/") else folder + "/"
    if _place(led) not in (_place(folder), _place(start)):
        raise OSError(f"{shown(folder)} leads to {shown(led)}")
    if kind not in _KINDS:
        raise OSError(f"{shown(folder)} is not a page with links")
    links = _Links()
    links.feed(content.decode("utf-8", "replace"))
    base = urldefrag(led).url
    entries: set[str] = set()
    for link in links.found:
        if (found := _child(base, link)) is not None:
            entries.add(found)
            if most is not None and len(entries) > most:
                raise _TooMany(folder, f"too much: with the folders before it, over {limit:,} files and folders")
    return sorted(entries)


async def _page(reply: Reply, limit: int) -> tuple[str, str, bytes]:
    return reply.url, reply.kind, await reply.body(limit)


def _child(base: str, link: str) -> str | None:
    """Return where a link leads, or None where that is not directly in the folder."""
    try:
        url = urldefrag(urljoin(base, link.strip())).url
        here, there = urlsplit(base), urlsplit(url)
    except ValueError:
        return None
    folder = unquote(here.path) if here.path.endswith("/") else unquote(here.path) + "/"
    path = unquote(there.path)
    if (there.scheme, there.netloc) != (here.scheme, here.netloc) or there.query or not path.startswith(folder):
        return None
    name = path[len(folder) :].removesuffix("/")
    return None if not name or name.startswith(".") or "/" in name or "\0" in name else url


def _place(url: str) -> tuple[str, str]:
    """Return host and path, which a redirect from http to https leaves as they are."""
    return (urlsplit(url).hostname or "", path_of(url))
