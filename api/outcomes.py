"""What runs made of images: which images are right, wrong, or taken for what, and where two runs part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shotdex.store.errors import EvaluationError, OptionError
from shotdex.store.types import Ids, Vectors

from .snapshot import RunOutcomes, Snapshot

OUTCOMES = ("right", "wrong")
FLIPS = ("gained", "lost", "changed", "left", "came")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which images: each condition that is set must hold.

    `category`, `condition` and `split` are alternatives, where None means without that label. With a `run`: `outcome`
    is right or wrong, `true` and `predicted` are classes. With `against`, another run, `flip` is gained for images that
    only `against` gets right, lost for those that only `run` gets right, changed for those that they take for different
    classes; or, of the cell `true`, `predicted`, left for those that only `run` has in it, and came for those that only
    `against` has in it. `where` is a SQL condition, and `ids` are image ids.
    """

    category: tuple[str | None, ...] = ()
    condition: tuple[str | None, ...] = ()
    split: tuple[str | None, ...] = ()
    run: str | None = None
    outcome: str | None = None
    true: str | None = None
    predicted: str | None = None
    against: str | None = None
    flip: str | None = None
    where: str | None = None
    ids: tuple[int, ...] | Ids | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """What images are taken for: `cells[t][p]` counts those of category `truths[t]` that go to class `classes[p]`.

    `truths` are the categories that have images, `totals` (T,) these. `gaps[t][p]` is the mean of how much nearer the
    predicted class is than the true one, as a cosine; None in an empty cell. `unlabelled` and `outside` count images
    without a category, and of one that is not a class. Of two runs `against` has the cells of the other one, `left` the
    images of each cell that are in another one there, and `came` those that are in another one here.
    """

    truths: tuple[str, ...]
    classes: tuple[str, ...]
    cells: list[list[int]]
    totals: list[int]
    gaps: list[list[float | None]]
    n: int
    unlabelled: int = 0
    outside: int = 0
    against: list[list[int]] | None = None
    left: list[list[int]] | None = None
    came: list[list[int]] | None = None


def confusion(run: RunOutcomes, against: RunOutcomes | None = None, ids: Ids | None = None) -> Confusion:
    """Return how many images of each category a run of a snapshot takes for what.

    Args:
        run: the run.
        against: another run; then only images whose category both know count, and its classes are among the columns.
        ids: only these images, rising.

    >>> confusion(store.snapshot().run("photo")).n
    320
    """
    within = np.ones(len(run.ids), bool) if ids is None else np.isin(run.ids, ids)
    unlabelled, outside = int((within & (run.truth == -1)).sum()), int((within & (run.truth == -2)).sum())
    rows = np.flatnonzero(within & run.known)
    names = tuple(dict.fromkeys([*run.classes, *(against.classes if against is not None else ())]))
    if against is not None:
        shared = np.intersect1d(run.ids[rows], against.ids[against.known], assume_unique=True)
        rows = np.searchsorted(run.ids, shared)
    truth, predicted = _numbers(run, names, rows)
    gaps = (run.cosine - run.true_cosine)[rows]
    found = replace(confusion_of(names, truth, predicted, gaps), unlabelled=unlabelled, outside=outside)
    if against is None:
        return found
    own, other = _numbers(against, names, np.searchsorted(against.ids, shared))
    if not np.array_equal(own, truth):
        note = "the two runs know different categories of the same images"
        raise EvaluationError(note, "classify again; shotdex rerun shows what changed")
    moved, present = predicted != other, np.unique(truth)
    return replace(
        found,
        against=_counted(truth, other, len(names))[present].tolist(),
        left=_counted(truth[moved], predicted[moved], len(names))[present].tolist(),
        came=_counted(truth[moved], other[moved], len(names))[present].tolist(),
    )


def confusion_of(names: tuple[str, ...], truth: Ids, predicted: Ids, gaps: Vectors) -> Confusion:
    """Return the confusion of images (N,) whose true and predicted classes are numbers among some names."""
    present = np.unique(truth)
    sums = np.bincount(truth * len(names) + predicted, gaps, len(names) ** 2).reshape(len(names), -1)[present]
    cells = _counted(truth, predicted, len(names))[present]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / cells
    return Confusion(
        tuple(names[code] for code in present.tolist()),
        names,
        cells.tolist(),
        cells.sum(axis=1).tolist(),
        [[None if np.isnan(mean) else mean for mean in row] for row in means.tolist()],
        len(truth),
    )


def _numbers(run: RunOutcomes, names: tuple[str, ...], rows: Ids) -> tuple[Ids, Ids]:
    """Return the true and the predicted class of some rows as numbers among `names`."""
    place = np.array([names.index(name) for name in run.classes], np.int64)
    return place[run.truth[rows]], place[run.predicted[rows]]


