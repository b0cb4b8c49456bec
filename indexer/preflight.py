"""What can be checked before the first batch, so that nothing fails after an hour that could have failed at once.

Room and permissions of the store, and what the source lost since it was indexed, which looks like a disk that is not
mounted.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from shotdex.media.files.places import shown
from shotdex.media.sources.left_out import SYSTEM_FOLDERS
from shotdex.store.errors import SourceError, StoreError
from shotdex.store.file_names import local, stored
from shotdex.store.lock import ownership, who_may_write
from shotdex.store.store import Store
from shotdex.store.types import EncoderId

from .plan import Plan

FLOAT_BYTES = 4
ROW_BYTES = 400
"""About what an image's row takes in the catalog, paths and hashes included."""

CATALOG_FACTOR = 1.25
"""The catalog's size over that of its raw vectors: 1.02 to 1.22 was measured, commits included."""

EMPTY_BYTES = 3 * 1024 * 1024
"""What the catalog takes without images: its tables, views and free blocks."""

COMMIT_IMAGES = 8192
"""Images of the largest commit that is expected: as much again is written to the write-ahead log first."""


def expected_bytes(encoder: EncoderId, new: int, total: int) -> int:
    """Return how many free bytes indexing takes: `new` images in the catalog, and a FAISS file of all `total`.

    The images of one commit count twice, as they are in the write-ahead log first. The FAISS file is rewritten next to
    the old one, so it counts whole.
    """
    row = (encoder.dim + encoder.vision_dim) * FLOAT_BYTES * CATALOG_FACTOR + ROW_BYTES
    faiss = total * (encoder.dim * FLOAT_BYTES + 8)
    return EMPTY_BYTES + int((new + min(new, COMMIT_IMAGES)) * row) + faiss


def free_bytes(place: Path) -> int:
    """Return the free space where a folder is, or will be, made."""
    there = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def check_place(root: Path) -> None:
    """Check that a store can be written, or made, at a place; nothing is made.

    Raises:
        StoreError: it cannot.
    """
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise StoreError(
            f"cannot make a store at {root}: {there} is {'not to be written to' if there.is_dir() else 'a file'}",
            "choose another place: --store DIR",
        )


def check_store(store: Store, encoder: EncoderId, new: int, total: int) -> None:
    """Check that the store can be written to and that what is coming fits on its disk.

    Raises:
        StoreError: it cannot, or does not, or FAISS cannot be imported.
    """
    for path in (store.root, store.catalog):
        if path.exists() and not os.access(path, os.W_OK):
            raise StoreError(
                f"{path} cannot be written to{ownership(path)}",
                f"{who_may_write(store.root)}   (or choose another: --store DIR)",
            )
    needed, free = expected_bytes(encoder, new, total), free_bytes(store.root)
    if new and needed > free:
        raise StoreError(
            f"the store needs about {gigabytes(needed)} for {new:,} images, and {gigabytes(free)} are free at "
            f"{store.root}",
            "make room, or put the store on another disk: --store DIR",
        )
    try:
        importlib.import_module("faiss")
    except ImportError as error:
        raise StoreError(f"FAISS cannot be imported: {error}", "install it: pip install faiss-cpu") from error


def gigabytes(count: int) -> str:
    """Return a number of bytes as people say it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"


FEW = 2
"""Images that a folder, which is there and has none now, must have had to count as a place where a disk was mounted."""

# A file that was renamed turns up among the new ones with its size. What lies in a folder that is left out was indexed
# with --all-folders, or before such folders were left out.
_LOST = f"""
    SELECT path FROM vanished
    WHERE path NOT IN (SELECT address FROM excluded)
        AND (size_bytes IS NULL OR size_bytes NOT IN (SELECT size_bytes FROM work WHERE image_id IS NULL))
        AND NOT regexp_matches(lower(path), '[/!](\\.[^/]*|{"|".join(map(re.escape, sorted(SYSTEM_FOLDERS)))})/')
"""


def check_losses(plan: Plan) -> None:
    """Refuse a source that had images and now has none, or lost most of them, or all of one of its folders.

    Raises:
        SourceError: it does; nothing was changed.
    """
    con = plan.inventory.con
    lost = int(con.value(f"SELECT count(*) FROM ({_LOST})"))
    if not lost:
        return
    kept = int(con.value("SELECT count(DISTINCT image_id) FROM compared WHERE present"))
    had = kept + plan.vanished
    if 2 * lost > had:
        left = "has none of them now" if lost == had else f"lacks {lost:,} of them now"
        raise _refused(f"{shown(plan.source)} had {had:,} image{'' if had == 1 else 's'} and {left}")
    for folder, count in _emptied(plan):
        raise _refused(f"{folder} had {count:,} images and has none now")


def _refused(what: str) -> SourceError:
    return SourceError(
        what, "nothing was changed, since a disk may not be mounted; if they are gone for good, pass --gone"
    )


def _emptied(plan: Plan) -> Iterator[tuple[str, int]]:
    """Yield the folders of a source that lost images, are there, and hold no image now, with how many they lost."""
    root = Path(local(plan.source))
    if not plan.inventory.source.by_path or not root.is_dir():
        return
    lost: Counter[Path] = Counter()
    for (path,) in plan.inventory.con.rows(_LOST):
        there = next((one for one in Path(local(path)).parents if one == root or one.is_dir()), root)
        lost[there] += 1
    for folder, count in sorted(lost.items()):
        below = "SELECT count(*) FROM candidates WHERE starts_with(address, $below)"
        name = stored(str(folder))
        if folder != root and count >= FEW and not plan.inventory.con.value(below, {"below": f"{name}{os.sep}"}):
            yield name, count
