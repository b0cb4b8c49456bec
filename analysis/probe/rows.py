"""The rows of the comparison: each method's accuracy, how it compares with zero-shot, and remarks on the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np

from shotdex.analysis.figures.comparison import Kind
from shotdex.analysis.metrics.metric import Flags
from shotdex.analysis.metrics.shares import accuracy
from shotdex.analysis.stats.paired import holm, mcnemar_exact
from shotdex.analysis.stats.proportions import describe, wilson
from shotdex.store.types import Estimate, Space

from .few_shot import FewShotResult, needed
from .gather import Material
from .linear import LIMITS, LogisticResult
from .problem import ProbeOptions
from .references import ZeroShot

NEIGHBOURS, LOGISTIC = "nearest neighbours", "logistic regression"


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One line of the comparison.

    `p_value` is that of the exact McNemar test against the first zero-shot line on the test images that both answered,
    `adjusted` that after Holm's correction over all lines; NaN where no test was made: few-shot lines are several
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
    return ComparisonRow(LOGISTIC, "few-shot", f"{result.shots:,} per class, {draws}", result.estimate, result.shots)


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


def few_shot_remarks(options: ProbeOptions, made: Sequence[FewShotResult], smallest: int) -> list[str]:
    """Say which numbers of images a class were left out, and whether fits did not converge."""
    remarks = []
    left_out = [shots for shots in options.shots if needed(shots) > smallest]
    if left_out:
        remarks.append(
            f"no row for {_listed(left_out)} images per class: that takes {_listed(map(needed, left_out))}, with "
            f"those that choose the L2 strength, and the smallest class has {smallest:,}"
        )
    unconverged = sum(result.unconverged for result in made)
    if unconverged:
        remarks.append(f"{unconverged} of the few-shot fits did not converge")
    return remarks


def _listed(numbers: Sequence[int] | map[int]) -> str:
    return ", ".join(f"{number:,}" for number in numbers)


def logistic_remarks(result: LogisticResult, train: int) -> list[str]:
    """Say what about the choice and the fit of the logistic regression may not be the best."""
    chosen, remarks = result.sweep, []
    if not chosen.validation:
        remarks.append(
            f"no category has two training images, so nothing could be tuned: k = 1 and C={chosen.c:g} are used"
        )
    elif chosen.fitted < train - chosen.validation:
        remarks.append(
            f"the L2 strength was chosen by fitting {chosen.fitted:,} training images and evaluating "
            f"{chosen.validation:,} others; the final fit uses all {train:,}"
        )
    if chosen.at_limit:
        remarks.append(f"the best C lies at an end of the range tried, {LIMITS[0]:g} to {LIMITS[1]:g}")
    if not result.model.converged:
        remarks.append(f"the logistic regression did not converge in {result.model.steps:,} steps")
    return remarks


def zero_shot_remarks(found: Sequence[ZeroShot], material: Material, space: Space) -> list[str]:
    """Say what the runs did not score, and how to make one if there is none."""
    if not found:
        return ["no run of this encoder scored the test images; make one with: shotdex classify"]
    remarks = []
    for one in found:
        missing = int((~one.scored).sum())
        if missing:
            worst = wilson(int(one.correct.sum()), len(one.correct))
            remarks.append(
                f"the run {one.run.name} did not score {missing:,} of the test images; its accuracy is over the "
                f"others, and with those as errors it would be {describe(worst)}"
            )
    if space is Space.VISION:
        remarks.append("zero-shot compares images with text, so it always uses the joint space")
    if any(one.run.encoder_id != material.encoder_id for one in found):
        remarks.append("not all runs use the encoder of the trained methods")
    return remarks
