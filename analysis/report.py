"""Everything about one run in numbers, each with its n and interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np

from shotdex.store.connection import Connection
from shotdex.store.errors import OptionError
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import Estimate, Run

from .coverage import Coverage, coverage
from .metrics import registry
from .metrics.calibration import BINS, expected_calibration_error
from .metrics.confusion import per_class
from .metrics.metric import MetricOptions, Outcomes
from .metrics.shares import top_k
from .results import group_rows, outcomes
from .stats.bootstrap import Bootstrap, Floats, Indices, bootstrap
from .stats.proportions import small_sample, wilson

MOST_GROUPS = 500
"""The most groups in a report: each is resampled by itself, and nobody reads more."""


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """Columns of `images` to report by, the bootstrap's resamples and seed (None: the run's), and calibration bins."""

    by: tuple[str, ...] = ()
    resamples: int = 1000
    seed: int | None = None
    bins: int = BINS


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: recall and precision with Wilson intervals, F1 with the bootstrap's. `n` of the recall is the number
    of its images, `n` of the precision the number of images predicted to be of it.
    """

    name: str
    recall: Estimate
    precision: Estimate
    f1: Estimate

    @property
    def remark(self) -> str:
        """What recall and precision rest on where that is little: few images of the class, or few predictions of it."""
        few = "never predicted" if not self.precision.n else small_sample(self.precision)
        return small_sample(self.recall) or few.replace("small n", "few predictions")


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group of images, or all of them: accuracy@1, and every metric of the registry by its name."""

    name: str
    accuracy: Estimate
    summary: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class Report:
    """A run in numbers. `top_k[k - 1]` is the share of images whose class is among their own k best."""

    run: Run
    coverage: Coverage
    overall: GroupRow
    top_k: tuple[Estimate, ...]
    classes: tuple[ClassRow, ...]
    by: tuple[str, ...]
    groups: tuple[GroupRow, ...]


def report(store: Store, name: str | None, options: ReportOptions) -> Report:
    """Return the report of a run, by default the newest.

    Raises:
        OptionError: no such run or column; MissingLabels: nothing was right or wrong.
    """
    with store.reading() as con:
        run = find_run(con, name)
        found = outcomes(con, run)
        parts = _parts(con, found, options.by)
    seed = run.seed if options.seed is None else options.seed
    whole, f1 = _whole(found, options, seed)
    groups = tuple(_row(part_name, found.only(rows), options, seed) for part_name, rows in parts)
    ranks = tuple(top_k(found.true_rank, len(found.classes)))
    return Report(run, coverage(run), whole, ranks, _class_rows(found, f1), options.by, groups)


def calibration_error(found: Outcomes, bins: int, seed: int, resamples: int = 1000) -> Estimate:
    """Return the expected calibration error of some outcomes with its stratified bootstrap interval."""
    correct = found.correct

    def statistic(indices: Indices) -> float:
        return expected_calibration_error(found.probability[indices], correct[indices], bins)

    return bootstrap(statistic, found.truth, resamples, seed).estimates()[0]


def _parts(con: Connection, found: Outcomes, by: Sequence[str]) -> list[tuple[str, Indices]]:
    if not by:
        return []
    grouping = group_rows(con, found.image_ids, by, found.categories)
    if len(grouping.names) > MOST_GROUPS:
        raise OptionError(
            f"by {', '.join(by)} there are {len(grouping.names):,} groups; a report has at most {MOST_GROUPS}",
            'choose coarser columns, or use SQL: shotdex sql "FROM outcomes"',
        )
    return [(name, np.flatnonzero(grouping.codes == code)) for code, name in enumerate(grouping.names)]


def _whole(found: Outcomes, options: ReportOptions, seed: int) -> tuple[GroupRow, list[Estimate]]:
    """Return the row of all images, and each class's F1: one bootstrap serves both."""
    count = len(found.classes)

    def statistic(indices: Indices) -> Floats:
        rows = found.only(indices)
        f1 = per_class(rows.truth, rows.predicted, count).f1
        return np.concatenate([_summary(rows, options), f1])

    drawn = bootstrap(statistic, found.truth, options.resamples, seed)
    support = np.bincount(found.truth, minlength=count)
    metrics = len(registry.METRICS)
    estimates = drawn.estimates([len(found)] * metrics + support.tolist())
    return _named("all", found, estimates[:metrics]), estimates[metrics:]


def _row(name: str, found: Outcomes, options: ReportOptions, seed: int) -> GroupRow:
    drawn: Bootstrap = bootstrap(
        lambda indices: _summary(found.only(indices), options), found.truth, options.resamples, seed
    )
    return _named(name, found, drawn.estimates())


def _named(name: str, found: Outcomes, estimates: Sequence[Estimate]) -> GroupRow:
    accuracy = wilson(int(found.correct.sum()), len(found))
    blank = len(found) > 0 and bool((found.truth == found.truth[0]).all())
    summary = {
        metric.name: replace(one, value=nan, low=nan, high=nan) if blank and metric.across_classes else one
        for metric, one in zip(registry.METRICS, estimates, strict=True)
    }
    return GroupRow(name, accuracy, summary)


def _summary(rows: Outcomes, options: ReportOptions) -> Floats:
    """Return the value of each metric, in the order of the registry, (M,) float64."""
    metric_options = MetricOptions(options.bins)
    return np.array([metric.function(rows, metric_options) for metric in registry.METRICS])


def _class_rows(found: Outcomes, f1: Sequence[Estimate]) -> tuple[ClassRow, ...]:
    count = len(found.classes)
    right = np.bincount(found.truth[found.correct], minlength=count).tolist()
    support = np.bincount(found.truth, minlength=count).tolist()
    taken = np.bincount(found.predicted, minlength=count).tolist()
    return tuple(
        ClassRow(name, wilson(hits, n), wilson(hits, guesses), own)
        for name, hits, n, guesses, own in zip(found.classes, right, support, taken, f1, strict=True)
    )
