"""Trials, one row a decision, in the format of the model-vs-human toolbox (Geirhos et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from shotdex.analysis.inference.wilson import wilson
from shotdex.store.baselines import OVERALL
from shotdex.store.words import Estimate

from .csv_file import CsvFile, Row
from .table import condition_of

NEEDED = ("subj", "object_response", "category", "imagename")
COLUMNS = (*NEEDED, "condition")
METHOD = "wilson 95 % over trials; those of one person are not independent"

MISSING = frozenset({"", "na", "n/a", "nan"})
"""Responses, without case, that stand for no answer."""

Trial = dict[str, str | bool | None]


@dataclass(frozen=True, slots=True)
class TrialCounts:
    """How many trials there are, by how many subjects, and how many were left unanswered and so count as wrong."""

    trials: int
    subjects: int
    missing: int


def read_trials(files: Sequence[CsvFile]) -> pa.Table:
    """Return the trials of some files, one after the other, with the columns of `store.baselines.TRIAL_COLUMNS`.

    A trial is correct where response and category are the same, whatever their case. A missing response ("na", "nan",
    "n/a" or nothing) is null, and wrong. An empty condition, or `all`, is null.

    Raises:
        SettingsError: a row without a subject, a category or an image; with its line.
    """
    trials = [_trial(file, row) for file in files for row in file.rows]
    texts = {
        name: pa.array([trial[name] for trial in trials], pa.string())
        for name in ("subject", "category", "condition", "response", "imagename")
    }
    return pa.table(texts | {"correct": pa.array([trial["correct"] for trial in trials], pa.bool_())})


def _trial(file: CsvFile, row: Row) -> Trial:
    for name in ("subj", "category", "imagename"):
        if not row.cells[name]:
            raise file.error(row.line, f"there is no {name}", "every trial needs a subj, a category and an imagename")
    category, response = row.cells["category"], row.cells["object_response"]
    correct = response.casefold() == category.casefold()
    return {
        "subject": row.cells["subj"],
        "category": category,
        "condition": condition_of(row),
        "response": None if response.casefold() in MISSING and not correct else response,
        "imagename": row.cells["imagename"],
        "correct": correct,
    }


def trial_accuracies(trials: pa.Table) -> dict[str, Estimate]:
    """Return the share of correct trials by condition, in the order of the first of each, and last over all.

    With Wilson intervals over trials. Trials without a condition count only in the last, `all`.
    """
    tallies: dict[str, list[int]] = {}
    conditions, correct = trials.column("condition").to_pylist(), trials.column("correct").to_pylist()
    for condition, right in zip(conditions, correct, strict=True):
        if condition is not None:
            tally = tallies.setdefault(condition, [0, 0])
            tally[0] += right
            tally[1] += 1
    tallies[OVERALL] = [sum(correct), len(correct)]
    return {name: _shared(right, n) for name, (right, n) in tallies.items()}


def _shared(right: int, n: int) -> Estimate:
    share = wilson(right, n)
    return Estimate(share.value, share.low, share.high, n, METHOD)


def count_trials(trials: pa.Table) -> TrialCounts:
    """Return how many trials, subjects and missing responses there are."""
    subjects = set(trials.column("subject").to_pylist())
    return TrialCounts(len(trials), len(subjects), trials.column("response").null_count)
