"""Multinomial logistic regression on the stored vectors, its L2 strength swept on a validation part."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotdex.store.types import Vectors

from .problem import Codes, Problem, Rows, subsample, validation_split

TOLERANCE = 1e-4
"""Where fitting stops: no slope of the mean loss is steeper, in units of the vectors' spread. Going on moves little: on
Fashion-MNIST (60,000 x 192) it stops after 278 steps at an accuracy of 0.8692, and after 1,520 it is 0.8696."""

MOST_STEPS = 1_000

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Logistic:
    """A fitted classifier: scores are `weights` (C, D) times a vector, plus `bias` (C,), both float64.

    `c` is the inverse of the L2 strength, in scikit-learn's terms for unit vectors. `steps` were taken; where not
    `converged`, these were `MOST_STEPS` and the fit is not the best one.
    """

    weights: Weights
    bias: Weights
    c: float
    steps: int
    converged: bool

    def predict(self, vectors: Vectors) -> Codes:
        """Return the class of the highest score for each of (N, D) vectors, (N,) int64; the lowest among equals."""
        return np.asarray((vectors @ self.weights.T + self.bias).argmax(axis=1), dtype=np.int64)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let fits inside use one thread: the sums are then the same on every machine, to the last bit.

    Little is lost, as the products are thin (D x C): 60 steps over 60,000 x 192 took 5.9 s with one thread and 6.9 with
    two, on two cores that had other work as well.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


class Fitter:
    """Fits the same vectors with several L2 strengths, each from where the next stronger one ended.

    Minimises what scikit-learn's `LogisticRegression(C=c)` does on these vectors: c times the summed log loss plus half
    the squared weights, with the bias free. The vectors are centred and divided by one number, their spread, beforehand
    and weights and c changed to match. So the minimum is the same one, but the tolerance means the same for every
    encoder. On raw unit vectors, which lie close together, a fit that starts from the last one meets the tolerance at
    once for every c from 100 (Fashion-MNIST, 192-d; here from 10,000), and a sweep would choose among equals.

    Args:
        vectors: (N, D) float32, N >= 1.
        codes: (N,) int64 classes from 0 to C - 1; one that does not occur is never predicted.
        classes: C.
    """

    def __init__(self, vectors: Vectors, codes: Codes, classes: int) -> None:
        self._codes, self._classes, self._occurring = codes, classes, np.unique(codes)
        self._features = np.array(vectors, dtype=np.float64)  # a copy, which the next lines change
        self._centre = self._features.mean(axis=0)
        self._features -= self._centre
        self._spread = float(np.sqrt(np.square(self._features).mean())) or 1.0
        self._features /= self._spread
        self._fitted: dict[float, Logistic] = {}

    def fit(self, c: float, start: Logistic | None = None) -> Logistic:
        """Return the classifier for one inverse L2 strength, c > 0, sought from `start` where one is given."""
        if len(self._occurring) == 1:  # nothing to tell apart
            return self._for_vectors(np.zeros((1, self._features.shape[1])), np.zeros(1), c, 0, True)
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=c * self._spread**2, tol=TOLERANCE, max_iter=MOST_STEPS, warm_start=True)
        stronger = [known for known in self._fitted if known <= c]
        if start is not None or stronger:
            model.coef_, model.intercept_ = self._for_features(start or self._fitted[max(stronger)])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(self._features, self._codes)
        converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
        self._fitted[c] = self._for_vectors(model.coef_, model.intercept_, c, int(model.n_iter_[0]), converged)
        return self._fitted[c]

    def _for_vectors(self, coef: Weights, intercept: Weights, c: float, steps: int, converged: bool) -> Logistic:
        """Turn what was fitted to the features into a classifier of the vectors themselves, over all classes."""
        if len(self._occurring) == 2:  # scikit-learn gives one score; the other class's is 0
            coef, intercept = np.vstack([np.zeros_like(coef), coef]), np.append(0.0, intercept)
        weights = np.zeros((self._classes, coef.shape[1]))
        bias = np.full(self._classes, -np.inf)
        weights[self._occurring] = coef / self._spread
        bias[self._occurring] = intercept - weights[self._occurring] @ self._centre
        return Logistic(weights, bias, c, steps, converged)

    def _for_features(self, model: Logistic) -> tuple[Weights, Weights]:
        """Turn a classifier of the vectors into what scikit-learn would have fitted to the features."""
        weights, bias = model.weights[self._occurring], model.bias[self._occurring]
        coef, intercept = weights * self._spread, bias + weights @ self._centre
        if len(self._occurring) == 2:
            coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
        return coef, intercept


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
    `LIMITS`; then the half decades next to the best are tried. Without validation rows nothing is tried, and C is
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
        """Try the grid, what lies beyond its ends and next to its best; return whether the best is at a limit."""
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
