"""Which pairs to show, and which images to leave out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from shotdex.store.errors import SettingsError
from shotdex.store.words import Ids

from .find import Duplicates
from .groups import Flags, first_of_each
from .pairs import Rows
from .summary import differing

SHOWN = ("closest", "weakest", "leaks", "conflicts")
"""What pairs can be shown."""

LEFT_OUT: Mapping[str, Callable[[Duplicates], Flags]] = {
    "copies": lambda found: ~first_of_each(found.groups),
    "leaks": lambda found: found.leaked,
    "conflicts": lambda found: found.conflicting,
}
"""What can be left out: all but the first image of each group, groups on several sides, groups of two categories."""


def choose_links(found: Duplicates, which: str, limit: int) -> Rows:
    """Return the numbers of up to `limit` links to show.

    `closest` are those of the highest cosine, copies first; `weakest` the near ones of the lowest, which show what the
    threshold lets in; `leaks` and `conflicts` those whose two images differ in side or category, closest first. Ties go
    by image id.

    Raises:
        SettingsError: no such choice.
    """
    links = found.links
    if which not in SHOWN:
        raise SettingsError(f"cannot show {which!r}", f"use one of: {', '.join(SHOWN)}")
    rows = np.arange(len(links))
    if which == "weakest":
        rows = rows[~links.exact]
        return np.asarray(rows[np.argsort(links.cosine[rows], kind="stable")][:limit], dtype=np.int64)
    if which != "closest":
        rows = rows[differing(found, "category" if which == "conflicts" else found.wanted.across)]
    order = np.lexsort((-links.cosine[rows], ~links.exact[rows]))
    return np.asarray(rows[order][:limit], dtype=np.int64)


def left_out(found: Duplicates, which: str) -> Ids:
    """Return the ids of the images to leave out, rising: `copies`, `leaks` or `conflicts`, see `LEFT_OUT`.

    Raises:
        SettingsError: no such choice.
    """
    if which not in LEFT_OUT:
        raise SettingsError(f"cannot leave out {which!r}", f"use one of: {', '.join(LEFT_OUT)}")
    return np.asarray(found.ids[LEFT_OUT[which](found)], dtype=np.int64)


def condition_without(ids: Ids) -> str:
    """Return a condition on `images` in SQL that leaves out some ids, as `--where` takes it; `true` for none."""
    return f"image_id NOT IN ({', '.join(map(str, ids.tolist()))})" if len(ids) else "true"
