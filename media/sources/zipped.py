"""A zip archive of images, read in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shotdex.media.archives.opening import is_zip, member_facts, open_archive, read_member
from shotdex.media.archives.zips import ZipArchive, ZipMember
from shotdex.media.decoding.decode import looks_like_image
from shotdex.store.errors import ContainerFailure, SourceError
from shotdex.store.types import Failure, Reason

from .address import join
from .base import Candidate, FailedFolder, Found, Ignored, hidden, link_failure, within

__all__ = ["ZipSource", "facts", "matches", "open_source", "read"]

matches, read, facts = is_zip, read_member, member_facts


@dataclass(frozen=True, slots=True)
class ZipSource:
    """Every image in a zip file, addressed as `archive.zip!member`. What macOS adds to its zips is left out.

    A member's time is its entry's, with its checksum folded in (see `ZipMember`), so that of an archive that grew only
    the new members are read. Of one name, the last entry counts, as in every zip program.
    """

    root: str
    kind: str = "zip"
    by_path: bool = True
    complete: bool = True
    in_order: bool = False

    def scan(self) -> Iterator[Found]:
        """Walk the archive's directory.

        Raises:
            SourceError: it is not a zip archive, or its directory is broken from the start.
        """
        met = False
        try:
            archive = open_archive(self.root)
            if not isinstance(archive, ZipArchive):
                raise ContainerFailure(Reason.NOT_AN_IMAGE, "it is a tar archive")
            for member in archive.walk():
                met = True
                found = self._found(member)
                if found is not None:
                    yield found
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

    def _found(self, member: ZipMember) -> Found | None:
        if member.is_folder or hidden(member.name):
            return None
        if not looks_like_image(member.name):
            return Ignored(join(self.root, member.name))
        if member.is_link:
            return link_failure(self.root, member.name)
        return Candidate(join(self.root, member.name), within(member.path), member.size, member.modified_ns)


def open_source(place: str, columns: Mapping[str, str]) -> ZipSource:
    """Return the zip archive at a place; it has no columns."""
    return ZipSource(place)
