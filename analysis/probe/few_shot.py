"""How far a few labelled images a class get: logistic regression on repeated small draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt

from shotdex.analysis.stats.bootstrap import TAILS, Floats
from shotdex.store.types import Estimate

from .linear import sweep
from .problem import Codes, Problem, Rows, class_orders

RESAMPLES = 2000


def two_level_bootstrap(
    correct: npt.NDArray[np.bool_], strata: Codes, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Return the mean accuracy over R draws of training images, with an interval for draws and test images together.

    Each resample takes R of the draws and, in each stratum, as many of its test images, both with replacement; the
    bounds are the 2.5 and 97.5 percentiles of the means (the pigeonhole bootstrap: Owen (2007), "The pigeonhole
    bootstrap", Annals of Applied Statistics 1). A handful of draws says little about how draws vary, and percentiles
    take that for granted: with R draws the spread between them is taken as sqrt((R - 1) / R) of what it is. One draw
    says nothing of it, so the interval is then for test images alone, and the method says so.

    Degenerate: without test images, or draws, all is NaN.

    Args:
        correct: (R, N) bool, whether each draw's classifier got each test image right.
        strata: (N,) int64, such as the class of each test image.
        resamples: how often to draw, from 1.
        seed: of numpy's default generator.

    Raises:
        ValueError: the shapes do not fit, or no resamples.
    """
    draws, n = correct.shape
    if strata.shape != (n,) or resamples < 1:
        raise ValueError(f"answers {correct.shape} and strata {strata.shape} do not fit, or no resamples ({resamples})")
    kind = "two-level bootstrap of draws and images" if draws > 1 else "bootstrap of images, one draw"
    method = f"{kind} 95 %, {resamples} resamples, seed {seed}"
    if n == 0 or draws == 0:
        return Estimate(nan, nan, nan, n, method)
    rng = np.random.default_rng(seed)
    right = _right_answers(correct, strata, resamples, rng)
    weights = rng.multinomial(draws, np.full(draws, 1 / draws), resamples)
    means = (right * weights).sum(axis=1) / (draws * n)
    low, high = np.quantile(means, TAILS).tolist()
    return Estimate(float(correct.mean()), low, high, n, method)


def _right_answers(correct: npt.NDArray[np.bool_], strata: Codes, resamples: int, rng: np.random.Generator) -> Floats:
    """Return how many images each draw's classifier gets right in each resample of the images, (resamples, R).

    Images of one stratum on which all R agree alike are interchangeable, so how often each such pattern is drawn is
    multinomial: the same distribution as drawing N indices, at a fraction of the cost.
    """
    right = np.zeros((resamples, len(correct)))
    for stratum in np.unique(strata):
        answers = correct[:, strata == stratum].T
        patterns, counts = np.unique(answers, axis=0, return_counts=True)
        right += rng.multinomial(len(answers), counts / len(answers), resamples) @ patterns.astype(np.float64)
    return right


VALIDATION = 4
"""At most this many images a class choose the L2 strength of a few-shot classifier."""


@dataclass(frozen=True, slots=True)
class FewShotOptions:
    """How often to draw, from 1, and the seed of draws and bootstrap."""

    draws: int = 10
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FewShotResult:
    """What `shots` images a class give. `correct` (R, M) bool: whether each draw got each test image right.

    `estimate` is the mean accuracy over draws, `accuracies` those of the single draws, `cs` the C that each chose.
    `unconverged` counts the draws whose final fit did not converge.
    """

    shots: int
    estimate: Estimate
    accuracies: tuple[float, ...]
    cs: tuple[float, ...]
    unconverged: int
    correct: npt.NDArray[np.bool_]


def needed(shots: int) -> int:
    """Return how many training images a class must have: to fit to, and to choose the L2 strength on."""
    return shots + min(shots, VALIDATION)


def draw_shots(codes: Codes, shots: int, seed: int, draw: int) -> tuple[Rows, Rows]:
    """Return rows (of training images) to fit to and to choose on: `shots` and min(`shots`, 4) of each class.

    The two are disjoint. One draw's images for fewer shots are among its images for more, so that its accuracies can
    be compared along the line; draws are independent of each other.

    Raises:
        ValueError: a class has fewer than `needed(shots)` images.
    """
    orders = class_orders(codes, seed, draw)
    if min(len(order) for order in orders) < needed(shots):
        raise ValueError(f"{shots} shots take {needed(shots)} images of each class")
    fit = np.concatenate([order[:shots] for order in orders])
    validation = np.concatenate([order[shots : needed(shots)] for order in orders])
    return np.sort(fit), np.sort(validation)


def few_shot_probe(
    problem: Problem, shots: int, options: FewShotOptions, after_draw: Callable[[], None] = lambda: None
) -> FewShotResult:
    """Fit logistic regressions to `shots` training images a class, drawn again and again, and test each on all tests.

    The L2 strength is chosen for each draw on min(`shots`, 4) further training images a class, as CoOp does: Zhou,
    Yang, Loy and Liu (2022), "Learning to prompt for vision-language models", IJCV 130; as in their code the classifier
    is not fitted again with those. A larger validation set would not be few-shot any more.

    Args:
        problem: vectors and classes.
        shots: images a class, from 1.
        settings: draws and seed.
        after_draw: called after each draw.

    Raises:
        ValueError: a class has fewer than `needed(shots)` training images.
    """
    correct = np.empty((options.draws, len(problem.test)), dtype=bool)
    cs, unconverged = [], 0
    for draw in range(options.draws):
        fit, validation = draw_shots(problem.train_codes, shots, options.seed, draw)
        rows = np.concatenate([fit, validation])
        vectors, codes = problem.train[rows], problem.train_codes[rows]
        places = np.arange(len(rows))
        chosen = sweep(vectors, codes, places[: len(fit)], places[len(fit) :], problem.classes)
        assert chosen.model is not None, "every class has validation images"
        model = chosen.model
        correct[draw] = model.predict(problem.test) == problem.test_codes
        cs.append(chosen.c)
        unconverged += not model.converged
        after_draw()
    estimate = two_level_bootstrap(correct, problem.test_codes, seed=options.seed)
    accuracies = tuple(correct.mean(axis=1).tolist())
    return FewShotResult(shots, estimate, accuracies, tuple(cs), unconverged, correct)
