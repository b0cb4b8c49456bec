"""Folders behind http and https: the pages that web servers make of them, with a link for each file.

A link counts where it leads to a file or folder directly in the page's own folder, so a walk stays below its start and
cannot run in circles. Links with a query (the columns to sort by) are left out, and
names that begin with a dot.
"""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from .places import Listed, NotListed, TooManyBytes
from .urls import path_of, shown
from .web_session import Reply, ask, wait

PAGE_LIMIT = 16 * 1024 * 1024
"""Bytes of one page: about 100,000 links."""

PAGES_LIMIT = 100_000
DEPTH_LIMIT = 64
"""Pages of one walk, and folders within folders: a server that makes up folders must come to an end."""

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
        OSError: the first page cannot be read. A later one gives a `NotListed`.
    """
    waiting, pages = [iter(_entries(url))], 1
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
        elif not found.endswith("/"):
            yield Listed(found, None)
        elif pages >= PAGES_LIMIT or len(waiting) >= DEPTH_LIMIT:
            yield NotListed(found, f"more than {PAGES_LIMIT:,} folders, or {DEPTH_LIMIT} within each other")
        else:
            pages += 1
            try:
                waiting.append(iter(_entries(found)))
            except OSError as error:
                yield NotListed(found, str(error))


def _entries(folder: str) -> list[str]:
    """Return the URLs of what is directly in a folder, sorted; folders end with `/`."""
    try:
        led, kind, content = wait(ask(folder, _page))
    except TooManyBytes as error:
        raise OSError(f"the page {shown(folder)} has {error}") from None
    start = folder if folder.endswith("/") else folder + "/"
    if _place(led) not in (_place(folder), _place(start)):
        raise OSError(f"{shown(folder)} leads to {shown(led)}")
    if kind not in _KINDS:
        raise OSError(f"{shown(folder)} is not a page with links")
    links = _Links()
    links.feed(content.decode("utf-8", "replace"))
    base = urldefrag(led).url
    return sorted({found for link in links.found if (found := _child(base, link)) is not None})


async def _page(reply: Reply) -> tuple[str, str, bytes]:
    return reply.url, reply.kind, await reply.body(PAGE_LIMIT)


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
