"""A zip archive of pictures, read in place."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from shotdex.store.addresses import join
from shotdex.store.errors import SourceError
from shotdex.store.pictures import looks_like_picture

from .base import Candidate, Scan, natural_order


@dataclass(frozen=True, slots=True)
class ZipSource:
    """Every picture in a zip file, addressed as `archive.zip!member`. What macOS adds to its zips is left out."""

    root: Path
    kind: str = "zip"

    def scan(self) -> Scan:
        """List the archive's directory.

        Raises:
            SourceError: it is not a zip archive.
        """
        scan = Scan()
        try:
            with zipfile.ZipFile(self.root) as archive:
                # A name that stands there twice means its last entry, as it does in every zip program.
                members = list({info.filename: info for info in archive.infolist() if not info.is_dir()}.values())
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise SourceError(
                f"{self.root} cannot be read as a zip archive: {error}", "check it with: unzip -t"
            ) from error
        modified_ns = self.root.stat().st_mtime_ns
        pictures = [info for info in members if not _hidden(info.filename) and looks_like_picture(info.filename)]
        scan.ignored = sum(not _hidden(info.filename) for info in members) - len(pictures)
        scan.candidates = natural_order(
            Candidate(join(self.root, info.filename), info.filename, info.file_size, modified_ns) for info in pictures
        )
        return scan


def _hidden(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts)
