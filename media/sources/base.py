"""What every kind of source gives: what it finds, one by one, and the bytes of each image.

A scan is a stream. Nothing here may hold a list of all images: a source may have a hundred million.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from shotdex.store.file_names import local
from shotdex.store.images import Labels
from shotdex.store.types import Failure, Reason

from .address import join
from .label_cells import LabelCells
from .left_out import PHOTO_ENDINGS, Ignored, Left, companion


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that may be indexed. `relative` is its path within the source, with `/`, which layouts speak of.

    `labels` are set where the source itself knows them (IDX files, a manifest's columns); a layout reads what they
    leave open off the path. `metadata` is everything else that the source says: JSON values by name.
    """

    address: str
    relative: str
    size_bytes: int
    modified_ns: int
    labels: Labels | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FailedFolder:
    """A folder or archive that could not be looked into: what the catalog has from there may still be there."""

    path: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence on how the source was read, for the summary; `if_unlabelled`: only where images have no category."""

    text: str
    if_unlabelled: bool = False


Found = Candidate | Failure | Ignored | FailedFolder | Note | LabelCells


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a source: see `Session.index` for each."""

    columns: Mapping[str, str] = field(default_factory=dict)
    labels_as_written: bool = False
    all_folders: bool = False
    zip_names: str | None = None
    exclude: Sequence[str] = ()


class Source(Protocol):
    """A place with images."""

    @property
    def root(self) -> str:
        """What the catalog calls the source: an absolute path, a URL, or `torchvision:NAME`, for example."""

    @property
    def kind(self) -> str:
        """A word for the summary: folder, zip, tar, manifest, IDX files."""

    @property
    def by_path(self) -> bool:
        """Whether its images are indexed in the order of their paths; otherwise in the order of the scan."""

    @property
    def complete(self) -> bool:
        """Whether an image that a whole scan does not meet is gone. A list of paths on standard input says nothing."""

    @property
    def in_order(self) -> bool:
        """Whether `read` must be called from one thread, in the order of the scan (a compressed tar)."""

    def scan(self) -> Iterator[Found]:
        """Walk the source. Each call starts again.

        Raises:
            SourceError: the source as a whole cannot be read.
        """

    def read(self, address: str, limit: int) -> bytes:
        """Return an image's file, or raise `TooManyBytes` where it has more than `limit` bytes; any other error of
        any type means that it cannot be read."""


def is_gone(root: str) -> bool:
    """Tell whether a source on this machine is not there; False for URLs, data sets, and what cannot be looked at."""
    try:
        # Lists in braces have a name that no file has, and so have patterns, of which some file has to fit.
        if not Path(root).is_absolute() or "{" in root or Path(local(root)).exists():
            return False
        return not (glob.has_magic(root) and any(True for _ in glob.iglob(root, recursive=True)))  # noqa: PTH207
    except (OSError, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class GoneSource:
    """Nothing, under the name of what once was there: indexing it marks all that the store has from it as gone."""

    root: str
    kind: str
    by_path: bool = True
    complete: bool = True
    in_order: bool = False

    def scan(self) -> Iterator[Found]:
        """Find nothing."""
        return iter(())

    def read(self, address: str, limit: int) -> bytes:
        """Raise: there is nothing to read."""
        raise FileNotFoundError(address)


def within(name: str) -> str:
    """Return a member's path within the archive, as layouts read it: `./a//b.png` and `/a/b.png` are `a/b.png`."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


_PAIRS = 100_000


def paired(members: Iterable[Found]) -> Iterator[Found]:
    """Yield what was found in an archive, RAW files and live photo videos last: only then are their images known.

    Pairs are looked for among the first 100,000 photographs and the first 100,000 such files of an archive.
    """
    stems, waiting = set[str](), list[Ignored]()
    for found in members:
        if isinstance(found, Ignored):
            if found.why is Left.OTHER and len(waiting) < _PAIRS and companion(found.path):
                waiting.append(found)
                continue
        elif isinstance(found, Candidate) and len(stems) < _PAIRS and found.address.lower().endswith(PHOTO_ENDINGS):
            stems.add(found.address[: found.address.rfind(".")])
        yield found
    for left in waiting:
        kind = companion(left.path) if left.path[: left.path.rfind(".")] in stems else None
        yield Ignored(left.path, kind or Left.OTHER)


def link_failure(place: str, name: str) -> Failure:
    """Return why a link in an archive is not an image."""
    return Failure(join(place, name), "scan", Reason.UNREADABLE, "a link, which is not followed")
