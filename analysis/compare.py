"""Runs against each other on the images they share, and the conditions of one run against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import nan

import numpy as np
import numpy.typing as npt

from shotdex.store.connection import Connection
from shotdex.store.errors import EvaluationError, OptionError
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import Estimate, Run

from .coverage import Coverage, coverage
from .metrics.metric import Outcomes
from .results import ALL, Grouping, group_rows, outcomes
from .side_by_side import MARKED, on_shared, one_label, same_classes, shared_note
from .stats.paired import holm, paired
from .stats.proportions import difference_interval, wilson

MOST = 5_000
"""Comparisons made at once, at most: each pair of 100 groups. Nobody reads more, and Holm would leave none standing."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """B against A: `a` and `b` are accuracies@1, `difference` is b - a with its 95 % interval.

    `group` is the group of images compared, `all` for every image. `only_a` and `only_b` count the images that only one
    of them gets right; both are -1 where A and B are different images (two conditions of one run; `group` then names
    the run). `test` names the test behind `p_value`; `adjusted` is the p value after Holm's correction over all
    comparisons made at once. `of` is how many images one or both of the runs evaluated, of which the group holds some;
    0 where A and B are different images. Without `same_classes` the numbers do not say which is better.
    """

    name_a: str
    name_b: str
    group: str
    a: Estimate
    b: Estimate
    difference: Estimate
    only_a: int
    only_b: int
    test: str
    p_value: float
    adjusted: float = nan
    of: int = 0
    same_classes: bool = True


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What to compare by, and how: columns of `images` that group them, resamples and seed of the bootstrap, and
    whether runs that chose among different classes are compared anyway.
    """

    by: tuple[str, ...] = ()
    resamples: int = 2000
    seed: int = 0
    anyway: bool = False


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """Runs and what each met, the comparisons, and for two runs some images that only one of them gets right."""

    runs: tuple[Run, ...]
    coverage: Mapping[str, Coverage]
    comparisons: tuple[Comparison, ...]
    disagreements: tuple[Disagreement, ...]

    @property
    def notes(self) -> list[str]:
        """What must be said before the numbers."""
        return comparison_notes(self.comparisons)


def compare(store: Store, names: Sequence[str], options: CompareOptions, show: int = 0) -> ComparedRuns:
    """Compare runs with each other, or with `by` the groups of one; `show` is the most disagreements to return.

    Raises:
        OptionError: one run and nothing to compare it with, and what `compare_runs` and `compare_groups` raise.
    """
    if len(names) == 1 and not options.by:
        raise OptionError(
            "there is one run and nothing to compare it with",
            f"choose another: shotdex compare {names[0]} OTHER   or its conditions: --by condition",
        )
    found = compare_groups(store, names[0], options) if len(names) == 1 else compare_runs(store, names, options)
    with store.reading() as con:
        runs = tuple(find_run(con, name) for name in names)
        apart = disagreements(con, runs[0], runs[1], show) if len(runs) == 2 else []
    return ComparedRuns(runs, {run.name: coverage(run) for run in runs}, tuple(found), tuple(apart))


def compare_runs(store: Store, names: Sequence[str], options: CompareOptions) -> list[Comparison]:
    """Compare every pair of runs on the images that both evaluated: all of them, and group by group where asked.

    The p value is that of the exact McNemar test, the interval that of the paired bootstrap, stratified by class.

    Raises:
        OptionError: fewer than two runs, the same one twice, or no such run or column.
        EvaluationError: two runs share no evaluated image, chose among different classes, or were made under different
            labels.
    """
    with store.reading() as con:
        runs = [find_run(con, name) for name in names]
        if len({run.run_id for run in runs}) < max(len(names), 2):
            raise OptionError(
                "a comparison needs two different runs",
                "compare two runs: shotdex compare A B   or the conditions of one: shotdex compare A --by condition",
            )
        same = {(a.run_id, b.run_id): same_classes(con, [a, b], options.anyway) for a, b in combinations(runs, 2)}
        found = {run.run_id: outcomes(con, run) for run in runs}
        prompts = {run.run_id: load_prompt_set(con, run.prompt_set_id) for run in runs}
        grouping = _grouping(con, list(found.values()), options.by)
    made = []
    for a, b in combinations(runs, 2):
        (first, second), of = on_shared((a, b), (found[a.run_id], found[b.run_id]))
        _check_labels(a, b, first, second, one_label(prompts[a.run_id], prompts[b.run_id]))
        for group, rows in [*_groups(first.image_ids, grouping), (ALL, np.arange(len(first)))]:
            made.append(
                replace(
                    _pair((a.name, b.name, group), first.only(rows), second.only(rows), options),
                    of=of,
                    same_classes=same[a.run_id, b.run_id],
                )
            )
    return _adjusted(made)


