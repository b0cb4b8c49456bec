"""A folder of pictures, with the folders in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shotdex.store.pictures import looks_like_picture
from shotdex.store.words import Reason, Rejection

from .base import Candidate, Scan, natural_order


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Every picture below a folder. Names that begin with a dot are left out; links to folders are followed once."""

    root: Path
    kind: str = "folder"

    def scan(self) -> Scan:
        """Walk the folder."""
        scan = Scan()
        scan.candidates = natural_order(iter(list(self._walk(self.root, scan, set()))))
        return scan

    def _walk(self, folder: Path, scan: Scan, visited: set[tuple[int, int]]) -> Iterator[Candidate]:
        try:
            facts = folder.stat()
            if (facts.st_dev, facts.st_ino) in visited:  # a link back upward, or a second way to the same folder
                return
            visited.add((facts.st_dev, facts.st_ino))
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            scan.not_entered.append(str(folder))
            scan.rejections.append(_rejection(str(folder), Reason.UNREADABLE, error.strerror or str(error)))
            return
        for entry in entries:
            yield from self._entry(entry, scan, visited)

    def _entry(self, entry: os.DirEntry[str], scan: Scan, visited: set[tuple[int, int]]) -> Iterator[Candidate]:
        if entry.name.startswith("."):
            return
        try:
            if entry.is_dir():
                yield from self._walk(Path(entry.path), scan, visited)
                return
            if not looks_like_picture(entry.name):
                scan.ignored += 1
                return
            facts = entry.stat()
            if not stat.S_ISREG(facts.st_mode):  # a pipe or a device of that name would be read for ever
                scan.ignored += 1
                return
        except OSError as error:
            scan.rejections.append(_rejection(entry.path, Reason.UNREADABLE, error.strerror or str(error)))
            return
        try:
            entry.path.encode("utf-8")
        except UnicodeEncodeError:
            shown = entry.path.encode("utf-8", "backslashreplace").decode()
            scan.rejections.append(_rejection(shown, Reason.BAD_NAME, "rename the file, then index again"))
            return
        relative = Path(entry.path).relative_to(self.root).as_posix()
        yield Candidate(entry.path, relative, facts.st_size, facts.st_mtime_ns)


def _rejection(path: str, reason: Reason, detail: str) -> Rejection:
    return Rejection(path.encode("utf-8", "backslashreplace").decode(), "scan", reason, detail)
