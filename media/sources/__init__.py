"""Where images come from: opening what a user names, and reading what an address names, by the kinds in `kinds.py`."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shotdex.media.archives import path_of
from shotdex.media.files import places
from shotdex.media.files.places import Facts
from shotdex.store.errors import ContainerFailure, SourceError
from shotdex.store.file_names import local
from shotdex.store.types import BYTES_LIMIT, Reason

from .address import kind_by_name, split
from .base import Candidate, FailedFolder, Found, GoneSource, Reading, Source, is_gone
from .kinds import KINDS, Kind
from .left_out import Ignored, Left

if TYPE_CHECKING:
    from shotdex.store.source_records import SourceRecord

__all__ = [
    "Candidate",
    "FailedFolder",
    "Found",
    "GoneSource",
    "Ignored",
    "Left",
    "Reading",
    "Source",
    "facts",
    "is_gone",
    "open_known_source",
    "open_source",
    "read_bytes",
]


def open_source(source: str | Path, columns: Mapping[str, str] | None = None, reading: Reading | None = None) -> Source:
    """Return the source that a user names, by what is there: see `shotdex index --help` for the kinds.

    `columns` says which columns of a manifest, or keys of a tar's metadata, have which role; `reading` has them, too,
    with all other options.

    Raises:
        SourceError: there is nothing, or nothing that can be indexed.
    """
    text = str(source)
    how = reading or Reading(columns or {})
    named = next((kind for kind in KINDS if kind.is_named(text)), None)
    if named is not None:
        return named.load().open_source(text, how)
    root = places.absolute(text)
    try:
        for kind in _kinds_of(root):
            module = kind.load()
            if module.matches(root):
                return module.open_source(root, how)
    except OSError as error:
        raise SourceError(
            f"{places.shown(text)} cannot be opened: {error.strerror or error}", "check its permissions"
        ) from error
    if places.is_url(root) or Path(local(root)).exists():
        raise SourceError(
            f"{places.shown(text)} is not a folder, archive, manifest or IDX file",
            "pass the folder that contains the images",
        )
    raise SourceError(f"there is nothing at {places.shown(text)}", "check the path")


def open_known_source(
    source: str, columns: Mapping[str, str], reading: Mapping[str, Any], before: SourceRecord | None, gone: bool
) -> Source:
    """Open a source that may have been indexed before; one that has disappeared has no images where `gone` accepts it.

    Raises:
        SourceError: as for `open_source`, or it has disappeared.
    """
    if before is None or not is_gone(before.source):
        known = columns or (before.columns if before is not None else {})
        return open_source(source, reading=Reading(known, **reading))
    if not gone:
        raise SourceError(
            f"{source} was indexed before, but no longer exists",
            "its images are kept, since a disk may not be mounted; if they are gone for good, pass --gone",
        )
    return GoneSource(before.source, before.kind)


def read_bytes(address: str, limit: int = BYTES_LIMIT) -> bytes:
    """Return the file that an address names, archives included.

    Raises:
        TooManyBytes: it has more than `limit`; no more were read.
        OSError: the file or archive cannot be read.
        KeyError: the archive has no such member.
        Exception: of other types, where the archive is broken, encrypted or packed in an unknown way.
    """
    place, member = split(address)
    if member is None:
        return places.read_all(place, limit)
    return _kind_holding(place).load().read(place, member, limit)


def facts(address: str) -> Facts | None:
    """Return size and time as a scan gives them; None where only reading tells (manifests' cells, data sets).

    Raises:
        OSError: there is no file.
        KeyError: the archive has no such member.
        Exception: of other types, where the archive is broken.
    """
    place, member = split(address)
    if member is not None:
        return _kind_holding(place).load().facts(place, member)
    if any(kind.is_named(place) for kind in KINDS):
        return None
    if not places.is_url(place) and not stat.S_ISREG(Path(local(place)).stat().st_mode):
        raise OSError(f"{place} is not a regular file")
    return places.facts(place)


def _kinds_of(place: str) -> list[Kind]:
    """Return the kinds that a place may be of, by its name and whether it is a folder."""
    path = path_of(place)
    if places.is_folder(place):
        return [kind for kind in KINDS if kind.folders]
    return [kind for kind in KINDS if kind.any_file or (kind.endings and path.endswith(kind.endings))]


def _kind_holding(place: str) -> Kind:
    return kind_by_name(place) or _kind_by_content(place)


@lru_cache(maxsize=256)
def _kind_by_content(place: str) -> Kind:
    for kind in KINDS:
        if kind.any_file and kind.has_members and kind.load().matches(place):
            return kind
    if not places.is_file(place):
        raise FileNotFoundError(f"there is no file {place}")
    raise ContainerFailure(Reason.UNREADABLE, f"{place} is not an archive")