def compare_groups(store: Store, name: str, options: CompareOptions) -> list[Comparison]:
    """Compare every pair of groups of one run's images, such as its conditions.

    They are different images, so the interval is Newcombe's for independent shares and the test Fisher's exact one.

    Raises:
        OptionError: no such run or column, only one group, or more pairs of them than `MOST`.
    """
    with store.reading() as con:
        run = find_run(con, name)
        found = outcomes(con, run)
        grouping = group_rows(con, found.image_ids, options.by, found.categories)
    correct = found.correct
    shares = [(name, (int(correct[rows].sum()), len(rows))) for name, rows in _groups(found.image_ids, grouping)]
    _check_groups(len(shares), run, options.by)
    made = []
    for (name_a, a), (name_b, b) in combinations(shares, 2):
        first, second = wilson(*a), wilson(*b)
        difference = difference_interval(first, second)
        made.append(
            Comparison(name_a, name_b, run.name, first, second, difference, -1, -1, "Fisher, exact", fisher_exact(a, b))
        )
    return _adjusted(made)


def comparison_notes(found: Sequence[Comparison]) -> list[str]:
    """Return what must be said before the numbers: on which images, and whether the classes were the same."""
    pairs = {(one.name_a, one.name_b): one for one in found if one.of and one.group == ALL}
    notes = []
    for (a, b), one in pairs.items():
        note = shared_note(one.a.n, one.of)
        notes += [note if len(pairs) == 1 else f"{a} and {b}: {note}"] if note else []
    return notes + ([] if all(one.same_classes for one in found) else [MARKED])


def _grouping(con: Connection, found: Sequence[Outcomes], by: Sequence[str]) -> Grouping:
    """Group every image that some run evaluated; what a category is called, the first of them says."""
    called: dict[int, str] = {}
    for out in reversed(found):
        called |= dict(zip(out.image_ids.tolist(), out.categories, strict=True))
    image_ids = np.array(sorted(called), dtype=np.int64)
    return group_rows(con, image_ids, by, [called[image_id] for image_id in image_ids.tolist()])


def fisher_exact(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Return the two-sided p value of Fisher's exact test that two (right, n) come from one share."""
    from scipy.stats import fisher_exact as exact

    (right_a, n_a), (right_b, n_b) = a, b
    return float(exact([[right_a, n_a - right_a], [right_b, n_b - right_b]]).pvalue)


def _check_labels(a: Run, b: Run, first: Outcomes, second: Outcomes, alike: npt.NDArray[np.bool_]) -> None:
    relabelled = int((~alike[first.truth, second.truth]).sum())
    if relabelled:
        raise EvaluationError(
            f"{relabelled:,} images have different categories in the runs {a.name!r} and {b.name!r}",
            "classify again; shotdex rerun shows what changed",
        )


def _groups(image_ids: npt.NDArray[np.int64], grouping: Grouping) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """Yield each group's name with the rows of its images; none where nothing groups them."""
    codes = grouping.of(image_ids)
    for code, name in enumerate(grouping.names if grouping.columns else ()):
        rows = np.flatnonzero(codes == code)
        if len(rows):
            yield name, rows


def _check_groups(count: int, run: Run, by: Sequence[str]) -> None:
    if count < 2:
        raise OptionError(f"the run {run.name!r} has only one group by {', '.join(by)}", "choose another --by")
    if count * (count - 1) // 2 > MOST:
        raise OptionError(
            f"the run {run.name!r} has {count:,} groups by {', '.join(by)}, too many to compare every pair",
            f"choose another --by, or report each group: shotdex report {run.name} --by {','.join(by)}",
        )


def _pair(names: tuple[str, str, str], first: Outcomes, second: Outcomes, options: CompareOptions) -> Comparison:
    a, b = first.correct, second.correct
    found = paired(a, b, first.truth, options.resamples, options.seed)
    shares = wilson(int(a.sum()), len(a)), wilson(int(b.sum()), len(b))
    return Comparison(*names, *shares, found.difference, found.only_a, found.only_b, "McNemar, exact", found.p_value)


def _adjusted(made: Sequence[Comparison]) -> list[Comparison]:
    values = holm(np.array([one.p_value for one in made])).tolist()
    return [replace(one, adjusted=value) for one, value in zip(made, values, strict=True)]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An image that one of two runs gets right and the other wrong, and what each takes it for."""

    image_id: int
    path: str
    category: str
    condition: str | None
    predicted_a: str
    predicted_b: str
    right: str


def disagreements(con: Connection, run_a: Run, run_b: Run, limit: int) -> list[Disagreement]:
    """Return up to `limit` images that only one of two runs gets right, by image id."""
    rows = con.rows(
        "SELECT a.image_id, a.path, a.category, a.condition, a.predicted, b.predicted, "
        "CASE WHEN a.correct THEN a.run ELSE b.run END FROM outcomes a JOIN outcomes b USING (image_id) "
        "WHERE a.run_id = $a AND b.run_id = $b AND a.correct <> b.correct ORDER BY a.image_id LIMIT $limit",
        {"a": run_a.run_id, "b": run_b.run_id, "limit": limit},
    )
    return [Disagreement(*row) for row in rows]
