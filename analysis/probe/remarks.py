"""What a reader of a ladder must know besides its numbers, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from shotdex.analysis.stats.proportions import describe, wilson
from shotdex.store.types import Space

from .few_shot import FewShotResult, needed
from .gather import Material
from .linear import LIMITS, LogisticResult
from .options import ProbeOptions
from .references import ZeroShot


def few_shot_remarks(wanted: ProbeOptions, made: Sequence[FewShotResult], smallest: int) -> list[str]:
    """Say which numbers of images a class were left out, and whether fits did not converge."""
    remarks = []
    left_out = [shots for shots in wanted.shots if needed(shots) > smallest]
    if left_out:
        remarks.append(
            f"no line for {_listed(left_out)} images a class: that takes {_listed(map(needed, left_out))} with those "
            f"to choose the L2 strength on, and the smallest class has {smallest:,}"
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
            "no category has two training images, so nothing could be chosen: one neighbour and "
            f"C={chosen.c:g} were taken"
        )
    elif chosen.fitted < train - chosen.validation:
        remarks.append(
            f"the L2 strength was chosen with {chosen.fitted:,} of the training images, evaluated on another "
            f"{chosen.validation:,}; the fit is to all {train:,}"
        )
    if chosen.at_limit:
        remarks.append(f"the best C lies at an end of what is tried, {LIMITS[0]:g} to {LIMITS[1]:g}")
    if not result.model.converged:
        remarks.append(f"the logistic regression did not converge in {result.model.steps:,} steps")
    return remarks


def zero_shot_remarks(found: Sequence[ZeroShot], material: Material, space: Space) -> list[str]:
    """Say what the runs did not score, and how to make one where there is none."""
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
        remarks.append("zero-shot compares images with text and so is always of the joint space")
    if any(one.run.encoder_id != material.encoder_id for one in found):
        remarks.append("not all runs are of the encoder that the trained lines rest on")
    return remarks
