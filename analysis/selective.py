"""Selective prediction and calibration of a run: what its probabilities are good for, each number with its interval."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial
from math import isnan, log, nan

import numpy as np
import pyarrow as pa

from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.errors import OptionError
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Estimate, Run, Vectors

from .metrics import selective as formula
from .metrics.calibration import BINS, expected_calibration_error
from .metrics.metric import Floats, Outcomes
from .probe.problem import Rows, halves
from .results import outcomes
from .scorer import run_cosines
from .scoring import probabilities
from .stats.bootstrap import Indices, bootstrap
from .stats.proportions import SMALL, wilson

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5, 0.25)
"""Shares of the images of which the risk is reported."""

GRID = 2.0 ** np.linspace(-3, 3, 65)
"""Multiples of 1 / T at which the slope of the loss is known to the bootstrap, which interpolates between them."""


@dataclass(frozen=True, slots=True)
class SelectiveOptions:
    """The prediction sets' coverage, in (0, 1), the bootstrap's resamples and seed (None: the run's), and the bins."""

    coverage: float = 0.9
    resamples: int = 1000
    seed: int | None = None
    bins: int = BINS


@dataclass(frozen=True, slots=True)
class RiskRow:
    """The error rate, with its Wilson interval, of the images whose probability is at least `threshold`.

    That is the highest threshold which keeps a share of `at_least` of all images; it keeps a share of `coverage`.
    """

    at_least: float
    coverage: float
    threshold: float
    risk: Estimate


@dataclass(frozen=True, slots=True)
class Risk:
    """Risk against coverage: rows by falling coverage, the area under the curve, and what it has beyond the best order.

    `error_rate` is the area of a random order, on average.
    """

    rows: tuple[RiskRow, ...]
    aurc: Estimate
    excess_aurc: Estimate
    error_rate: Estimate


@dataclass(frozen=True, slots=True)
class Temperature:
    """A temperature fitted on `fitted` images, and the calibration error and mean loss of the `reported` others.

    The loss is -log of the probability of the true class, in nats. `change` is after minus before, on the same images.
    """

    fitted: int
    reported: int
    split: str
    temperature: Estimate
    error_before: Estimate
    error_after: Estimate
    error_change: Estimate
    loss_before: Estimate
    loss_after: Estimate
    loss_change: Estimate


@dataclass(frozen=True, slots=True)
class PredictionSets:
    """Sets of classes that have the true one with a stated probability, calibrated on some images, counted on others.

    A set has the classes with at least the probability `threshold`. Over random halves the true class is in it with
    probability `exactly` (at least that where probabilities are equal); for 95 % of all calibration parts of this size
    the share lies from `low` to `high`. `covered`, `size`, `single` and `empty` are of the `reported` images: the share
    whose set has the true class, the mean number of classes, and the shares of sets with one class and with none.
    """

    stated: float
    calibrated: int
    reported: int
    split: str
    threshold: float
    exactly: float
    low: float
    high: float
    covered: Estimate
    size: Estimate
    single: Estimate
    empty: Estimate


@dataclass(frozen=True, slots=True)
class SelectiveRow:
    """One number of a part: risk, temperature or sets."""

    part: str
    name: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Selective:
    """What the probabilities of a run are good for. What cannot be said is None, and `notes` say why."""

    run: Run
    risk: Risk
    temperature: Temperature | None
    sets: PredictionSets | None
    notes: tuple[str, ...]

    def numbers(self) -> list[SelectiveRow]:
        """Return every number with an interval, part by part."""
        rows = [SelectiveRow("risk", f"at coverage {row.coverage:.3f}", row.risk) for row in self.risk.rows]
        for part in ("risk", "temperature", "sets"):
            found = getattr(self, part)
            values = {} if found is None else {field.name: getattr(found, field.name) for field in fields(found)}
            named = ((name.replace("_", " "), one) for name, one in values.items() if isinstance(one, Estimate))
            rows += [SelectiveRow(part, name, one) for name, one in named]
        return rows


def selective(store: Store, name: str | None, options: SelectiveOptions) -> Selective:
    """Return risk against coverage, temperature scaling and prediction sets of a run, by default the newest.

    Raises:
        OptionError: no such run, or a coverage outside (0, 1); MissingLabels: nothing was right or wrong.
    """
    if not 0 < options.coverage < 1:
        raise OptionError(f"the coverage is {options.coverage}", "pass a value between 0 and 1, such as 0.9")
    with store.reading() as con:
        run = find_run(con, name)
        found = outcomes(con, run)
        encoder = list_encoders(con)[run.encoder_id]
        cosines = run_cosines(con, run, encoder, found)
        contents = _contents(con, found)
    seed = run.seed if options.seed is None else options.seed
    options = replace(options, seed=seed)
    risk = risk_of(found, options.resamples, seed)
    if isinstance(cosines, str):
        return Selective(run, risk, None, None, (cosines,))
    parts = halves(found.truth.astype(np.int64), contents, seed)
    temperature = _temperature(cosines, encoder, found, parts, options)
    sets = _sets(cosines, encoder, found, options)
    notes = [one for one in (temperature, sets) if isinstance(one, str)]
    if encoder.sigmoid:
        notes.append(
            "the model's own probabilities are of each class by itself; the temperature is that of a softmax over all"
        )
    scaled = None if isinstance(temperature, str) else temperature
    return Selective(run, risk, scaled, None if isinstance(sets, str) else sets, tuple(notes))


def risk_of(found: Outcomes, resamples: int, seed: int) -> Risk:
    """Return the risk of some outcomes at several coverages, and the area under the curve."""
    curve = formula.risk_coverage(found.probability, found.correct)
    n, wrong = len(found), ~found.correct

    def statistic(indices: Indices) -> Floats:
        drawn = formula.risk_coverage(found.probability[indices], ~wrong[indices])
        area = formula.area_under_risk(drawn)
        return np.array([area, area - formula.best_area(int(drawn.wrong[-1]), n)])

    aurc, excess = bootstrap(statistic, found.truth, resamples, seed).estimates()
    rows = []
    for coverage in COVERAGES:
        place = curve.at(coverage)
        kept, own = int(curve.kept[place]), int(curve.wrong[place])
        rows.append(RiskRow(coverage, kept / n, float(curve.thresholds[place]), wilson(own, kept)))
    return Risk(tuple(rows), aurc, excess, wilson(int(wrong.sum()), n))


def _contents(con: Connection, found: Outcomes) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    with con.holding("evaluated", pa.table({"image_id": pa.array(found.image_ids)})):
        rows = con.rows(
            "SELECT content_sha256 FROM stored_images SEMI JOIN evaluated USING (image_id) ORDER BY image_id"
        )
    return np.array([str(row[0]) for row in rows])


def _temperature(
    cosines: Vectors, encoder: EncoderId, found: Outcomes, parts: tuple[Rows, Rows], options: SelectiveOptions
) -> Temperature | str:
    """Fit a temperature on one part and report on the other; or return why there is none."""
    fit, report = parts
    if min(len(fit), len(report)) < SMALL:
        return (
            f"no temperature: {len(fit):,} images to fit it on and {len(report):,} to report on are too few; each part "
            f"needs {SMALL}"
        )
    logits = cosines * np.float32(encoder.logit_scale)
    fitted = formula.fit_temperature(logits[fit], found.truth[fit])
    if isnan(fitted):
        return (
            f"no temperature: on the {len(fit):,} images to fit it on the loss has no least value, since all of them "
            "are classified correctly or hardly any"
        )
    assert options.seed is not None
    table = formula.slopes(logits[fit], found.truth[fit], GRID / fitted)
    drawn = bootstrap(partial(_root, table, fitted), found.truth[fit], options.resamples, options.seed)
    estimate = replace(drawn.estimates()[0], value=fitted)
    own, truth = logits[report], found.truth[report]
    loss = [formula.losses(own, truth, one) for one in (1.0, fitted)]
    confidence = [formula.confidences(own, one) for one in (1.0, fitted)]
    correct = own.argmax(axis=1) == truth

    def statistic(indices: Indices) -> Floats:
        error = [expected_calibration_error(one[indices], correct[indices], options.bins) for one in confidence]
        mean = [float(one[indices].mean()) for one in loss]
        return np.array([*error, error[1] - error[0], *mean, mean[1] - mean[0]])

    estimates = bootstrap(statistic, truth, options.resamples, options.seed).estimates()
    split = f"random halves of each class, copies in the same one, seed {options.seed}"
    return Temperature(len(fit), len(report), split, estimate, *estimates)


def _root(table: Floats, fitted: float, indices: Indices) -> float:
    """Return the temperature at which the mean slope of some images is 0, from slopes (N, S) at `GRID` / fitted."""
    slope = table[indices].mean(axis=0)
    place = int(np.searchsorted(slope, 0.0))
    if place in (0, len(slope)):
        return nan
    before, after = slope[place - 1], slope[place]
    share = -before / (after - before)
    return float(fitted / 2.0 ** (log(GRID[place - 1], 2) * (1 - share) + log(GRID[place], 2) * share))


def _sets(cosines: Vectors, encoder: EncoderId, found: Outcomes, options: SelectiveOptions) -> PredictionSets | str:
    """Return prediction sets with the probabilities as they are; or why there are none.

    The halves are drawn from all images alike: drawn within each class, or with a temperature that was fitted on one
    of them, they would not be exchangeable, which the statement rests on.
    """
    assert options.seed is not None
    n = len(found)
    order = np.random.default_rng(options.seed).permutation(n)
    calibrate, report = np.sort(order[: -(-n // 2)]), np.sort(order[-(-n // 2) :])
    own = probabilities(cosines, found.truth[:, None].astype(np.int64), encoder)[:, 0]
    threshold = formula.set_threshold(own[calibrate], options.coverage)
    if isnan(threshold) or not len(report):
        return (
            f"no prediction sets: a coverage of {options.coverage:g} takes at least "
            f"{formula.fewest_for_sets(options.coverage):,} images to calibrate on, not {len(calibrate):,}"
        )
    every = np.arange(cosines.shape[1])
    step = max(1, formula.CELLS // len(every))
    parts = [cosines[report[start : start + step]] for start in range(0, len(report), step)]
    shares = (probabilities(part, np.tile(every, (len(part), 1)), encoder) for part in parts)
    sizes = np.concatenate([(one >= threshold).sum(axis=1) for one in shares])
    low, high = formula.coverage_range(len(calibrate), options.coverage)
    size = bootstrap(
        lambda indices: float(sizes[indices].mean()), found.truth[report], options.resamples, options.seed
    ).estimates()[0]
    return PredictionSets(
        stated=options.coverage,
        calibrated=len(calibrate),
        reported=len(report),
        split=f"random halves, seed {options.seed}",
        threshold=threshold,
        exactly=formula.place_of_threshold(len(calibrate), options.coverage) / (len(calibrate) + 1),
        low=low,
        high=high,
        covered=wilson(int((own[report] >= threshold).sum()), len(report)),
        size=size,
        single=wilson(int((sizes == 1).sum()), len(report)),
        empty=wilson(int((sizes == 0).sum()), len(report)),
    )
