"""What was found, counted and as rows: groups, images and pairs that are copies, near, of two labels, on two sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from .find import Duplicates
from .pairs import Flags, Rows, sizes


@dataclass(frozen=True, slots=True)
class Tally:
    """How many groups of duplicates there are of a kind, the images in them, and the links between those."""

    groups: int
    images: int
    pairs: int


@dataclass(frozen=True, slots=True)
class Summary:
    """`copies` are groups whose images are all of one content; `near` all others, which may hold copies besides.

    `conflicts` counts groups with two categories or more, `leaks` groups on two sides or more; both count only images
    that have that label, and as pairs those links whose two images differ in it. `largest` is the most images that one
    group has, 0 where there is none.
    """

    copies: Tally
    near: Tally
    conflicts: Tally
    leaks: Tally
    largest: int


def summary(found: Duplicates) -> Summary:
    """Count the duplicates. No image and no pair counts both under copies and under near."""
    alone = sizes(found.groups) == 1
    has_near = np.zeros(len(found.groups), dtype=bool)
    has_near[found.groups[found.links.first[~found.links.exact]]] = True
    near = has_near[found.groups]
    return Summary(
        _tally(found, ~alone & ~near, ~near[found.links.first]),
        _tally(found, near, near[found.links.first]),
        _tally(found, found.conflicting, differing(found, "category")),
        _tally(found, found.leaked, differing(found, found.wanted.across)),
        int(sizes(found.groups)[~alone].max(initial=0)),
    )


def differing(found: Duplicates, label: str) -> Flags:
    """Return which links join two images that both have the label, and not the same one, (L,) bool."""
    labels = found.labels(label)
    ends = zip(found.links.first.tolist(), found.links.second.tolist(), strict=True)
    flags = (labels[a] is not None and labels[b] is not None and labels[a] != labels[b] for a, b in ends)
    return np.fromiter(flags, dtype=bool, count=len(found.links))


def _tally(found: Duplicates, images: Flags, links: Flags) -> Tally:
    return Tally(len(np.unique(found.groups[images])), int(images.sum()), int(links.sum()))


LABELS = ("category", "condition", "split")


def pair_table(found: Duplicates, links: Rows) -> pa.Table:
    """Return some links, given by their numbers, as a table, a row each, in that order.

    Columns: kind (exact or near), cosine, group (the lowest image id in it), then image_id, path, category, condition
    and split of both images, with `_a` and `_b` at the end; the one of the lower id is a.
    """
    first, second = found.links.first[links], found.links.second[links]
    columns: dict[str, Any] = {
        "kind": pa.array(np.where(found.links.exact[links], "exact", "near").tolist(), pa.string()),
        "cosine": found.links.cosine[links],
        "group": found.ids[found.groups[first]],
    }
    for letter, ends in (("a", first), ("b", second)):
        rows = found.images.take(pa.array(ends))
        columns |= {f"{name}_{letter}": rows.column(name) for name in rows.column_names}
    return pa.table(columns)


def group_rows(found: Duplicates) -> list[dict[str, Any]]:
    """Return every group of two images or more by its lowest image id: `group`, which is that id, `image_ids`, and the
    different categories, conditions and splits in it, in alphabetical order.
    """
    members: dict[int, list[int]] = {}
    for row in np.flatnonzero(sizes(found.groups) > 1).tolist():
        members.setdefault(int(found.groups[row]), []).append(row)
    ids, labels = found.ids.tolist(), {label: found.labels(label) for label in LABELS}
    return [
        {"group": ids[group], "image_ids": [ids[row] for row in rows]}
        | {label: sorted({name for row in rows if (name := names[row]) is not None}) for label, names in labels.items()}
        for group, rows in members.items()
    ]
