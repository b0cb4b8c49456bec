"""What was found, counted and as typed rows: pairs, groups, leaks between splits and conflicting labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from PIL import Image

from shotdex.analysis.figures.pages import ImageLabels, PairLabels, pair_sheet
from shotdex.analysis.thumbnails import read_small
from shotdex.store.errors import OptionError, UnreadableImage
from shotdex.store.types import Ids

from .find import Duplicates
from .pairs import Flags, Rows, first_of_each, sizes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = ("category", "condition", "split")


@dataclass(frozen=True, slots=True)
class Tally:
    """How many groups of duplicates there are of a kind, the images in them, and the links between those."""

    groups: int
    images: int
    pairs: int


@dataclass(frozen=True, slots=True)
class Summary:
    """`copies` are groups whose images are all of one content; `near` all others, which may also hold copies.

    `conflicts` counts groups with two categories or more, `leaks` groups on two sides or more; both count only images
    that have that label, and as pairs those links whose two images differ in it. `largest` is the most images that one
    group has, 0 without any.
    """

    copies: Tally
    near: Tally
    conflicts: Tally
    leaks: Tally
    largest: int


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two duplicates, `a` the one of the lower id; `cosine` is 1 for copies, `group` the lowest id of their group."""

    kind: Literal["exact", "near"]
    cosine: float
    group: int
    image_id_a: int
    path_a: str
    category_a: str | None
    condition_a: str | None
    split_a: str | None
    image_id_b: int
    path_b: str
    category_b: str | None
    condition_b: str | None
    split_b: str | None


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Two images or more that are linked: `group` is the lowest id among them; the labels are the distinct ones."""

    group: int
    image_ids: tuple[int, ...]
    category: tuple[str, ...]
    condition: tuple[str, ...]
    split: tuple[str, ...]


def summary(found: Duplicates) -> Summary:
    """Count the duplicates. No image and no pair counts both under copies and under near."""
    alone = sizes(found.groups) == 1
    has_near = np.zeros(len(found.groups), dtype=bool)
    has_near[found.groups[found.links.first[~found.links.exact]]] = True
    near = has_near[found.groups]
    return Summary(
        _tally(found, ~alone & ~near, ~near[found.links.first]),
        _tally(found, near, near[found.links.first]),
        _tally(found, found.conflicting, _differing(found, "category")),
        _tally(found, found.leaked, _differing(found, found.options.across)),
        int(sizes(found.groups)[~alone].max(initial=0)),
    )


def _differing(found: Duplicates, label: str) -> Flags:
    """Return which links join two images that both have the label, and not the same one, (L,) bool."""
    labels = found.labels(label)
    ends = zip(found.links.first.tolist(), found.links.second.tolist(), strict=True)
    flags = (labels[a] is not None and labels[b] is not None and labels[a] != labels[b] for a, b in ends)
    return np.fromiter(flags, dtype=bool, count=len(found.links))


def _tally(found: Duplicates, images: Flags, links: Flags) -> Tally:
    return Tally(len(np.unique(found.groups[images])), int(images.sum()), int(links.sum()))


def duplicate_pairs(found: Duplicates, limit: int, weakest: bool = False) -> list[DuplicatePair]:
    """Return up to `limit` pairs of the highest cosine, copies first; ties go by image id.

    With `weakest` it is the near pairs of the lowest cosine: they show what the threshold lets in.
    """
    return _typed(found, weakest_links(found)[:limit] if weakest else closest_links(found)[:limit])


def leaks(found: Duplicates, limit: int) -> list[DuplicatePair]:
    """Return up to `limit` pairs whose two images lie on different sides, such as splits, closest first."""
    return _typed(found, closest_links(found, found.options.across)[:limit])


def conflicts(found: Duplicates, limit: int) -> list[DuplicatePair]:
    """Return up to `limit` pairs of two categories, one of which may be wrong, closest first."""
    return _typed(found, closest_links(found, "category")[:limit])


def all_links(found: Duplicates) -> Rows:
    """Return the numbers of all links, in the order of their image ids."""
    return np.arange(len(found.links), dtype=np.int64)


def closest_links(found: Duplicates, differing: str | None = None) -> Rows:
    """Return the numbers of the links by falling cosine, copies first; only those whose images differ in a label."""
    links = found.links
    rows = np.arange(len(links)) if differing is None else np.flatnonzero(_differing(found, differing))
    order = np.lexsort((-links.cosine[rows], ~links.exact[rows]))
    return np.asarray(rows[order], dtype=np.int64)


def weakest_links(found: Duplicates) -> Rows:
    """Return the numbers of the near links by rising cosine."""
    rows = np.flatnonzero(~found.links.exact)
    return np.asarray(rows[np.argsort(found.links.cosine[rows], kind="stable")], dtype=np.int64)


def pair_table(found: Duplicates, links: Rows) -> pa.Table:
    """Return some links, given by their numbers, as a table with the columns of `DuplicatePair`, in that order."""
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


def _typed(found: Duplicates, links: Rows) -> list[DuplicatePair]:
    return [DuplicatePair(**row) for row in pair_table(found, links).to_pylist()]


def duplicate_groups(found: Duplicates, which: Flags | None = None) -> list[DuplicateGroup]:
    """Return every group of two images or more by its lowest image id, its labels in alphabetical order.

    `which` (N,) bool keeps the groups with such an image, for example `found.leaked`.
    """
    kept = sizes(found.groups) > 1
    if which is not None:
        kept &= np.isin(found.groups, found.groups[which])
    members: dict[int, list[int]] = {}
    for row in np.flatnonzero(kept).tolist():
        members.setdefault(int(found.groups[row]), []).append(row)
    ids, labels = found.ids.tolist(), [found.labels(label) for label in LABELS]
    return [
        DuplicateGroup(
            ids[group],
            tuple(ids[row] for row in rows),
            *(tuple(sorted({name for row in rows if (name := names[row]) is not None})) for names in labels),
        )
        for group, rows in members.items()
    ]


LEFT_OUT: Mapping[str, Callable[[Duplicates], Flags]] = {
    "copies": lambda found: ~first_of_each(found.groups),
    "leaks": lambda found: found.leaked,
    "conflicts": lambda found: found.conflicting,
}
"""What can be left out: all but the first image of each group, groups on several sides, groups of two categories."""


def left_out(found: Duplicates, which: str) -> Ids:
    """Return the ids of the images to leave out, rising: `copies`, `leaks` or `conflicts`, see `LEFT_OUT`.

    Raises:
        OptionError: an unknown choice.
    """
    if which not in LEFT_OUT:
        raise OptionError(f"cannot leave out {which!r}", f"use one of: {', '.join(LEFT_OUT)}")
    return np.asarray(found.ids[LEFT_OUT[which](found)], dtype=np.int64)


def condition_without(ids: Ids) -> str:
    """Return a condition on `images` in SQL that leaves out some ids, as `--where` takes it; `true` for none."""
    return f"image_id NOT IN ({', '.join(map(str, ids.tolist()))})" if len(ids) else "true"


READ = 240
"""Pixels that the longest side of an image is read at."""


def pairs_plot(found: Duplicates, pairs: Sequence[DuplicatePair], title: str) -> Figure:
    """Draw some pairs of images; an image that is gone is a grey square.

    Raises:
        UnreadableImage: no image can be read, or there are no pairs.
    """
    if not pairs:
        raise UnreadableImage("there are no pairs to draw", "lower --threshold")
    paths = [path for pair in pairs for path in (pair.path_a, pair.path_b)]
    read = [image or Image.new("RGB", (64, 64), "#dddddd") for image in read_small(paths, READ)]
    labels = [
        PairLabels(
            pair.cosine,
            pair.kind == "exact",
            _labels(pair.path_a, pair.category_a, pair.condition_a, pair.split_a),
            _labels(pair.path_b, pair.category_b, pair.condition_b, pair.split_b),
        )
        for pair in pairs
    ]
    remark = f"cosine {found.options.threshold:g} or more in the {found.options.space} space of {found.encoder.name}"
    return pair_sheet(labels, list(zip(read[::2], read[1::2], strict=True)), title, remark)


def _labels(path: str, category: str | None, *places: str | None) -> ImageLabels:
    return ImageLabels(path, category, ", ".join(place for place in places if place is not None) or None)
