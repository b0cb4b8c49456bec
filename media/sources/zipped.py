"""A zip archive of images, read in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shotdex.media.archives.opening import is_zip, member_facts, read_member
from shotdex.media.archives.zip_archive import ZipArchive
from shotdex.media.archives.zip_directory import FAT, ZipEntry
from shotdex.media.decoding.decode import looks_like_image
from shotdex.store.errors import ContainerFailure, SourceError
from shotdex.store.types import Failure

from .address import join
from .base import Candidate, FailedFolder, Found, Ignored, hidden, member_failure, within

__all__ = ["ZipSource", "facts", "matches", "open_source", "read"]

matches, read, facts = is_zip, read_member, member_facts


@dataclass(frozen=True, slots=True)
class ZipSource:
    """Every image in a zip file, addressed as `archive.zip!member`. What macOS adds to its zips is left out.

    A member's time is its entry's, with its checksum folded in (see `ZipEntry`), so that of an archive that grew only
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
            for entry in ZipArchive(self.root).walk():
                met = True
                found = self._found(entry)
                if found is not None:
                    yield found
        except (ContainerFailure, OSError) as error:
            damage = error if isinstance(error, ContainerFailure) else None
            if damage is None or not met:
                raise SourceError(
                    f"{self.root} cannot be read as a zip archive: {damage.detail if damage else error}",
                    "check it with: unzip -t; mend it with: zip -FF",
                ) from error
            yield FailedFolder(self.root, Failure(self.root, "scan", damage.reason, damage.detail))

    def read(self, address: str, limit: int) -> bytes:
        """Return a member's content; safe to call from several threads."""
        return read_member(self.root, address.removeprefix(join(self.root, "")), limit)

    def _found(self, entry: ZipEntry) -> Found | None:
        if entry.is_folder or hidden(entry.shown):
            return None
        failure = member_failure(self.root, entry.shown, entry.name is not None, entry.is_link)
        if failure is not None:
            return failure
        if entry.name is None or not looks_like_image(entry.name):
            return Ignored(join(self.root, entry.shown))
        # Programs on Windows have written its separator into zips.
        path = entry.name.replace("\\", "/") if entry.system == FAT else entry.name
        return Candidate(join(self.root, entry.name), within(path), entry.size, entry.modified_ns)


def open_source(place: str, columns: Mapping[str, str]) -> ZipSource:
    """Return the zip archive at a place; it has no columns."""
    return ZipSource(place)
