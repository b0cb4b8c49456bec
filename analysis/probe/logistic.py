"""A linear classifier on the stored vectors: multinomial logistic regression."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotdex.store.words import Vectors

from .splits import Codes

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
