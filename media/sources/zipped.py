"""A zip archive of images, read in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from shotdex.media.archives.opening import is_zip, member_facts, open_archive, read_member
from shotdex.media.archives.zip_names import readings
from shotdex.media.archives.zips import ZipArchive, ZipMember
from shotdex.media.decoding.decode import looks_like_image
from shotdex.store.errors import ContainerFailure, SourceError
from shotdex.store.types import Failure, Reason

from .address import join
from .base import Candidate, FailedFolder, Found, Note, Reading, link_failure, paired, within
from .left_out import Hiding, Ignored, left_file

__all__ = ["ZipSource", "facts", "matches", "open_source", "read"]

NAMES = 1000
"""Names of a zip file that are looked at to find their encoding."""

matches, read, facts = is_zip, read_member, member_facts


@dataclass(frozen=True, slots=True)
class ZipSource:
    """Every image in a zip file, addressed as `archive.zip!member`. What macOS adds to its zips is left out.

    `folder` stands before the members' paths for layouts.

    A member's time is its entry's, with its checksum folded in (see `ZipMember`), so that of an archive that grew only
    the new members are read. Of one name, the last entry counts, as in every zip program.
    """

    root: str
    reading: Reading = field(default_factory=Reading)
    folder: str = ""
    kind: str = "zip"
    by_path: bool = True
    complete: bool = True
    in_order: bool = False

    def scan(self) -> Iterator[Found]:
        """Walk the archive's directory.

        Raises:
            SourceError: it is not a zip archive, or its directory is broken from the start.
        """
        return paired(self._scan())

    def _scan(self) -> Iterator[Found]:
        met, hiding = False, Hiding(self.reading.all_folders)
        try:
            archive = open_archive(self.root)
            if not isinstance(archive, ZipArchive):
                raise ContainerFailure(Reason.NOT_AN_IMAGE, "it is a tar archive")
            for member in archive.walk(self.reading.zip_names):
                met = True
                found = self._found(member, hiding)
                if found is not None:
                    yield found
            if self.reading.zip_names is None:
                yield from _encoding_note(self.root, archive)
        except (ContainerFailure, OSError) as error:
            damage = error if isinstance(error, ContainerFailure) else None
            if damage is None or not met:
                raise SourceError(
                    f"{self.root} cannot be read as a zip archive: {damage.detail if damage else error}",
                    "check it with: unzip -t; repair it with: zip -FF",
                ) from error
            yield FailedFolder(self.root, Failure(self.root, "scan", damage.reason, damage.detail))

    def read(self, address: str, limit: int) -> bytes:
        """Return a member's content; safe to call from several threads."""
        return read_member(self.root, address.removeprefix(join(self.root, "")), limit)

    def _found(self, member: ZipMember, hiding: Hiding) -> Found | None:
        left = member.is_folder or hiding.look(member.name, join(self.root, ""))
        if left:
            return None if left is True else left
        if not looks_like_image(member.name):
            return Ignored(join(self.root, member.name), left_file(member.name))
        if member.is_link:
            return link_failure(self.root, member.name)
        return Candidate(
            join(self.root, member.name), within(f"{self.folder}/{member.path}"), member.size, member.modified_ns
        )


def _encoding_note(place: str, archive: ZipArchive) -> Iterator[Note]:
    """Say which encodings would read the names better, where these do not say how they are encoded."""
    names = archive.undeclared(NAMES)
    better = readings(names) if names else {}
    if better:
        count = f"{len(names):,}" + ("+" if len(names) == NAMES else "")
        offered = " or ".join(f"--zip-names {encoding} ({name})" for encoding, name in better.items())
        as_read = f"{count} names are not UTF-8 and were read as CP437 ({names[0].decode('cp437')})"
        yield Note(f"{place}: {as_read}; what may read better: {offered}")


def open_source(place: str, reading: Reading) -> ZipSource:
    """Return the zip archive at a place; it has no columns."""
    return ZipSource(place, reading)
