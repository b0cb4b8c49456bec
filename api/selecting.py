"""What is special about a selection of images: how accurate a run is on it, and which labels it holds more often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shotdex.analysis.stats.proportions import Verdict, describe, difference_interval, verdict, wilson
from shotdex.store.types import Estimate, Ids

from .snapshot import LABELS, Snapshot

MOST_VALUES = 30
"""Values of labels that are listed, those first whose share differs most."""


@dataclass(frozen=True, slots=True)
class LabelShare:
    """How often a value of a label is inside a selection and outside, as images and as shares; None: no such label."""

    label: str
    value: str | None
    inside: int
    outside: int
    share_inside: float
    share_outside: float
    difference: Estimate


@dataclass(frozen=True, slots=True)
class SelectionVerdict:
    """A run on selected images against all others: `difference` is inside minus outside, with Newcombe's interval.

    The estimates are None without a run. `images` of the selection are in the store.
    """

    images: int
    inside: Estimate | None
    outside: Estimate | None
    difference: Estimate | None
    verdict: Verdict | None
    sentence: str
    labels: tuple[LabelShare, ...]


def judge_selection(snapshot: Snapshot, ids: Ids, run: str | None = None) -> SelectionVerdict:
    """Return what is special about some images of a snapshot.

    Args:
        snapshot: the store.
        ids: image ids; those that are not present are ignored.
        run: a run by name or number, whose accuracy inside is compared with that outside.

    Raises:
        OptionError: there is no such run.

    >>> judge_selection(store.snapshot(), np.arange(1, 41), "photo").images
    40
    """
    inside = np.isin(snapshot.images.ids, ids)
    labels = [share for name in LABELS for share in _shares(snapshot, name, inside)]
    labels.sort(key=lambda one: -abs(one.difference.value) if inside.any() else 0)
    if run is None:
        return SelectionVerdict(int(inside.sum()), None, None, None, None, "", tuple(labels[:MOST_VALUES]))
    judged = snapshot.run(run)
    chosen = np.isin(judged.ids, ids)
    within, without = (
        wilson(int((judged.correct & part).sum()), int((judged.known & part).sum())) for part in (chosen, ~chosen)
    )
    difference = difference_interval(without, within)
    found = verdict(difference)
    compared = f"{describe(within)} against {describe(without)}"
    sentence = f"Inside the selection “{judged.record.name}” is {_words(found)}: {compared}."
    if not within.n or not without.n:
        sentence = "No image with a known category is inside." if not within.n else "No such image is outside."
    return SelectionVerdict(
        int(inside.sum()), within, without, difference, found, sentence, tuple(labels[:MOST_VALUES])
    )


def _words(found: Verdict) -> str:
    if found is Verdict.UNCLEAR:
        return "not distinguishable from outside"
    return "more often right than outside" if found is Verdict.BETTER else "more often wrong than outside"


def _shares(snapshot: Snapshot, label: str, inside: np.typing.NDArray[np.bool_]) -> list[LabelShare]:
    codes, names = snapshot.images.labels[label]
    size = len(names) + 1
    counts = [np.bincount(codes[part] % size, minlength=size).tolist() for part in (inside, ~inside)]
    totals = int(inside.sum()), int((~inside).sum())
    found = []
    for code, value in enumerate([*names, None]):
        own, other = counts[0][code], counts[1][code]
        if own and names:
            shares = own / max(1, totals[0]), other / max(1, totals[1])
            difference = difference_interval(wilson(other, totals[1]), wilson(own, totals[0]))
            found.append(LabelShare(label, value, own, other, *shares, difference))
    return found
