"""What a scan leaves out, and why: other files, archives next to images, and the folders of systems."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from shotdex.media.archives import TAR_ENDINGS, ZIP_ENDINGS
from shotdex.media.decoding.decode import looks_like_image
from shotdex.store.errors import OptionError

from .kinds import MANIFEST_ENDINGS


class Left(StrEnum):
    """Why something was left out."""

    OTHER = "other files"
    ARCHIVE = "archives"
    TABLE = "tables"
    SYSTEM = "system folders"
    HIDDEN_FOLDER = "hidden folders"
    HIDDEN = "hidden images"
    RAW = "RAW files"
    LIVE = "live photo videos"
    EXCLUDED = "excluded images"


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file or folder that was left out: by its name not an image, or in a system's own folder."""

    path: str
    why: Left = Left.OTHER


def left_file(name: str) -> Left:
    """Return what a file is that is not an image by its name."""
    lower = name.lower()
    if lower.endswith(ZIP_ENDINGS + TAR_ENDINGS):
        return Left.ARCHIVE
    return Left.TABLE if lower.endswith(MANIFEST_ENDINGS) else Left.OTHER


RAW_ENDINGS = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef"}
    | {".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)
PHOTO_ENDINGS = (".jpg", ".jpeg", ".heic", ".heif", ".hif")


def counted_already(path: str) -> Left | None:
    """Return what a file is that comes with an image of the same name: a camera's RAW file, a phone's moving part."""
    kind, stem = companion(path), path[: path.rfind(".")]
    names = (stem + case(image) for image in PHOTO_ENDINGS for case in (str.lower, str.upper))
    return kind if kind and any(map(os.path.isfile, names)) else None


def companion(path: str) -> Left | None:
    """Return what a file is that may come with an image of the same name, by its ending alone."""
    ending = path[path.rfind(".") :].lower()
    return Left.RAW if ending in RAW_ENDINGS else Left.LIVE if ending == ".mov" else None


def excluding(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """Return an expression that matches paths within a source, with `/`, that some glob patterns exclude.

    As in .gitignore: a pattern without a slash fits a file or folder of that name anywhere, one with a slash begins at
    the source; `*` and `?` do not fit a slash, `**` does; what lies in a folder that fits is excluded with it.

    Raises:
        OptionError: one of them is not a pattern.
    """
    found = [_expression(pattern) for pattern in patterns if pattern.strip("/")]
    try:
        return re.compile(f"(?:{'|'.join(found)})(?:/.*)?", re.DOTALL) if found else None
    except re.error as error:
        raise OptionError(
            f"--exclude {' '.join(patterns)} is not a pattern: {error}", "for example: --exclude '*.png' or drafts/"
        ) from error


def _expression(pattern: str) -> str:
    only_folders = "(?=/)" if pattern.endswith("/") else ""
    anywhere = "" if "/" in pattern.rstrip("/") else "(?:.*/)?"
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]/]+\])", pattern.strip("/").removeprefix("./"))
    return anywhere + "".join(map(_meaning, parts)) + only_folders


def _meaning(part: str) -> str:
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if part in wild:
        return wild[part]
    if len(part) > 2 and part[0] == "[" and part[-1] == "]":
        inner = part[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"[^/{inner[1:]}]" if inner[0] == "!" and len(inner) > 1 else f"[{inner}]"
    return re.escape(part)


# In lower case. Of a NAS: @eaDir, #recycle, #snapshot (Synology), @Recycle, @Recently-Snapshot, .@__thumb (QNAP).
SYSTEM_FOLDERS = frozenset(
    {
        "@eadir", "@recycle", "@recently-snapshot", ".@__thumb", "@__thumb", "#recycle", "#snapshot", "$recycle.bin",
        "recycler", "system volume information", ".thumbnails", ".trash", ".trashes", "__macosx", "lost+found",
        "lost.dir", ".spotlight-v100", ".fseventsd", ".temporaryitems", "temporary items", "network trash folder",
        ".appledouble", ".picasaoriginals", ".dtrash", "@tmp", "@sharebin", ".ds_store",
    }
)  # fmt: skip
"""What NAS, phones, cameras and desktops keep for themselves: thumbnails, bins, snapshots."""


def left_folder(name: str) -> Left | None:
    """Tell why a folder of this name is left out; None where it is not."""
    if name.casefold() in SYSTEM_FOLDERS or name.startswith(".Trash"):
        return Left.SYSTEM
    return Left.HIDDEN_FOLDER if name.startswith(".") and name not in (".", "..") else None


class Hiding:
    """Leaves out what lies in system or hidden folders of an archive or a listing, naming each folder once."""

    def __init__(self, all_folders: bool = False) -> None:
        self._all, self._named = all_folders, set[str]()

    def look(self, name: str, prefix: str = "") -> Ignored | bool:
        """Return whether a member is to be left out; the first time, as what is left out: `prefix` and the folder."""
        *folders, base = name.split("/")
        for depth, folder in enumerate(folders):
            why = None if self._all else left_folder(folder)
            if why is not None:
                return self._once(prefix + "/".join(folders[: depth + 1]), why)
        if not base.startswith(".") or base in ("", ".", ".."):
            return False
        return Ignored(prefix + name, Left.HIDDEN) if looks_like_image(base) and not base.startswith("._") else True

    def _once(self, folder: str, why: Left) -> Ignored | bool:
        if folder in self._named:
            return True
        if len(self._named) < _NAMED_FOLDERS:
            self._named.add(folder)
        return Ignored(folder, why)


_NAMED_FOLDERS = 100_000
