from unittest.mock import patch

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from shotdex.analysis.probe import linear as logistic
from shotdex.analysis.probe.linear import Fitter

from .made import blobs


def chances(scores):
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("c", [0.5, 30.0, 2000.0])
def test_the_minimum_is_that_of_scikit_learn_on_the_raw_vectors(classes, c, monkeypatch):
    """Another solver, no centring, no scaling: the same probabilities.

    To 1e-5: L-BFGS also stops where a step lowers the loss by no more than 64 roundings, 1.4e-14 of it. With c = 2000
    the minimum is so flat that the place then is told to a few millionths only, and which one the processor decides.
    """
    monkeypatch.setattr(logistic, "TOLERANCE", 1e-10)
    vectors, codes = blobs(150, classes)
    independent = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-12).fit(vectors.astype(np.float64), codes)
    model = Fitter(vectors, codes, classes).fit(c)
    queries = blobs(40, classes, seed=7)[0]
    scores = queries @ model.weights.T + model.bias
    assert chances(scores) == pytest.approx(independent.predict_proba(queries.astype(np.float64)), abs=1e-5)
    first, second = np.sort(chances(scores), axis=1)[:, :-3:-1].T
    clear = first - second > 1e-4
    assert clear.mean() > 0.9
    assert np.array_equal(model.predict(queries)[clear], independent.predict(queries.astype(np.float64))[clear])
    assert (model.c, model.converged) == (c, True)


def test_step_for_step_it_is_scikit_learn_on_centred_and_scaled_vectors():
    vectors, codes = blobs(150, 4)
    features = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    spread = np.sqrt((features**2).mean())
    independent = LogisticRegression(C=20 * spread**2, tol=1e-4, max_iter=1000).fit(features / spread, codes)
    model = Fitter(vectors, codes, 4).fit(20)
    assert model.weights == pytest.approx(independent.coef_ / spread, abs=1e-9)
    assert model.steps == independent.n_iter_[0]


@pytest.mark.parametrize("classes", [2, 4])
def test_a_fit_that_starts_from_another_ends_at_the_same_place(classes, monkeypatch):
    monkeypatch.setattr(logistic, "TOLERANCE", 1e-9)
    vectors, codes = blobs(120, classes)
    cold = Fitter(vectors, codes, classes).fit(100.0)
    warm = Fitter(vectors, codes, classes)
    for c in (1.0, 10.0):
        warm.fit(c)
    given = Fitter(vectors, codes, classes).fit(100.0, start=cold)
    for other in (warm.fit(100.0), given):
        difference = (other.weights - other.weights.mean(0)) - (cold.weights - cold.weights.mean(0))
        assert np.abs(difference).max() < 1e-5
    assert given.steps <= 2 < cold.steps


def test_a_class_without_images_is_never_predicted():
    vectors, codes = blobs(60, 2)
    model = Fitter(vectors, codes * 2, 3).fit(10.0)  # classes 0 and 2 of three
    assert set(model.predict(blobs(200, 3, seed=3)[0]).tolist()) == {0, 2}


def test_one_class_is_always_predicted():
    vectors, _ = blobs(10)
    model = Fitter(vectors, np.full(10, 1), 3).fit(10.0)
    assert model.predict(vectors).tolist() == [1] * 10


def test_vectors_that_are_all_the_same_give_the_commonest_class():
    same = np.tile(np.array([[0.6, 0.8]], np.float32), (9, 1))
    model = Fitter(same, np.array([0, 1, 1, 1, 1, 2, 2, 0, 1]), 3).fit(10.0)
    assert model.predict(same).tolist() == [1] * 9


def test_a_fit_that_runs_out_of_steps_says_so():
    vectors, codes = blobs(150, 4)
    with patch.object(logistic, "MOST_STEPS", 3):
        model = Fitter(vectors, codes, 4).fit(1000.0)
    assert (model.steps, model.converged) == (3, False)


def test_vectors_stay_as_they_are():
    vectors, codes = blobs(30)
    vectors.flags.writeable = codes.flags.writeable = False
    Fitter(vectors, codes, 3).fit(1.0)
