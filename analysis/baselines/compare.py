"""A run against a baseline: better, worse or not distinguishable, condition by condition, in words that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from shotdex.analysis.coverage import Coverage, coverage
from shotdex.analysis.results import UNLABELLED, accuracy_by, overall
from shotdex.analysis.stats.proportions import Verdict, describe, difference_interval, small_sample, verdict
from shotdex.store.baselines import OVERALL, Baseline, Kind, load_trials
from shotdex.store.errors import MissingLabels, OptionError
from shotdex.store.store import Store
from shotdex.store.types import Estimate, Run

from .consistency import Consistency, consistency
from .file_formats import TrialCounts, count_trials
from .matching import run_images


@dataclass(frozen=True, slots=True)
class ConditionVerdict:
    """One condition: the model's accuracy, the baseline's, the first minus the second, and what that lets one say.

    `remarks` are short warnings, such as "model: small n".
    """

    condition: str
    model: Estimate
    baseline: Estimate
    difference: Estimate
    verdict: Verdict
    remarks: tuple[str, ...]

    def sentence(self) -> str:
        """Return it in words, such as `geons: worse (0.542 [0.416, 0.663] n=59 against 0.785 [0.7, 0.85] n=100)`."""
        alone = ("only the model's uncertainty is counted",) if isnan(self.baseline.low) else ()
        remarks = "".join(f"; {remark}" for remark in (*alone, *self.remarks))
        against = f"{describe(self.model)} against {describe(self.baseline)}"
        return f"{self.condition}: {self.verdict} ({against}{remarks})"


@dataclass(frozen=True, slots=True)
class BaselineComparison:
    """A run against a baseline. `conditions` are those that both have, `all` being over all, in the baseline's order.

    `only_model` and `only_baseline` name conditions that the other side lacks. With trials there are their counts and
    the error consistency. `notes` say in plain sentences what a reader must know to read the verdicts.
    """

    run: Run
    baseline: Baseline
    conditions: tuple[ConditionVerdict, ...]
    only_model: tuple[str, ...]
    only_baseline: tuple[str, ...]
    counts: TrialCounts | None
    consistency: Consistency | None
    notes: tuple[str, ...]

    @property
    def coverage(self) -> Coverage:
        """How many images the run met."""
        return coverage(self.run)


def compare_baseline(store: Store, baseline: Baseline, run: Run, resamples: int = 1000) -> BaselineComparison:
    """Compare a run with a baseline in every condition that both have, and over all where the baseline says that.

    The difference is the model's accuracy minus the baseline's, with the interval of `difference_interval`, which takes
    the two as independent and a baseline without an interval as exact. Trials are also compared image by image:
    see `consistency`; images are drawn again with the run's seed.

    Raises:
        MissingLabels: no image of the run has a category among its classes.
        OptionError: the two have no condition in common.
    """
    with store.reading() as con:
        total = overall(con, run)
        if total.n == 0:
            raise MissingLabels(
                f"no image of the run {run.name!r} has a category among its classes, so the run has no accuracy",
                "label the images: shotdex index SOURCE --layout '{category}/*'",
            )
        found = accuracy_by(con, run, "condition")
        trials = load_trials(con, baseline.baseline_id) if baseline.kind is Kind.TRIALS else None
        images = run_images(con, run) if trials is not None else None
    mine = {name: estimate for name, estimate in found.items() if name != UNLABELLED}
    rows = verdicts(mine | {OVERALL: total}, baseline.accuracies)
    if not rows:
        raise _nothing_shared(baseline, run, mine)
    agreement = None
    if trials is not None and images is not None:
        agreement = consistency(trials, images, resamples, run.seed)
    return BaselineComparison(
        run=run,
        baseline=baseline,
        conditions=rows,
        only_model=tuple(name for name in mine if name not in baseline.accuracies),
        only_baseline=tuple(name for name in baseline.accuracies if name not in mine and name != OVERALL),
        counts=count_trials(trials) if trials is not None else None,
        consistency=agreement,
        notes=_notes(baseline, mine, rows, agreement),
    )


def verdicts(model: Mapping[str, Estimate], baseline: Mapping[str, Estimate]) -> tuple[ConditionVerdict, ...]:
    """Return a verdict for each condition that both have, in the baseline's order, `all` last."""
    shared = [name for name in baseline if name in model and name != OVERALL]
    shared += [OVERALL] if OVERALL in baseline and OVERALL in model else []
    return tuple(_verdict(name, model[name], baseline[name]) for name in shared)


def _verdict(condition: str, model: Estimate, baseline: Estimate) -> ConditionVerdict:
    difference = difference_interval(baseline, model)
    # That a baseline's n is not known is said next to its value.
    sides = (("model", model), ("baseline", baseline))
    remarks = tuple(f"{who}: {small}" for who, side in sides if side.n and (small := small_sample(side)))
    return ConditionVerdict(condition, model, baseline, difference, verdict(difference), remarks)


def _nothing_shared(baseline: Baseline, run: Run, mine: Mapping[str, Estimate]) -> OptionError:
    theirs = ", ".join(baseline.accuracies)
    own = ", ".join(mine) or "not labelled"
    return OptionError(
        f"nothing to compare: the baseline {baseline.name!r} covers {theirs}; "
        f"the conditions of the run {run.name!r} are {own}",
        "use the same condition names, in the file or with: shotdex index SOURCE --layout '{condition}/{category}*'",
    )


def _notes(
    baseline: Baseline, mine: Mapping[str, Estimate], rows: Sequence[ConditionVerdict], agreement: Consistency | None
) -> tuple[str, ...]:
    notes = []
    if any(isnan(row.baseline.low) for row in rows):
        notes.append(
            "Where the baseline has no interval, only the model's uncertainty is counted, "
            "so better and worse are reported more readily than they should be."
        )
    if len(rows) > 1:
        notes.append(
            f"These are {len(rows)} comparisons: each interval is 95 % on its own and not adjusted for their number."
        )
    if baseline.kind is Kind.TRIALS:
        notes.append(
            "The baseline's intervals take trials as independent; those of one person are not, "
            "so they are narrower than they should be."
        )
    conditions = set(baseline.accuracies) - {OVERALL}
    if any(row.condition == OVERALL for row in rows) and conditions and conditions != set(mine):
        notes.append(f"`{OVERALL}` covers different conditions in the run and in the baseline.")
    if agreement is not None and agreement.used:
        notes.append("Model and baseline share images; the intervals of the differences take the two as independent.")
    return tuple(notes)
