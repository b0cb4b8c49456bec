"""Which L2 strength: swept on a validation part of the training images, never on the test images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shotdex.store.words import Vectors

from .logistic import Fitter, Logistic, one_thread
from .problem import Problem
from .splits import Codes, Rows, subsample, validation_split

GRID = tuple(10.0**power for power in range(-1, 6))
"""Inverse L2 strengths (scikit-learn's C) tried first. Unit vectors lie close together, so they want large ones."""

LIMITS = (1e-4, 1e8)
"""How far the grid is extended while its end is the best."""

SWEPT_AT_MOST = 10_000
"""Images fitted to in a sweep; of more, as many are drawn. The sum of losses weighs against a fixed penalty, so what is
best for some of the images serves for all: on Fashion-MNIST 10,000 and 48,000 choose the same decade."""

UNCHOSEN = 10.0
"""The C that is used where no class has two training images, so that nothing can be chosen on."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What was tried: validation accuracy in [0, 1] by C, in the order tried, and the one chosen, `c`.

    `model` is the one with this C, fitted to the fitting part; None where nothing was tried. `fitted` and `validation`
    count images. `at_limit` says that the best C lies at one of the `LIMITS`.
    """

    c: float
    accuracies: Mapping[float, float]
    model: Logistic | None
    fitted: int
    validation: int
    at_limit: bool = False


@dataclass(frozen=True, slots=True)
class LogisticResult:
    """`predicted` (M,) int64 classes of the test images, by the `model` fitted to all training images."""

    sweep: Sweep
    model: Logistic
    predicted: Codes


def logistic_probe(problem: Problem, seed: int = 0) -> LogisticResult:
    """Fit a logistic regression to the training vectors and classify the test vectors.

    C is swept on the validation part of the training images, fitted to the rest of them or `SWEPT_AT_MOST`; the final
    classifier is fitted to all training images with it. As for CLIP's linear probes, Radford et al. (2021), "Learning
    transferable visual models from natural language supervision", appendix A.3. Test images have no part in the choice.
    """
    codes = problem.train_codes
    fit, validation = validation_split(codes, seed)
    fit = fit[subsample(codes[fit], SWEPT_AT_MOST, seed)]
    chosen = sweep(problem.train, codes, fit, validation, problem.classes)
    with one_thread():
        model = Fitter(problem.train, codes, problem.classes).fit(chosen.c, chosen.model)
    return LogisticResult(chosen, model, model.predict(problem.test))


def sweep(vectors: Vectors, codes: Codes, fit: Rows, validation: Rows, classes: int) -> Sweep:
    """Choose C by accuracy on the validation rows, fitted to the fit rows; among equals the smallest, most cautious C.

    `GRID` is tried first. While its end is strictly better than its neighbour it is extended by a decade, within
    `LIMITS`; then the half decades beside the best are tried. Without validation rows nothing is tried, and C is
    `UNCHOSEN`.

    Args:
        vectors: (N, D) float32.
        codes: (N,) int64 classes from 0 to `classes` - 1.
        fit: (F,) int64 rows to fit to.
        validation: (V,) int64 rows to choose on.
        classes: how many classes there are.
    """
    if not len(validation):
        return Sweep(UNCHOSEN, {}, None, len(fit), 0)
    with one_thread():
        trial = _Trial(Fitter(vectors[fit], codes[fit], classes), vectors[validation], codes[validation])
        at_limit = trial.search()
    best = trial.best()
    return Sweep(best, trial.accuracies, trial.models[best], len(fit), len(validation), at_limit)


class _Trial:
    """Fits with one C after another and keeps the models and their accuracies."""

    def __init__(self, fitter: Fitter, vectors: Vectors, truth: Codes) -> None:
        self._fitter, self._vectors, self._truth = fitter, vectors, truth
        self.accuracies: dict[float, float] = {}
        self.models: dict[float, Logistic] = {}

    def search(self) -> bool:
        """Try the grid, what lies beyond its ends and beside its best; return whether the best is at a limit."""
        grid = [self.measure(c) for c in GRID]
        while self.rises(grid[-1], grid[-2]) and grid[-1] < LIMITS[1]:
            grid.append(self.measure(grid[-1] * 10))
        while self.rises(grid[0], grid[1]) and grid[0] > LIMITS[0]:
            grid.insert(0, self.measure(grid[0] / 10))
        if self.rises(grid[-1], grid[-2]) or self.rises(grid[0], grid[1]):
            return True
        best = self.best()
        self.measure(best / 10**0.5)
        self.measure(best * 10**0.5)
        return False

    def measure(self, c: float) -> float:
        """Fit with this C, keep what comes of it, and return the C."""
        self.models[c] = self._fitter.fit(c)
        self.accuracies[c] = float((self.models[c].predict(self._vectors) == self._truth).mean())
        return c

    def best(self) -> float:
        """Return the C of the highest accuracy, the smallest among equals."""
        return max(self.accuracies, key=lambda c: (self.accuracies[c], -c))

    def rises(self, end: float, neighbour: float) -> bool:
        """Return whether the grid's end is the best so far and strictly better than its neighbour."""
        return self.best() == end and self.accuracies[end] > self.accuracies[neighbour]
