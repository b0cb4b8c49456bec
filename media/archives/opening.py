"""Zip and tar archives at a path or URL: what kind one is, and its members by name. Nothing is ever unpacked to disk.

A member's name is only a name: `../x.png`, `/x.png` and `C:\\x.png` are looked up in the archive and nowhere else.
"""

from __future__ import annotations

import stat
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shotdex.media.files import places
from shotdex.media.files.kept import Kept
from shotdex.media.files.places import Facts
from shotdex.store.errors import ContainerFailure
from shotdex.store.types import Reason

from . import TAR_ENDINGS, ZIP_ENDINGS, path_of
from .streams import Stream, packing_of

if TYPE_CHECKING:
    from .tars import TarArchive
    from .zips import ZipArchive


def is_zip(place: str) -> bool:
    """Tell whether there is a zip archive: by a URL's ending, else by at most 64 KiB of its content.

    Raises:
        OSError: it cannot be read.
    """
    return kind_of(place) == "zip"


def is_tar(place: str) -> bool:
    """Tell whether there is a tar archive, compressed or not: by a URL's ending, else by its first header.

    Raises:
        OSError: it cannot be read.
    """
    return kind_of(place) == "tar"


def kind_of(place: str) -> Literal["zip", "tar"] | None:
    """Return what kind of archive there is; None where there is another file, none, or a folder.

    Raises:
        OSError: it cannot be read.
    """
    if not places.is_url(place):
        with suppress(FileNotFoundError, NotADirectoryError, ValueError):
            return _by_content(place) if stat.S_ISREG(Path(place).stat().st_mode) else None
        return None
    if path_of(place).endswith(ZIP_ENDINGS + TAR_ENDINGS):
        return "zip" if path_of(place).endswith(ZIP_ENDINGS) else "tar"
    return _by_content(place) if places.is_file(place) else None


def _by_content(place: str) -> Literal["zip", "tar"] | None:
    from .tars import BLOCK, is_header

    with closing(places.open_binary(place)) as file:
        head = file.read(BLOCK)
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return "zip"
    first = _unpacked_head(place, BLOCK) if packing_of(head) else head
    # By its name where it cannot be unpacked, or has no members and so begins with its end.
    named = path_of(place).endswith(TAR_ENDINGS) and (first is None or first == bytes(BLOCK))
    if named or (first is not None and is_header(first)):
        return "tar"
    return "zip" if _has_directory(place) else None


def _has_directory(place: str) -> bool:
    """Tell whether a zip archive stands behind something else, such as a program that unpacks it."""
    from .zips import ZipArchive

    try:
        ZipArchive(place).rest()
    except ContainerFailure:
        return False
    return True


def _unpacked_head(place: str, count: int) -> bytes | None:
    try:
        with closing(Stream(place)) as stream:
            return stream.read(count)
    except ContainerFailure:
        return None


def _open(place: str) -> ZipArchive | TarArchive:
    kind = kind_of(place)
    if kind == "zip":
        from .zips import ZipArchive

        return ZipArchive(place)
    if kind == "tar":
        from .tars import TarArchive

        return TarArchive(place)
    if not places.is_file(place):
        raise FileNotFoundError(f"there is no file {place}")
    raise ContainerFailure(Reason.UNREADABLE, f"{place} is neither a zip nor a tar archive")


_kept: Kept[ZipArchive | TarArchive] = Kept(_open)


def open_archive(place: str) -> ZipArchive | TarArchive:
    """Return the archive at a place. Its table of members is kept for the next time.

    Raises:
        OSError: it is gone or cannot be read.
        ContainerFailure: it is not an archive.
    """
    return _kept.get(place)


def read_member(place: str, member: str, limit: int) -> bytes:
    """Return the content of an archive's member.

    Raises:
        KeyError: there is none of that name.
        TooManyBytes: it has more than `limit` bytes, whatever its header says.
        OSError, ContainerFailure: the archive or the member cannot be read.
    """
    return open_archive(place).read(member, limit)


def member_facts(place: str, member: str) -> Facts:
    """Return the size and time of an archive's member, as a scan gives them.

    Raises:
        KeyError, OSError, ContainerFailure: as for `read_member`.
    """
    return open_archive(place).facts(member)
