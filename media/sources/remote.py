"""Images behind URLs: a folder that a web server or a bucket lists, or one image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeGuard

from shotdex.media.decoding.decode import looks_like_image
from shotdex.media.files import places
from shotdex.media.files.places import Facts, Listed, NotListed
from shotdex.store.errors import SourceError
from shotdex.store.types import Failure, Reason

from .base import Candidate, FailedFolder, Found, Reading
from .left_out import Hiding, Ignored, left_file

CHUNK = 64
"""Images whose facts are requested together, where a listing lacks them (web servers' pages)."""

_NEXT_STEP = "check the URL, the connection, and whether you may read it; a web server must list the folder"


@dataclass(frozen=True, slots=True)
class RemoteFolderSource:
    """Every image below the URL of a folder; as in a folder on this machine, some are left out.

    A bucket's listing gives size and time of a thousand objects in one answer; of a web server each image is a request.
    """

    root: str
    all_folders: bool = False
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
        while chunk := list(islice(listed, CHUNK)):
            unknown = [one.url for one in chunk if self._is_image(one) and one.facts is None]
            known = dict(zip(unknown, places.many_facts(unknown), strict=True)) if unknown else {}
            yield from (one if isinstance(one, Ignored) else self._found(one, known) for one in chunk)

    def read(self, address: str, limit: int) -> bytes:
        """Return an image's file, in one request."""
        return places.read_all(address, limit)

    def _listed(self) -> Iterator[Listed | NotListed | Ignored]:
        hiding = Hiding(self.all_folders)
        try:
            for one in places.walk(self.root):
                left = hiding.look(places.relative_to(one.url, self.root), self.root)
                if left is not True:
                    yield left or one
        except OSError as error:  # of the first page; of later ones it is a NotListed
            raise SourceError(str(error), _NEXT_STEP) from error

    def _is_image(self, one: Listed | NotListed | Ignored) -> TypeGuard[Listed]:
        return isinstance(one, Listed) and looks_like_image(places.relative_to(one.url, self.root))

    def _found(self, one: Listed | NotListed, known: Mapping[str, Facts | OSError]) -> Found:
        if isinstance(one, NotListed):
            return FailedFolder(one.url, Failure(places.shown(one.url), "scan", Reason.UNREADABLE, one.why))
        if not self._is_image(one):
            return Ignored(one.url, left_file(places.relative_to(one.url, self.root)))
        facts = one.facts or known[one.url]
        if isinstance(facts, OSError):
            return Failure(one.url, "scan", Reason.UNREADABLE, str(facts))
        relative = places.relative_to(one.url, self.root)
        return Candidate(one.url, relative, facts.size_bytes, facts.modified_ns)


@dataclass(frozen=True, slots=True)
class SingleImageSource:
    """The one image at a URL."""

    root: str
    kind: str = "remote image"
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
        """Return the image's file, in one request."""
        return places.read_all(address, limit)


def matches(place: str) -> bool:
    """Tell whether a place is a URL; other kinds have been asked before."""
    return places.is_url(place)


def open_source(place: str, reading: Reading) -> RemoteFolderSource | SingleImageSource:
    """Return the source at a URL: a folder with `/` at its end, or one image; neither has columns."""
    if not places.is_folder(place):
        return SingleImageSource(place)
    return RemoteFolderSource(place if place.endswith("/") else place + "/", reading.all_folders)
