"""Where images come from: one module a kind of source, imported when a source of that kind is opened."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from shotdex.media.decoding.decode import looks_like_image
from shotdex.media.files import places
from shotdex.store.errors import SourceError

from .base import Candidate, FailedFolder, Found, Ignored, Source
from .gone import GoneSource, is_gone

__all__ = ["Candidate", "FailedFolder", "Found", "GoneSource", "Ignored", "Source", "is_gone", "open_source"]

STANDARD_INPUT = "-"


def open_source(source: str | Path, columns: Mapping[str, str] | None = None) -> Source:
    """Return the source that a user names, by what is there: see `shotdex index --help` for the kinds.

    `columns` says which columns of a manifest, or keys of a tar's metadata, have which role.

    Raises:
        SourceError: there is nothing, or nothing that can be indexed.
    """
    from shotdex.media.datasets import by_name

    from .datasets import DatasetSource
    from .listed import ListedSource
    from .remote import open_remote

    text = str(source)
    if text == STANDARD_INPUT:
        return ListedSource(sys.stdin.buffer)
    if by_name.is_dataset(text):
        return DatasetSource(by_name.absolute(text))
    root = places.absolute(text)
    try:
        found = _archive_or_list(root, columns or {}) or (open_remote(root) if places.is_url(root) else _local(root))
    except OSError as error:
        raise SourceError(
            f"{places.shown(text)} cannot be opened: {error.strerror or error}", "check its permissions"
        ) from error
    if found is not None:
        return found
    if places.is_url(root) or Path(root).exists():
        raise SourceError(
            f"{places.shown(text)} is no folder, archive, list or IDX file", "give the folder that the images are in"
        )
    raise SourceError(f"there is nothing at {places.shown(text)}", "check the path")


def _archive_or_list(root: str, columns: Mapping[str, str]) -> Source | None:
    from .manifest import ManifestSource, is_manifest
    from .tarred import ShardsSource, TarSource, find_shards, is_tar
    from .zipped import ZipSource, is_zip

    if find_shards(root):
        return ShardsSource(root, columns)
    if places.is_folder(root):
        return None
    if is_manifest(root) and places.is_file(root):
        return ManifestSource(root, columns)
    if is_zip(root):
        return ZipSource(root)
    return TarSource(root, columns) if is_tar(root) else None


def _local(root: str) -> Source | None:
    from .folder import FolderSource
    from .idx import IdxSource, find_idx_files
    from .remote import SingleImageSource

    path = Path(root)
    if path.exists() and find_idx_files(path):
        return IdxSource(root)
    if path.is_dir():
        return FolderSource(root)
    return SingleImageSource(root) if path.is_file() and looks_like_image(path.name) else None
