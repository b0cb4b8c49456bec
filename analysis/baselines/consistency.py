"""Whether a model errs on the images on which people err: error consistency, person by person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan

import numpy as np
import pyarrow as pa

from shotdex.analysis.stats.bootstrap import Floats, Statistic, bootstrap
from shotdex.analysis.stats.paired import Flags
from shotdex.store.baselines import OVERALL
from shotdex.store.types import Estimate

from .matching import AMBIGUOUS, ELSEWHERE, UNKNOWN, RunImages, match

Answers = dict[str, dict[str, dict[int, bool]]]
"""Condition -> subject -> place of the image in the run -> whether the answer was right."""


@dataclass(frozen=True, slots=True)
class ConditionConsistency:
    """Error consistency in one condition, over the `images` that the model and at least one subject answered.

    `subjects` holds each subject's consistency with the model. `kappa` is the mean of theirs and `between` that of all
    pairs of subjects, which says how far people agree among themselves; both are in [-1, 1], with a bootstrap interval
    over images. `lowest` and `highest` bound the subjects' kappas. A kappa is undefined where both are always right
    or both always wrong; such subjects are counted in `undefined` and left out, and `pairs` counts the pairs of
    subjects that are left. Where nothing is left the value is NaN.
    """

    condition: str
    kappa: Estimate
    lowest: float
    highest: float
    undefined: int
    images: int
    between: Estimate
    pairs: int
    subjects: Mapping[str, ErrorConsistency]


@dataclass(frozen=True, slots=True)
class Consistency:
    """Error consistency by condition, and what became of the trials on the way.

    Of all `trials`, `used` went into the kappas. The others name no image of the run (`unknown`, of which `examples`
    are some), or only images of another condition (`elsewhere`), or several that fit (`ambiguous`), or repeat an image
    that the subject had seen before (`repeated`). `mislabelled` of the used ones give the image another category than
    the run does.
    """

    conditions: tuple[ConditionConsistency, ...]
    trials: int
    used: int
    unknown: int
    elsewhere: int
    ambiguous: int
    repeated: int
    mislabelled: int
    examples: tuple[str, ...]


def consistency(trials: pa.Table, images: RunImages, resamples: int = 1000, seed: int = 0) -> Consistency:
    """Return the error consistency of a model with each subject, condition by condition.

    Geirhos, Meding and Wichmann (2020), "Beyond accuracy: quantifying trial-by-trial behaviour of CNNs and humans by
    measuring error consistency", NeurIPS. Conditions are kept apart: over several at once two observers agree merely
    because some conditions are hard for both. Where neither trial nor image has a condition it is called `all`. Of a
    subject's trials with one image the first counts.

    Args:
        trials: with the columns of `store.baselines.TRIAL_COLUMNS`.
        images: the run's images.
        resamples: how often images are drawn again, within their categories.
        seed: of those draws.
    """
    columns = {name: trials.column(name).to_pylist() for name in trials.column_names}
    places = match(columns["imagename"], columns["condition"], images)
    answers: Answers = {}
    repeated = mislabelled = 0
    for row in np.flatnonzero(places >= 0).tolist():
        place = int(places[row])
        condition = columns["condition"][row] or images.conditions[place] or OVERALL
        given = answers.setdefault(condition, {}).setdefault(columns["subject"][row], {})
        if place in given:
            repeated += 1
            continue
        given[place] = columns["correct"][row]
        mislabelled += columns["category"][row].casefold() != images.categories[place].casefold()
    unknown = [columns["imagename"][row] for row in np.flatnonzero(places == UNKNOWN)]
    return Consistency(
        conditions=tuple(_in_condition(name, given, images, resamples, seed) for name, given in answers.items()),
        trials=len(trials),
        used=int((places >= 0).sum()) - repeated,
        unknown=len(unknown),
        elsewhere=int((places == ELSEWHERE).sum()),
        ambiguous=int((places == AMBIGUOUS).sum()),
        repeated=repeated,
        mislabelled=mislabelled,
        examples=tuple(dict.fromkeys(unknown))[:3],
    )


def _in_condition(
    condition: str, answers: Mapping[str, Mapping[int, bool]], images: RunImages, resamples: int, seed: int
) -> ConditionConsistency:
    from threadpoolctl import threadpool_limits

    places = sorted({place for given in answers.values() for place in given})
    right = np.array([[given.get(place, False) for place in places] for given in answers.values()])
    seen = np.array([[place in given for place in places] for given in answers.values()])
    model = images.correct[places]
    subjects = {name: error_consistency(right[i, seen[i]], model[seen[i]]) for i, name in enumerate(answers)}
    right = np.vstack([right, model]).astype(np.float64)
    seen = np.vstack([seen, np.ones(len(places), dtype=bool)]).astype(np.float64)
    _, strata = np.unique([images.categories[place] for place in places], return_inverse=True)
    with threadpool_limits(1):  # a product takes a fraction of a millisecond: threads would wait for each other longer
        kappa, between = bootstrap(_means_of(right, seen), strata, resamples, seed).estimates()
    defined = [found.kappa for found in subjects.values() if not isnan(found.kappa)]
    return ConditionConsistency(
        condition=condition,
        kappa=kappa,
        lowest=min(defined, default=nan),
        highest=max(defined, default=nan),
        undefined=len(subjects) - len(defined),
        images=len(places),
        between=between,
        pairs=int(np.isfinite(kappas(right, seen)[np.triu_indices(len(subjects), 1)]).sum()),
        subjects=subjects,
    )


def _means_of(right: Floats, seen: Floats) -> Statistic:
    """Return what gives the mean kappa of the subjects with the last observer, and of the pairs of subjects."""
    between = np.triu_indices(len(right) - 1, 1)

    def means(images: np.ndarray) -> Floats:
        matrix = kappas(right[:, images], seen[:, images])
        return np.array([_mean(matrix[:-1, -1]), _mean(matrix[between])])

    return means


def _mean(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else nan


def kappas(right: Floats, seen: Floats) -> Floats:
    """Return Cohen's kappa of right and wrong for every pair of observers, each over the images that both saw.

    The same as `error_consistency` on each pair, for all at once: a bootstrap asks for it a thousand times.

    Args:
        right: (S, N) float64, 1 where an observer was right and 0 elsewhere.
        seen: (S, N) float64, 1 where an observer saw the image and 0 elsewhere.

    Returns:
        (S, S) float64, NaN where two saw no image in common or their expected agreement is 1.
    """
    observers = len(right)
    together = np.vstack([seen, right])
    together = together @ together.T
    n, both = together[:observers, :observers], together[observers:, observers:]
    right_a, right_b = together[observers:, :observers], together[:observers, observers:]
    same = n - right_a - right_b + 2 * both
    by_chance = right_a * right_b + (n - right_a) * (n - right_b)
    # Whole numbers below 2^53, so that an expected agreement of 1 is met exactly.
    undefined = by_chance == n * n
    return np.asarray(np.where(undefined, nan, (same * n - by_chance) / np.where(undefined, 1.0, n * n - by_chance)))


@dataclass(frozen=True, slots=True)
class ErrorConsistency:
    """Agreement of two observers on which of `n` images they get right.

    `observed`, in [0, 1], is the share on which both are right or both wrong; `expected`, the share that two
    independent observers of the same accuracies would show; `kappa`, in [-1, 1], how far the first exceeds the second:
    1 is the same errors, 0 what chance gives, below 0 errors on different images.
    """

    kappa: float
    observed: float
    expected: float
    n: int


def error_consistency(correct_a: Flags, correct_b: Flags) -> ErrorConsistency:
    """Return Cohen's kappa of right and wrong between two observers of the same images.

    Geirhos, Meding and Wichmann (2020), "Beyond accuracy: quantifying trial-by-trial behaviour of CNNs and humans by
    measuring error consistency", NeurIPS: with accuracies p_a and p_b, c_exp = p_a p_b + (1 - p_a)(1 - p_b), c_obs the
    share of equal outcomes, and kappa = (c_obs - c_exp) / (1 - c_exp). It is NaN where c_exp is 1, that is where both
    are always right or both always wrong; without images all three are NaN.

    Args:
        correct_a: (N,) bool, whether A got each image right.
        correct_b: (N,) bool, the same for B, in the same order.

    Raises:
        ValueError: the two differ in length.
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"{a.shape} answers for {b.shape}")
    n = len(a)
    if n == 0:
        return ErrorConsistency(float("nan"), float("nan"), float("nan"), 0)
    right_a, right_b, same = int(a.sum()), int(b.sum()), int((a == b).sum())
    # In whole numbers, so that an expected agreement of 1 is met exactly.
    by_chance = right_a * right_b + (n - right_a) * (n - right_b)
    kappa = (same * n - by_chance) / (n * n - by_chance) if by_chance != n * n else float("nan")
    return ErrorConsistency(kappa, same / n, by_chance / (n * n), n)
