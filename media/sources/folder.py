"""A folder of images, with the folders in it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shotdex.media.decoding.decode import looks_like_image
from shotdex.media.files import places
from shotdex.store.types import Failure, Reason

from .base import Candidate, FailedFolder, Found, Ignored
from .remote import SingleImageSource


def matches(place: str) -> bool:
    """Tell whether there is a folder on this machine, or a file that is named as an image."""
    return not places.is_url(place) and (
        places.is_folder(place) or (places.is_file(place) and looks_like_image(Path(place).name))
    )


def open_source(place: str, columns: Mapping[str, str]) -> FolderSource | SingleImageSource:
    """Return the folder or the one image at a path; neither has columns."""
    return FolderSource(place) if places.is_folder(place) else SingleImageSource(place)


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Every image below a folder. Names that begin with a dot are left out; links to folders are followed once."""

    root: str
    kind: str = "folder"
    by_path: bool = True
    complete: bool = True
    in_order: bool = False

    def scan(self) -> Iterator[Found]:
        """Walk the folder. Names are not sorted here: one folder may have more files than memory has room for."""
        visited: set[tuple[int, int]] = set()
        waiting = [self.root]
        while waiting:
            folder = waiting.pop()
            inner: list[str] = []
            try:
                facts = Path(folder).stat()
                if (facts.st_dev, facts.st_ino) in visited:  # a link back upward, or a second way to the same folder
                    continue
                visited.add((facts.st_dev, facts.st_ino))
                with os.scandir(folder) as entries:
                    for entry in entries:
                        yield from self._entry(entry, inner)
            except OSError as error:
                yield FailedFolder(folder, _unreadable(folder, error))
            # Sorted, so that of two ways to one folder it is always the same one that counts.
            waiting += sorted(inner, reverse=True)

    def read(self, address: str, limit: int) -> bytes:
        """Return an image's file; see `Source`."""
        return places.read_all(address, limit)

    def _entry(self, entry: os.DirEntry[str], inner: list[str]) -> Iterator[Found]:
        if entry.name.startswith("."):
            return
        try:
            if entry.is_dir():
                inner.append(entry.path)
                if looks_like_image(entry.name):
                    yield Failure(entry.path, "scan", Reason.NOT_AN_IMAGE, "it is a folder; its contents were scanned")
                return
            if not looks_like_image(entry.name):
                yield Ignored(entry.path)
                return
            facts = entry.stat()
        except OSError as error:
            if isinstance(error, PermissionError) and not entry.is_symlink():
                raise  # a folder whose names can be read and nothing else: so it is with all that is in it
            failure = _unreadable(entry.path, error)
            # A link to nowhere is gone; what cannot be looked at now may still be there.
            yield failure if error.errno in (errno.ENOENT, errno.ELOOP) else FailedFolder(entry.path, failure)
            return
        if not stat.S_ISREG(facts.st_mode):  # a pipe or a device of that name would be read for ever
            yield Failure(entry.path, "scan", Reason.UNREADABLE, "not a file but a pipe, a socket or a device")
            return
        relative = entry.path[len(str(Path(self.root) / "_")) - 1 :].replace(os.sep, "/")
        yield Candidate(entry.path, relative, facts.st_size, facts.st_mtime_ns)


def _unreadable(path: str, error: OSError) -> Failure:
    return Failure(path, "scan", Reason.UNREADABLE, error.strerror or str(error))
