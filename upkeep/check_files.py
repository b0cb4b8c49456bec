"""The images themselves: still where they were, with the content that was indexed."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from shotdex.media.files.places import Facts, is_url
from shotdex.media.sources import facts, read_bytes
from shotdex.media.sources.address import split
from shotdex.store.file_names import local
from shotdex.store.progress import NoProgress, Progress
from shotdex.store.store import Store

from .check import Check, index_again
from .check_images import PRESENT

PAGE = 10_000
"""Images looked at between two looks into the catalog, which is closed meanwhile."""

HINTS = {
    "gone": "missing images are then left out of results, but keep their rows",
    "changed": "changed images are encoded again",
    "unreadable": "check the permissions, or the disk",
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the catalog has on a present image's file."""

    image_id: int
    path: str
    source: str
    content_sha256: str
    size_bytes: int
    modified_ns: int


def check_files(store: Store, progress: Progress | None = None) -> Check:
    """Look at the file of every present image; one whose size or time is not as recorded is read and hashed again."""
    shown = progress or NoProgress()
    with store.reading() as con:
        shown.start(int(con.value(f"SELECT count(*) FROM {PRESENT}")))
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    sources: Counter[str] = Counter()
    for image in _recorded(store):
        state = state_of(image)
        counts[state] += 1
        if state in HINTS:
            examples.setdefault(state, image.path)
            sources[image.source] += 1
        shown.advance(1)
    total, touched = counts.total(), counts["touched"]
    if not examples:
        again = (
            f"; {touched:,} were read because their size or time changed, and have the same content" if touched else ""
        )
        return Check("files", True, f"{total:,} images exist, with the recorded size and time{again}")
    text = "; ".join(f"{kind}: {counts[kind]:,} (such as {examples[kind]})" for kind in HINTS if counts[kind])
    hint = index_again([source for source, _ in sources.most_common()])
    return Check("files", False, text, "; ".join([hint, *(HINTS[kind] for kind in HINTS if counts[kind])]))


def state_of(image: Recorded) -> str:
    """Return `same` (by size and time), `touched` (by content only), `gone`, `changed` or `unreadable`."""
    if as_recorded(image.path, image.size_bytes, image.modified_ns):
        return "same"
    try:
        content = hashlib.sha256(read_bytes(image.path)).hexdigest()
    except (FileNotFoundError, NotADirectoryError, KeyError):  # KeyError: the archive has no such member
        return "gone"
    except Exception:  # zip, gzip and the file system raise a dozen types
        return "unreadable"
    return "touched" if content == image.content_sha256 else "changed"


def as_recorded(address: str, size_bytes: int, modified_ns: int) -> bool:
    """Tell whether a file has the size and time on record, as indexing does to see what it need not read.

    A member of an archive has a size and time of its own. Cells of manifests and items of data sets have none: False.
    """
    place, _ = split(address)
    try:
        found = facts(address)
    except Exception:  # what is wrong with it shows when it is read
        return False
    return found == Facts(size_bytes, modified_ns) and (is_url(place) or os.access(local(place), os.R_OK))


def _recorded(store: Store) -> Iterator[Recorded]:
    last = 0
    while True:
        with store.reading() as con:
            rows = con.rows(
                f"SELECT image_id, path, source, content_sha256, size_bytes, modified_ns FROM {PRESENT} "
                "WHERE image_id > $last ORDER BY image_id LIMIT $page",
                {"last": last, "page": PAGE},
            )
        if not rows:
            return
        yield from (Recorded(*row) for row in rows)
        last = rows[-1][0]