def _counted(truth: Ids, predicted: Ids, count: int) -> Ids:
    return np.bincount(truth * count + predicted, minlength=count * count).reshape(count, count)


def cell(run: RunOutcomes, truth: str, predicted: str) -> dict[str, Any]:
    """Return why a run takes images of one category for another: which prompts are nearest, and by how much.

    Returns:
        `gap`, by how much the predicted class is nearer than the true one, as a cosine (n, least, median, most), and
        for each prompt of the predicted class how many of the images are nearest to it, most first.

    Raises:
        OptionError: the run has no such class.

    >>> cell(store.snapshot().run("photo"), "duck", "duck")["gap"]["median"]
    0.0
    """
    kept = run.truth == class_number(run, truth)
    rows = np.flatnonzero(kept & (run.predicted == class_number(run, predicted)))
    gaps = run.cosine - run.true_cosine
    parts = [(code, rows[run.prompt[rows] == code]) for code in np.unique(run.prompt[rows]).tolist()]
    parts.sort(key=lambda part: -len(part[1]))
    return {
        "truth": truth,
        "predicted": predicted,
        "images": len(rows),
        "gap": spread(gaps[rows]),
        "prompts": [{"prompt": run.texts[code], "images": len(own), "gap": spread(gaps[own])} for code, own in parts],
        "truth_prompts": list(run.prompts.classes[truth]),
        "predicted_prompts": list(run.prompts.classes[predicted]),
    }


def spread(gaps: Vectors) -> dict[str, Any]:
    """Return how many gaps there are, and the least, the median and the most of them."""
    known = gaps[np.isfinite(gaps)].astype(np.float64)
    if not len(known):
        return {"n": 0, "least": None, "median": None, "most": None}
    return {"n": len(known), "least": float(known.min()), "median": float(np.median(known)), "most": float(known.max())}


def judged(snapshot: Snapshot, selection: Selection) -> Ids | None:
    """Return the ids that what is said about a run keeps; None where nothing is said."""
    if selection.run is None:
        if any((selection.outcome, selection.true, selection.predicted, selection.flip, selection.against)):
            raise OptionError("outcome, true, predicted and flip need a run", "name one: run=NAME")
        return None
    run = snapshot.run(selection.run)
    kept = np.ones(len(run.ids), bool)
    if selection.outcome is not None:
        if selection.outcome not in OUTCOMES:
            raise OptionError(f"there is no outcome {selection.outcome!r}", "choose right or wrong")
        kept &= run.known & (run.correct if selection.outcome == "right" else ~run.correct)
    found = run.ids[kept]
    if selection.flip is None:
        return np.intersect1d(found, _in_cell(run, selection), assume_unique=True)
    if selection.against is None or selection.flip not in FLIPS:
        raise OptionError(f"flip is one of {', '.join(FLIPS)}, against another run", "name it: against=NAME")
    return np.intersect1d(found, _flipped(run, snapshot.run(selection.against), selection), assume_unique=True)


def _in_cell(run: RunOutcomes, selection: Selection) -> Ids:
    kept = np.ones(len(run.ids), bool)
    for codes, name in ((run.truth, selection.true), (run.predicted, selection.predicted)):
        if name is not None:
            kept &= codes == class_number(run, name)
    return run.ids[kept]


def class_number(run: RunOutcomes, name: str) -> int:
    """Return the number of a class of a run.

    Raises:
        OptionError: the run has no such class.
    """
    if name not in run.classes:
        raise OptionError(
            f"the run {run.record.name!r} has no class {name!r}", f"its classes: {', '.join(run.classes[:20])}"
        )
    return run.classes.index(name)


def _flipped(run: RunOutcomes, other: RunOutcomes, selection: Selection) -> Ids:
    """Return the ids of the images that both runs judged and that one of them judges in another way."""
    both = np.intersect1d(run.ids[run.known], other.ids[other.known], assume_unique=True)
    if selection.flip in ("left", "came"):
        mine, theirs = (np.isin(both, _in_cell(one, selection)) for one in (run, other))
        return both[mine & ~theirs if selection.flip == "left" else theirs & ~mine]
    places = [np.searchsorted(one.ids, both) for one in (run, other)]
    if selection.flip == "changed":
        names = [np.array(one.classes)[one.predicted[at]] for one, at in zip((run, other), places, strict=True)]
        found = both[names[0] != names[1]]
    else:
        right, others = (one.correct[at] for one, at in zip((run, other), places, strict=True))
        found = both[others & ~right if selection.flip == "gained" else right & ~others]
    return np.intersect1d(found, _in_cell(run, selection), assume_unique=True)
