"""Comparing a source with the catalog: what is new, changed, unchanged, or gone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shotdex.store.addresses import SEPARATOR
from shotdex.store.images import KnownImage, Labels, NewPlace

from .layout import Layout
from .sources import Candidate


@dataclass(slots=True)
class Plan:
    """What an indexing has to do. `relabelled` keep their vectors; `vanished` are present rows whose file is gone."""

    work: list[Candidate] = field(default_factory=list)
    labels: dict[str, Labels] = field(default_factory=dict)
    unchanged: int = 0
    unlabelled: int = 0
    relabelled: dict[int, NewPlace] = field(default_factory=dict)
    vanished: dict[int, KnownImage] = field(default_factory=dict)


def make_plan(candidates: Sequence[Candidate], known: Mapping[str, KnownImage], layout: Layout, source: str) -> Plan:
    """Return what is to be done. A file whose size and time are as on record is unchanged and costs no read."""
    plan = Plan()
    for candidate in candidates:
        labels = with_fixed(candidate.labels, layout) if candidate.labels else layout.labels(candidate.relative)
        plan.labels[candidate.address] = labels
        plan.unlabelled += labels.category is None
        image = known.get(candidate.address)
        if image is None or not _as_recorded(image, candidate):
            plan.work.append(candidate)
            continue
        plan.unchanged += 1
        if image.labels != labels:
            plan.relabelled[image.image_id] = NewPlace(
                candidate.address, source, candidate.size_bytes, candidate.modified_ns, labels
            )
    plan.vanished = {
        image.image_id: image
        for path, image in known.items()
        if image.present and path not in plan.labels and _belongs(image, source)
    }
    return plan


def _belongs(image: KnownImage, source: str) -> bool:
    """Tell whether a walk over `source` would have met this picture, also where it was indexed by another folder."""
    return image.source == source or (image.path.startswith(source + os.sep) and SEPARATOR not in image.path)


def _as_recorded(image: KnownImage, candidate: Candidate) -> bool:
    same_file = (image.size_bytes, image.modified_ns) == (candidate.size_bytes, candidate.modified_ns)
    return image.present and image.encoded and same_file


def with_fixed(labels: Labels, layout: Layout) -> Labels:
    """Return labels that a source gave, with those that the user fixed for all in their place."""
    fixed = layout.fixed
    return Labels(fixed.category or labels.category, fixed.condition or labels.condition, fixed.split or labels.split)
