"""What a source lost since it was indexed, and whether that looks like a disk that is not mounted."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from shotdex.media.files.places import shown
from shotdex.media.sources.left_out import SYSTEM_FOLDERS
from shotdex.store.errors import SourceError
from shotdex.store.file_names import local, stored

from .plan import Plan

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
        what, "nothing was changed, as a disk may not be mounted; if they are gone for good, say so: --gone"
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
