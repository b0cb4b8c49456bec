"""What was found, counted: how many groups, images and pairs are copies, near, of two labels, on two sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .find import Duplicates
from .groups import Flags, sizes


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
