"""What tried prompts reach: accuracy by condition and class, what is taken for what, and the same against a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shotdex.analysis.compare import Comparison
from shotdex.analysis.document.words import comparison_sentence
from shotdex.analysis.live import LiveClassifier, LiveOutcomes
from shotdex.analysis.metrics.metric import Flags
from shotdex.analysis.stats.paired import mcnemar_exact, paired
from shotdex.analysis.stats.proportions import wilson
from shotdex.store.errors import OptionError
from shotdex.store.types import Estimate, Ids, PromptSet, Vectors

from .outcomes import Confusion, confusion_of, spread
from .snapshot import RunOutcomes, Snapshot


@dataclass(frozen=True, slots=True)
class LiveGroup:
    """The accuracy@1 of the images with one value of a label."""

    name: str
    accuracy: Estimate


@dataclass(frozen=True, slots=True, eq=False)
class LiveAgainst:
    """A saved run on the images that both judged: its accuracy, and theirs compared.

    `difference` is that of the tried prompts minus the run's; `gained` images are right only with the tried prompts,
    `lost` ones only in the run. `p_value` is that of McNemar's exact test; `adjusted` by Holm's method over all sets
    that were confirmed, None while exploring.
    """

    run: str
    accuracy: Estimate
    live: Estimate
    groups: tuple[LiveGroup, ...]
    difference: Estimate
    gained: int
    lost: int
    p_value: float
    adjusted: float | None
    sentence: str
    gained_ids: Ids
    lost_ids: Ids


@dataclass(frozen=True, slots=True)
class LiveWithout:
    """What becomes of the accuracy without one prompt: images that are then right, and those that are then wrong."""

    category: str
    prompt: str
    accuracy: Estimate
    gained: int
    lost: int
    p_value: float


@dataclass(frozen=True, slots=True, eq=False)
class LiveAnswer:
    """What tried prompts reach on one half of the labelled images, or on all.

    `groups` are the conditions, `categories` the classes. `gap` is by how much the predicted class of a wrong image is
    nearer than the true one. `looks` is how many prompt sets were looked at, `outcomes` those of all images, and `ids`
    (N,) the images that the numbers are of.
    """

    half: str
    accuracy: Estimate
    groups: tuple[LiveGroup, ...]
    categories: tuple[LiveGroup, ...]
    confusion: Confusion
    gap: Mapping[str, Any]
    looks: int
    against: LiveAgainst | None
    without: tuple[LiveWithout, ...]
    outcomes: LiveOutcomes
    ids: Ids

    def cell(self, truth: str, predicted: str) -> Ids:
        """Return which of these images are of one class and are taken for another, or the same, by rising id."""
        found, classes = self.outcomes, self.outcomes.classes
        if truth not in classes or predicted not in classes:
            return self.ids[:0]
        within = (found.truth == classes.index(truth)) & (found.predicted == classes.index(predicted))
        return np.intersect1d(found.ids[within], self.ids, assume_unique=True)


def compared_with(snapshot: Snapshot, run: RunOutcomes, found: LiveOutcomes, kept: Flags) -> LiveAgainst:
    """Return how tried prompts compare with a saved run on the images (N,) that are kept and that both judged."""

    shared = np.intersect1d(found.ids[kept], run.ids[run.known], assume_unique=True)
    mine, theirs = np.searchsorted(found.ids, shared), np.searchsorted(run.ids, shared)
    old, new = run.correct[theirs], found.correct[mine]
    result = paired(old, new, found.truth[mine], resamples=1000)
    shares = _share(old), _share(new)
    same = set(run.classes) == set(found.classes)
    row = Comparison(
        run.record.name, "these prompts", "all", *shares, result.difference, result.only_a, result.only_b,
        "McNemar, exact", result.p_value, result.p_value, len(shared), same,
    )  # fmt: skip
    return LiveAgainst(
        run.record.name,
        *shares,
        _groups(snapshot, shared, old, "condition"),
        result.difference,
        result.only_b,
        result.only_a,
        result.p_value,
        None,
        comparison_sentence(row) if len(shared) else "",
        shared[new & ~old],
        shared[old & ~new],
    )


def live_answer(
    snapshot: Snapshot,
    half: str,
    found: LiveOutcomes,
    kept: Flags,
    looks: int,
    compared: LiveAgainst | None,
    left_out: Sequence[LiveWithout],
) -> LiveAnswer:
    """Return what outcomes say of the images (N,) that are kept."""

    rows = np.flatnonzero(kept)
    correct = found.correct[rows]
    by_class = tuple(
        LiveGroup(name, _share(correct[found.truth[rows] == number]))
        for number, name in enumerate(found.classes)
        if (found.truth[rows] == number).any()
    )
    return LiveAnswer(
        half,
        _share(correct),
        _groups(snapshot, found.ids[rows], correct, "condition"),
        by_class,
        confusion_of(found.classes, found.truth[rows], found.predicted[rows], found.gap[rows]),
        spread(found.gap[rows][~correct]),
        looks,
        compared,
        tuple(left_out),
        found,
        found.ids[rows],
    )


def _share(correct: Flags) -> Estimate:

    return wilson(int(correct.sum()), len(correct))


def _groups(snapshot: Snapshot, ids: Ids, correct: Flags, label: str) -> tuple[LiveGroup, ...]:
    codes, names = snapshot.images.labels[label]
    own = codes[snapshot.images.places(ids)]
    return tuple(
        LiveGroup(name, _share(correct[own == code])) for code, name in enumerate(names) if (own == code).any()
    )


def without_prompts(
    live: LiveClassifier,
    prompts: PromptSet,
    texts: Mapping[str, Vectors],
    category: str,
    found: LiveOutcomes,
    kept: Flags,
) -> list[LiveWithout]:
    """Return what becomes of the kept images (N,) as each prompt of a class is left out.

    Raises:
        OptionError: there is no such class.
    """

    if category not in prompts.classes:
        raise OptionError(f"there is no class {category!r}", f"the classes: {', '.join(list(prompts.classes)[:20])}")
    rows, before = [], found.correct[kept]
    for prompt, other in live.without_each(prompts, texts, category).items():
        after = other.correct[kept]
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        rows.append(LiveWithout(category, prompt, _share(after), gained, lost, mcnemar_exact(lost, gained)))
    return rows
