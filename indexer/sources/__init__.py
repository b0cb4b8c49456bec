"""Where pictures come from: one module a kind of source."""

from __future__ import annotations

import zipfile
from pathlib import Path

from shotdex.store.errors import SourceError

from .base import Candidate, Scan, Source
from .folder import FolderSource
from .idx_files import IdxSource, find_idx_files
from .zipped import ZipSource

__all__ = ["Candidate", "Scan", "Source", "open_source"]


def open_source(place: Path) -> Source:
    """Return the source at a path, by what is there.

    Raises:
        SourceError: there is nothing, or nothing that can be indexed.
    """
    root = place.expanduser().resolve()
    try:
        if root.exists() and find_idx_files(root):
            return IdxSource(root)
        if root.is_dir():
            return FolderSource(root)
        if root.is_file() and zipfile.is_zipfile(root):
            return ZipSource(root)
    except OSError as error:
        raise SourceError(f"{place} cannot be opened: {error.strerror}", "check its permissions") from error
    if root.exists():
        raise SourceError(
            f"{place} is neither a folder, a zip archive nor an IDX file", "give the folder that the pictures are in"
        )
    raise SourceError(f"there is nothing at {place}", "check the path")
