"""A folder of images, with the folders in it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shotdex.media.decoding.decode import looks_like_image
from shotdex.media.files import places
from shotdex.store.file_names import local, stored
from shotdex.store.types import Failure, Reason

from .base import Candidate, FailedFolder, Found, Reading
from .left_out import Ignored, Left, counted_already, left_file, left_folder
from .remote import SingleImageSource


def matches(place: str) -> bool:
    """Tell whether there is a folder on this machine, or a file that is named as an image."""
    return not places.is_url(place) and (
        places.is_folder(place) or (places.is_file(place) and looks_like_image(Path(place).name))
    )


def open_source(place: str, reading: Reading) -> FolderSource | SingleImageSource:
    """Return the folder or the one image at a path; neither has columns."""
    return FolderSource(place, reading.all_folders) if places.is_folder(place) else SingleImageSource(place)


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Every image below a folder; links to folders are followed once.

    Folders of the system (see `left_out.py`) and hidden ones are left out, unless `all_folders`; hidden files always.
    """

    root: str
    all_folders: bool = False
    kind: str = "folder"
    by_path: bool = True
    complete: bool = True
    in_order: bool = False

    def scan(self) -> Iterator[Found]:
        """Walk the folder. Names are not sorted here: one folder may have more files than memory has room for."""
        visited: set[tuple[int, int]] = set()
        waiting = [local(self.root)]
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
                yield FailedFolder(stored(folder), _unreadable(folder, error))
            # Sorted, so that of two ways to one folder it is always the same one that counts.
            waiting += sorted(inner, reverse=True)

    def read(self, address: str, limit: int) -> bytes:
        """Return an image's file; see `Source`."""
        return places.read_all(address, limit)

    def _entry(self, entry: os.DirEntry[str], inner: list[str]) -> Iterator[Found]:
        hidden, path = entry.name.startswith("."), stored(entry.path)
        try:
            if entry.is_dir():
                if not self.all_folders and (why := left_folder(entry.name)):
                    yield Ignored(path, why)
                    return
                inner.append(entry.path)
                if looks_like_image(entry.name):
                    yield Failure(path, "scan", Reason.NOT_AN_IMAGE, "it is a folder; its contents were scanned")
                return
            if hidden or not looks_like_image(entry.name):
                yield from _left_file(entry, hidden)
                return
            facts = entry.stat()
        except OSError as error:
            if hidden:
                return
            if isinstance(error, PermissionError) and not entry.is_symlink():
                raise  # a folder whose names can be read and nothing else: so it is with all that is in it
            failure = _unreadable(entry.path, error)
            # A link to nowhere is gone; what cannot be looked at now may still be there.
            yield failure if error.errno in (errno.ENOENT, errno.ELOOP) else FailedFolder(path, failure)
            return
        if not stat.S_ISREG(facts.st_mode):  # a pipe or a device of that name would be read for ever
            yield Failure(path, "scan", Reason.UNREADABLE, "not a file but a pipe, a socket or a device")
            return
        relative = path[len(str(Path(self.root) / "_")) - 1 :].replace(os.sep, "/")
        yield Candidate(path, relative, facts.st_size, facts.st_mtime_ns)


def _left_file(entry: os.DirEntry[str], hidden: bool) -> Iterator[Ignored]:
    """Name a file that is left out; of hidden ones only images, and not what macOS adds to each (`._1.jpg`)."""
    if not hidden:
        yield Ignored(stored(entry.path), counted_already(entry.path) or left_file(entry.name))
    elif looks_like_image(entry.name) and not entry.name.startswith("._"):
        yield Ignored(stored(entry.path), Left.HIDDEN)


def _unreadable(path: str, error: OSError) -> Failure:
    return Failure(stored(path), "scan", Reason.UNREADABLE, error.strerror or str(error))
