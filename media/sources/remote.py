"""Pictures behind URLs: a folder that a web server or a bucket lists, or one picture."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from shotdex.media.decoding.decode import looks_like_picture
from shotdex.media.files import places
from shotdex.media.files.places import Listed, NotListed
from shotdex.store.errors import SourceError
from shotdex.store.types import Reason, Rejection

from .base import Candidate, Found, Ignored, NotEntered

AT_ONCE = 8
"""Requests at a time for the facts of pictures that a listing names without them (web servers' pages)."""

CHUNK = 64

_NEXT_STEP = "check the URL, the connection, and whether you may read it; a web server must list the folder"


@dataclass(frozen=True, slots=True)
class RemoteFolderSource:
    """Every picture below the URL of a folder. Names that begin with a dot are left out.

    A bucket's listing gives size and time of a thousand objects in one answer; a web server is asked for each picture.
    """

    root: str
    kind: str = "remote folder"
    by_path: bool = True
    complete: bool = True
    in_order: bool = False

    def scan(self) -> Iterator[Found]:
        """Walk the folder.

        Raises:
            SourceError: it cannot be listed.
        """
        listed = self._listed()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while chunk := list(islice(listed, CHUNK)):
                yield from pool.map(self._found, chunk)

    def read(self, address: str, limit: int) -> bytes:
        """Return a picture's file, in one request."""
        return places.read_all(address, limit)

    def _listed(self) -> Iterator[Listed | NotListed]:
        try:
            for one in places.walk(self.root):
                if not any(part.startswith(".") for part in places.relative_to(one.url, self.root).split("/")):
                    yield one
        except OSError as error:  # of the first page; of later ones it is a NotListed
            raise SourceError(str(error), _NEXT_STEP) from error

    def _found(self, one: Listed | NotListed) -> Found:
        if isinstance(one, NotListed):
            return NotEntered(one.url, Rejection(places.shown(one.url), "scan", Reason.UNREADABLE, one.why))
        relative = places.relative_to(one.url, self.root)
        if not looks_like_picture(relative):
            return Ignored(one.url)
        try:
            facts = one.facts or places.facts(one.url)
        except (OSError, SourceError) as error:
            return Rejection(one.url, "scan", Reason.UNREADABLE, str(error))
        return Candidate(one.url, relative, facts.size_bytes, facts.modified_ns)


@dataclass(frozen=True, slots=True)
class PictureSource:
    """The one picture at a URL."""

    root: str
    kind: str = "remote picture"
    by_path: bool = True
    complete: bool = True
    in_order: bool = False

    def scan(self) -> Iterator[Found]:
        """Ask for its size and time.

        Raises:
            SourceError: it cannot be reached.
        """
        try:
            facts = places.facts(self.root)
        except OSError as error:
            raise SourceError(str(error), "check the URL, the connection, and whether you may read it") from error
        yield Candidate(self.root, places.name_of(self.root), facts.size_bytes, facts.modified_ns)

    def read(self, address: str, limit: int) -> bytes:
        """Return the picture's file, in one request."""
        return places.read_all(address, limit)


def open_remote(url: str) -> RemoteFolderSource | PictureSource:
    """Return the source at a URL that is no archive or manifest: a folder with `/` at its end, or one picture."""
    if not places.is_folder(url):
        return PictureSource(url)
    return RemoteFolderSource(url if url.endswith("/") else url + "/")
