"""The lines of the ladder: each method's accuracy on the test images, and how it compares with zero-shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np

from shotdex.analysis.figures.comparison import Kind
from shotdex.analysis.metrics.metric import Flags
from shotdex.analysis.metrics.shares import accuracy
from shotdex.analysis.stats.paired import holm, mcnemar_exact
from shotdex.store.types import Estimate

from .few_shot import FewShotResult
from .references import ZeroShot

NEIGHBOURS, LOGISTIC = "nearest neighbours", "logistic regression"


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One line of the ladder.

    `p_value` is that of the exact McNemar test against the first zero-shot line on the test images that both answered,
    `adjusted` that after Holm's correction over the ladder; NaN where no test was made: few-shot lines are several
    classifiers each, outside results have no answers to compare. `shots` is of few-shot lines alone.
    """

    name: str
    kind: Kind
    details: str
    estimate: Estimate
    shots: int | None = None
    p_value: float = nan
    adjusted: float = nan


def zero_shot_rows(found: Sequence[ZeroShot], encoder_id: int) -> list[ComparisonRow]:
    """Return the line of each run, over those of the test images that it scored."""
    rows = []
    for one in found:
        details = [f"prompts {one.prompts!r}"]
        if not one.scored.all():
            details.append(f"scored {one.scored.sum():,} of {len(one.scored):,}")
        if one.run.encoder_id != encoder_id:
            details.append(f"encoder {one.run.encoder_id}")
        p_value = nan if one is found[0] else _against(one.correct, one.scored, found[0])
        estimate = accuracy(one.correct[one.scored])
        rows.append(ComparisonRow(one.run.name, "zero-shot", ", ".join(details), estimate, p_value=p_value))
    return rows


def few_shot_row(result: FewShotResult) -> ComparisonRow:
    """Return the line of one number of images a class."""
    low, high = min(result.accuracies), max(result.accuracies)
    draws = f"{len(result.accuracies)} draws from {low:.3f} to {high:.3f}" if len(result.accuracies) > 1 else "1 draw"
    return ComparisonRow(LOGISTIC, "few-shot", f"{result.shots:,} a class, {draws}", result.estimate, result.shots)


def trained_row(name: str, details: str, correct: Flags, found: Sequence[ZeroShot]) -> ComparisonRow:
    """Return the line of one classifier trained on all training images, with its answers `correct` (M,) bool."""
    everything = np.ones(len(correct), dtype=bool)
    p_value = _against(correct, everything, found[0]) if found else nan
    return ComparisonRow(name, "trained", details, accuracy(correct), p_value=p_value)


def without_copies_rows(name: str, correct: Flags, copies: Flags) -> list[ComparisonRow]:
    """Return the line of that classifier over the test images without a copy in training; none where all are."""
    if not copies.any():
        return []
    details = f"without {copies.sum():,} test images that have a copy in training"
    return [ComparisonRow(f"{name}, no copies", "trained", details, accuracy(correct[~copies]))]


def adjusted(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """Return the lines with p values adjusted for the number of tests."""
    values = holm([row.p_value for row in rows]).tolist()
    return [replace(row, adjusted=value) for row, value in zip(rows, values, strict=True)]


def _against(correct: Flags, answered: Flags, zero: ZeroShot) -> float:
    """Return the p value of the exact McNemar test on the images that both answered."""
    shared = answered & zero.scored
    if not shared.any():
        return nan
    mine, theirs = correct[shared], zero.correct[shared]
    return mcnemar_exact(int((theirs & ~mine).sum()), int((mine & ~theirs).sum()))
