"""The two forms of a baseline file: a table of reported accuracies, and trials in the model-vs-human format."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan

import pyarrow as pa

from shotdex.analysis.stats.proportions import wilson
from shotdex.store.baselines import OVERALL, WITHOUT_INTERVAL
from shotdex.store.errors import OptionError
from shotdex.store.types import Estimate

from .csv_file import CsvFile, Row

COLUMNS = ("condition", "accuracy", "n", "low", "high", "source", "note")
AS_REPORTED = "as reported, taken as 95 %"
FROM_COUNT = "wilson 95 %, from round(accuracy x n) right answers"


@dataclass(frozen=True, slots=True)
class ReportedTable:
    """What a table says: accuracies by condition in the file's order, `all` over all, and its source and note."""

    accuracies: Mapping[str, Estimate]
    source: str
    note: str


def read_table(file: CsvFile) -> ReportedTable:
    """Read the rows of a table with the columns condition, accuracy, and maybe n, low, high, source, note.

    An empty condition, or `all`, is the overall value. With low and high these are the interval; with n alone it is
    Wilson's, from round(accuracy x n) right answers; with none of them there is no interval. A source or note on one
    row holds for the whole file; where rows differ, each is named by its conditions.

    Raises:
        OptionError: a value that cannot be, or a condition twice; with its line and what to do.
    """
    lines: dict[str, int] = {}
    accuracies: dict[str, Estimate] = {}
    for row in file.rows:
        condition = condition_of(row) or OVERALL
        if condition in lines:
            raise file.error(
                row.line,
                f"the condition {condition!r} was already on line {lines[condition]}",
                "keep one row for each condition; an empty condition is the overall value, `all`",
            )
        lines[condition] = row.line
        accuracies[condition] = _estimate(file, row)
    return ReportedTable(accuracies, _said(file, "source"), _said(file, "note"))


def condition_of(row: Row) -> str | None:
    """Return a row's condition, or None where it is empty or `all`."""
    condition = row.cells.get("condition", "")
    return condition if condition and condition.casefold() != OVERALL else None


def _estimate(file: CsvFile, row: Row) -> Estimate:
    accuracy = _share(file, row, "accuracy")
    if accuracy is None:
        raise file.error(row.line, "there is no accuracy", "write it as a share between 0 and 1, such as 0.845")
    n = _count(file, row)
    low, high = _share(file, row, "low"), _share(file, row, "high")
    if (low is None) != (high is None):
        raise file.error(row.line, "one of low and high is missing", "fill in both bounds of the interval, or neither")
    if low is not None and high is not None:
        if not low <= accuracy <= high:
            raise file.error(
                row.line,
                f"the accuracy {accuracy:g} is not between low {low:g} and high {high:g}",
                "write the bounds themselves, not their distance from the accuracy",
            )
        return Estimate(accuracy, low, high, n or 0, AS_REPORTED)
    if n is None:
        return Estimate(accuracy, nan, nan, 0, WITHOUT_INTERVAL)
    interval = wilson(round(accuracy * n), n)
    return Estimate(accuracy, interval.low, interval.high, n, FROM_COUNT)


def _share(file: CsvFile, row: Row, column: str) -> float | None:
    cell = row.cells.get(column, "")
    if not cell:
        return None
    value = _number(cell, file.decimal_comma)
    if value is None:
        percent = _number(cell.removesuffix("%"), file.decimal_comma) if cell.endswith("%") else None
        raise file.error(
            row.line,
            f"the {column} {cell!r} is not a number",
            "write it as a share between 0 and 1" + (f": {percent / 100:g}" if percent is not None else ""),
        )
    if not 0 <= value <= 1:
        raise _outside(file, row.line, column, value)
    return value


def _number(cell: str, decimal_comma: bool) -> float | None:
    try:
        value = float(cell.replace(",", ".") if decimal_comma else cell)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _outside(file: CsvFile, line: int, column: str, value: float) -> OptionError:
    hint = "an accuracy is a share between 0 and 1"
    if 1 < value <= 100:
        hint = f"it looks like a percentage: divide by 100, {value / 100:g}"
    return file.error(line, f"the {column} {value:g} is not between 0 and 1", hint)


def _count(file: CsvFile, row: Row) -> int | None:
    cell = row.cells.get("n", "")
    if not cell:
        return None
    # Fifteen digits are what a double, and so a spreadsheet, keeps.
    if not re.fullmatch(r"[0-9]{1,15}", cell) or int(cell) == 0:
        raise file.error(
            row.line,
            f"n is {cell!r}",
            "n is how many images or trials the accuracy is over: a whole number from 1, or empty if not known",
        )
    return int(cell)


def _said(file: CsvFile, column: str) -> str:
    said: dict[str, list[str]] = {}
    for row in file.rows:
        if text := row.cells.get(column, ""):
            said.setdefault(text, []).append(condition_of(row) or OVERALL)
    if len(said) <= 1:
        return "".join(said)
    return "; ".join(f"{', '.join(conditions)}: {text}" for text, conditions in said.items())


NEEDED = ("subj", "object_response", "category", "imagename")
TRIAL_COLUMNS = (*NEEDED, "condition")
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
        OptionError: a row without a subject, a category or an image; with its line.
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
