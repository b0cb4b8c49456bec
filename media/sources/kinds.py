"""Every kind of source, one line each. To add one, write a module with the functions of `KindModule`, or of
`MemberModule`, and its line here.

A module is imported when a place may be of its kind, so that indexing a folder loads nothing for Parquet, zip or URLs.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from shotdex.media.archives import TAR_ENDINGS, ZIP_ENDINGS
from shotdex.media.files.places import Facts

if TYPE_CHECKING:
    from .base import Reading, Source


class KindModule(Protocol):
    """What the module of a kind of source defines."""

    def matches(self, place: str) -> bool:
        """Tell whether a place (an absolute path, a URL, or a name) is a source of this kind.

        Raises:
            OSError: it cannot be looked at.
        """

    def open_source(self, place: str, reading: Reading) -> Source:
        """Return the source at a place that matches; its `scan` yields the candidates.

        Raises:
            SourceError, OptionError: it cannot be used.
        """


class MemberModule(KindModule, Protocol):
    """What it also defines where its images have addresses with a member, `place!member`."""

    def read(self, place: str, member: str, limit: int) -> bytes:
        """Return one image's file, by what stands before and after the separator of its address.

        Raises:
            KeyError: there is no such member.
            TooManyBytes: it has more than `limit` bytes.
            Exception: of any other type, where it cannot be read.
        """

    def facts(self, place: str, member: str) -> Facts | None:
        """Return one image's size and time as a scan gives them; None where only reading it tells.

        Raises:
            KeyError, Exception: as for `read`.
        """


@dataclass(frozen=True, slots=True)
class Kind:
    """A line of the registry.

    Attributes:
        module: the module of the kind, a `KindModule`.
        endings: what the names of its files end in, in lower case; their addresses are known by these.
        names: names of places that are neither paths nor URLs; one that ends in a colon is what they begin with.
        folders: whether a folder may be one.
        any_file: whether a file whose name has none of the endings may be one, by its content.
        has_members: whether its images have addresses with a member; its module then is a `MemberModule`.
    """

    module: str
    endings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    folders: bool = False
    any_file: bool = False
    has_members: bool = True

    def is_named(self, place: str) -> bool:
        """Tell whether a place has one of the names of this kind."""
        return any(place.startswith(name) if name.endswith(":") else place == name for name in self.names)

    def load(self) -> MemberModule:
        """Import the module; `read` and `facts` are there where `has_members`."""
        return cast(MemberModule, importlib.import_module(self.module))


_HERE = "shotdex.media.sources"

PARQUET_ENDINGS = (".parquet", ".pq")
MANIFEST_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", *PARQUET_ENDINGS)
IDX_ENDINGS = tuple(ending + packing for ending in ("-ubyte", ".idx1", ".idx3", ".idx") for packing in ("", ".gz"))

KINDS: list[Kind] = [  # the first that matches is taken
    Kind(f"{_HERE}.listed", names=("-",), has_members=False),
    Kind(f"{_HERE}.datasets", names=("torchvision:", "hf:")),
    Kind(f"{_HERE}.several", folders=True, any_file=True, has_members=False),
    Kind(f"{_HERE}.manifest", MANIFEST_ENDINGS),
    Kind(f"{_HERE}.tarred", TAR_ENDINGS, any_file=True),
    Kind(f"{_HERE}.zipped", ZIP_ENDINGS, any_file=True),
    Kind(f"{_HERE}.idx", IDX_ENDINGS, folders=True),
    Kind(f"{_HERE}.folder", folders=True, any_file=True, has_members=False),
    Kind(f"{_HERE}.remote", folders=True, any_file=True, has_members=False),
]
