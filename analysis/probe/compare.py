"""Zero-shot compared with few-shot, k-NN, linear probes and results from elsewhere, on one test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shotdex.analysis.figures.comparison import ComparisonLine, comparison_figure
from shotdex.analysis.figures.drawing import About, check_order, now, ordered, signed
from shotdex.store.connection import Connection
from shotdex.store.progress import NoProgress, Progress
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Space

from .few_shot import FewShotOptions, FewShotResult, few_shot_probe, needed
from .gather import Material, ProbeCoverage, Split, gather
from .linear import LogisticResult, logistic_probe
from .neighbours import NeighboursResult, neighbours_probe
from .problem import ProbeOptions
from .references import ZeroShot, outside_result, zero_shot_runs
from .rows import (
    LOGISTIC,
    NEIGHBOURS,
    ComparisonRow,
    adjusted,
    few_shot_remarks,
    few_shot_row,
    logistic_remarks,
    trained_row,
    without_copies_rows,
    zero_shot_remarks,
    zero_shot_rows,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Choices:
    """What was chosen on the training images: `k` neighbours, and C, the inverse of the L2 strength.

    With each come the validation accuracies that it was chosen by, NaN or none where there was nothing to choose on.
    `few_shot_c` holds the C of each draw by the number of images a class.
    """

    k: int
    k_accuracies: Mapping[int, float]
    c: float
    c_accuracies: Mapping[float, float]
    few_shot_c: Mapping[int, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class ProbeComparison:
    """Everything that a probe found. `copies` test images have a bit-identical copy among the training images."""

    options: ProbeOptions
    encoder: EncoderId
    classes: tuple[str, ...]
    coverage: ProbeCoverage
    split: Split
    copies: int
    rows: tuple[ComparisonRow, ...]
    choices: Choices
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Trained:
    """What training gave."""

    few: tuple[FewShotResult, ...]
    near: NeighboursResult
    linear: LogisticResult


def probe(store: Store, options: ProbeOptions, progress: Progress | None = None) -> ProbeComparison:
    """Compare zero-shot runs with k-NN and linear probes trained on the stored vectors, on the same test images.

    Nothing is encoded and nothing is written. All that is chosen is chosen on training images.

    Raises:
        OptionError, EmptyStore, EvaluationError, EncoderMismatch, BadSql: see `gather`, `zero_shot_runs` and
        `outside_result`.
    """
    material = gather(store, options)
    with store.reading() as con:
        zero = zero_shot_runs(con, options.runs, material)
        outside = [_outside(con, text) for text in options.outside]
    smallest = int(np.bincount(material.problem.train_codes).min())
    trained = _train(material, options, [shots for shots in options.shots if needed(shots) <= smallest], progress)
    notes = [
        *material.notes,
        *zero_shot_remarks(zero, material, options.space),
        *few_shot_remarks(options, trained.few, smallest),
        *logistic_remarks(trained.linear, material.coverage.train),
    ]
    return ProbeComparison(
        options=options,
        encoder=material.encoder,
        classes=material.classes,
        coverage=material.coverage,
        split=material.split,
        copies=int(material.copies.sum()),
        rows=(*adjusted(_rows(material, zero, trained)), *outside),
        choices=_choices(trained),
        notes=tuple(notes),
    )


def _outside(con: Connection, text: str) -> ComparisonRow:
    name, source, estimate = outside_result(con, text)
    return ComparisonRow(name, "outside", source, estimate)


def _train(material: Material, options: ProbeOptions, possible: Sequence[int], progress: Progress | None) -> _Trained:
    shown = progress or NoProgress()
    shown.start(len(possible) * options.draws + 2)
    settings = FewShotOptions(options.draws, options.seed)
    few = tuple(few_shot_probe(material.problem, shots, settings, lambda: shown.advance(1)) for shots in possible)
    near = neighbours_probe(material.problem, options.seed)
    shown.advance(1)
    linear = logistic_probe(material.problem, options.seed)
    shown.advance(1)
    return _Trained(few, near, linear)


def _rows(material: Material, zero: Sequence[ZeroShot], trained: _Trained) -> list[ComparisonRow]:
    truth, near, linear = material.problem.test_codes, trained.near, trained.linear
    chosen = f", chosen on {near.validation:,} of the training images" if near.validation else ""
    correct = linear.predicted == truth
    return [
        *zero_shot_rows(zero, material.encoder_id),
        *map(few_shot_row, trained.few),
        trained_row(NEIGHBOURS, f"k={near.k}{chosen}", near.predicted == truth, zero),
        trained_row(LOGISTIC, f"L2={1 / linear.sweep.c:.3g} (C={linear.sweep.c:.3g}){chosen}", correct, zero),
        *without_copies_rows(LOGISTIC, correct, material.copies),
    ]


def _choices(trained: _Trained) -> Choices:
    near, sweep = trained.near, trained.linear.sweep
    few = {result.shots: result.cs for result in trained.few}
    return Choices(near.k, near.accuracies, sweep.c, sweep.accuracies, few)


def comparison_plot(comparison: ProbeComparison) -> Figure:
    """Draw the accuracy of each line, and of few-shot lines against the number of images a class."""
    names = [row.name for row in comparison.rows]
    check_order(names)
    first = {name: place for place, name in enumerate(ordered(dict.fromkeys(names)))}
    rows = [
        ComparisonLine(row.name, row.estimate, row.kind, row.shots)
        for row in sorted(comparison.rows, key=lambda row: first[row.name] if now().style.order else 0)
    ]
    space = "" if comparison.options.space is Space.JOINT else f", {comparison.options.space} space"
    model = str(comparison.encoder)
    about = About((f"model {model.split(' (')[0]}", str(comparison.coverage)), (("Model", model),))
    with signed(about):
        return comparison_figure(rows, f"Zero-shot and trained methods on {comparison.coverage.train:,} images{space}")
