"""How far a few labelled images a class get: logistic regression on repeated small draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotdex.store.words import Estimate

from .problem import Problem
from .splits import Codes, Rows, class_orders
from .sweep import sweep
from .two_level import two_level_bootstrap

VALIDATION = 4
"""At most this many images a class choose the L2 strength of a few-shot classifier."""


@dataclass(frozen=True, slots=True)
class FewShotSettings:
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
    be compared along the ladder; draws are independent of each other.

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
    problem: Problem, shots: int, settings: FewShotSettings, after_draw: Callable[[], None] = lambda: None
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
    correct = np.empty((settings.draws, len(problem.test)), dtype=bool)
    cs, unconverged = [], 0
    for draw in range(settings.draws):
        fit, validation = draw_shots(problem.train_codes, shots, settings.seed, draw)
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
    estimate = two_level_bootstrap(correct, problem.test_codes, seed=settings.seed)
    accuracies = tuple(correct.mean(axis=1).tolist())
    return FewShotResult(shots, estimate, accuracies, tuple(cs), unconverged, correct)
