"""What a scan leaves out, and why: other files, archives next to images, and the folders of systems."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shotdex.media.archives import TAR_ENDINGS, ZIP_ENDINGS
from shotdex.media.decoding.decode import looks_like_image

from .kinds import MANIFEST_ENDINGS


class Left(StrEnum):
    """Why something was left out."""

    OTHER = "other files"
    ARCHIVE = "archives"
    TABLE = "tables"
    SYSTEM = "system folders"
    HIDDEN_FOLDER = "hidden folders"
    HIDDEN = "hidden images"


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
