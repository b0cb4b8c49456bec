"""Which pairs to show and as what images, and which images to leave out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from shotdex.analysis.figures.pairs import ImageLabels, PairLabels, pair_sheet
from shotdex.analysis.thumbnails import read_small
from shotdex.store.errors import OptionError, UnreadableImage
from shotdex.store.types import Ids

from .find import Duplicates
from .pairs import Flags, Rows, first_of_each
from .summary import differing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        OptionError: no such choice.
    """
    links = found.links
    if which not in SHOWN:
        raise OptionError(f"cannot show {which!r}", f"use one of: {', '.join(SHOWN)}")
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
        OptionError: no such choice.
    """
    if which not in LEFT_OUT:
        raise OptionError(f"cannot leave out {which!r}", f"use one of: {', '.join(LEFT_OUT)}")
    return np.asarray(found.ids[LEFT_OUT[which](found)], dtype=np.int64)


def condition_without(ids: Ids) -> str:
    """Return a condition on `images` in SQL that leaves out some ids, as `--where` takes it; `true` for none."""
    return f"image_id NOT IN ({', '.join(map(str, ids.tolist()))})" if len(ids) else "true"


READ = 240
"""Pixels that the longest side of an image is read at."""


def pairs_plot(found: Duplicates, links: Rows, title: str) -> Figure:
    """Draw some links, given by their numbers, as pairs of images; an image that is gone is a grey square.

    Raises:
        UnreadableImage: no image can be read, or there is no pair.
    """
    if len(links) == 0:
        raise UnreadableImage("there is no pair to draw", "lower --threshold, or ask for others with --show")
    ends = [(int(found.links.first[link]), int(found.links.second[link])) for link in links]
    images = {row: found.images.slice(row, 1).to_pylist()[0] for pair in ends for row in pair}
    paths = [images[row]["path"] for pair in ends for row in pair]
    read = [image or Image.new("RGB", (64, 64), "#dddddd") for image in read_small(paths, READ)]
    labels = {row: _labels(image) for row, image in images.items()}
    pairs = [
        PairLabels(float(found.links.cosine[link]), bool(found.links.exact[link]), labels[first], labels[second])
        for link, (first, second) in zip(links, ends, strict=True)
    ]
    remark = f"cosine {found.wanted.threshold:g} or more in the {found.wanted.space} space of {found.encoder.name}"
    return pair_sheet(pairs, list(zip(read[::2], read[1::2], strict=True)), title, remark)


def _labels(image: dict[str, str | None]) -> ImageLabels:
    places = [place for place in (image["condition"], image["split"]) if place is not None]
    return ImageLabels(str(image["path"]), image["category"], ", ".join(places) or None)
