import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from shotdex.analysis.probe import linear as module
from shotdex.analysis.probe.linear import GRID, LIMITS, UNCHOSEN, logistic_probe, sweep
from shotdex.analysis.probe.problem import Problem, subsample, unit_rows, validation_split

from .made import blobs, problem


def chosen_for(given, seed=0):
    fit, validation = validation_split(given.train_codes, seed)
    return sweep(given.train, given.train_codes, fit, validation, given.classes)


class Scripted:
    """A trial whose accuracies are given, to see which strengths are tried."""

    def __init__(self, accuracy):
        self.accuracy, self.tried = accuracy, []

    def search(self, monkeypatch):
        def measure(trial, c):
            self.tried.append(c)
            trial.accuracies[c] = self.accuracy(c)
            return c

        monkeypatch.setattr(module._Trial, "measure", measure)
        trial = module._Trial(None, None, None)
        at_limit = trial.search()
        return trial.best(), at_limit


def peak_at(where):
    return lambda c: 1 - abs(np.log10(c) - where) / 20


@pytest.mark.parametrize("where", [0, 2, 4.9, 6, 6.9, -2, -2.6])
def test_a_peak_is_found_wherever_it_lies(where, monkeypatch):
    best, at_limit = Scripted(peak_at(where)).search(monkeypatch)
    assert abs(np.log10(best) - where) <= 0.25 + 1e-9
    assert not at_limit


@pytest.mark.parametrize(("where", "limit"), [(12, LIMITS[1]), (-9, LIMITS[0])])
def test_a_peak_beyond_the_limits_is_said_to_be(where, limit, monkeypatch):
    best, at_limit = Scripted(peak_at(where)).search(monkeypatch)
    assert best == pytest.approx(limit)
    assert at_limit


def test_where_all_are_equal_the_grid_is_not_extended_and_the_strongest_is_taken(monkeypatch):
    scripted = Scripted(lambda c: 0.5)
    best, at_limit = scripted.search(monkeypatch)
    assert best == min(scripted.tried) == pytest.approx(GRID[0] / 10**0.5)
    assert max(scripted.tried) == GRID[-1]
    assert not at_limit


def test_accuracies_are_those_of_scikit_learn_on_the_validation_part():
    given = problem(200, 50, 4)
    fit, validation = validation_split(given.train_codes, 3)
    found = sweep(given.train, given.train_codes, fit, validation, 4)
    assert list(found.accuracies)[: len(GRID)] == list(GRID)
    for c in (0.1, 1.0, 10.0):
        # Where the L2 strength counts for something both come near the minimum, however they get there.
        model = LogisticRegression(C=c, tol=1e-8, max_iter=5000)
        model.fit(given.train[fit].astype(np.float64), given.train_codes[fit])
        expected = model.score(given.train[validation].astype(np.float64), given.train_codes[validation])
        assert found.accuracies[c] == pytest.approx(expected, abs=1e-9)
    top = max(found.accuracies.values())
    assert found.c == min(c for c, accuracy in found.accuracies.items() if accuracy == top)
    assert (found.fitted, found.validation) == (len(fit), len(validation))


def test_the_final_fit_is_to_all_training_images_with_what_was_chosen():
    given = problem(300, 200, 4)
    found = logistic_probe(given, seed=2)
    assert found.sweep.accuracies == chosen_for(given, 2).accuracies
    model = LogisticRegression(C=found.sweep.c, tol=1e-8, max_iter=5000)
    model.fit(given.train.astype(np.float64), given.train_codes)
    expected = model.predict(given.test.astype(np.float64))
    assert (found.predicted == expected).mean() > 0.99
    assert (found.predicted == given.test_codes).mean() == pytest.approx(
        (expected == given.test_codes).mean(), abs=0.01
    )
    assert found.model.c == found.sweep.c


def test_test_labels_choose_nothing():
    given = problem(150, 60)
    shuffled = Problem(given.train, given.train_codes, given.test, np.roll(given.test_codes, 7) * 0, given.classes)
    first, second = logistic_probe(given), logistic_probe(shuffled)
    assert (first.sweep.c, first.sweep.accuracies) == (second.sweep.c, second.sweep.accuracies)
    assert np.array_equal(first.predicted, second.predicted)
    assert np.array_equal(first.model.weights, second.model.weights)


def test_the_same_seed_gives_the_same_to_the_bit_and_another_splits_otherwise():
    given = problem(150, 60, spread=0.8)
    first, again, other = logistic_probe(given, 5), logistic_probe(given, 5), logistic_probe(given, 6)
    assert np.array_equal(first.model.weights, again.model.weights)
    assert first.sweep.accuracies == again.sweep.accuracies != other.sweep.accuracies


def test_of_many_images_some_are_swept_and_all_are_fitted(monkeypatch):
    monkeypatch.setattr(module, "SWEPT_AT_MOST", 60)
    given = problem(200, 30, 4)
    found = logistic_probe(given)
    fit, validation = validation_split(given.train_codes, 0)
    some = fit[subsample(given.train_codes[fit], 60, 0)]
    assert (found.sweep.fitted, found.sweep.validation) == (len(some), 40)
    assert found.sweep.accuracies == sweep(given.train, given.train_codes, some, validation, 4).accuracies
    whole = LogisticRegression(C=found.sweep.c, tol=1e-8, max_iter=5000)
    whole.fit(given.train.astype(np.float64), given.train_codes)
    assert (found.predicted == whole.predict(given.test.astype(np.float64))).mean() > 0.95


def test_with_one_image_a_class_nothing_is_chosen():
    given = Problem(unit_rows(np.eye(3)), np.arange(3), unit_rows(np.eye(3) + 0.2), np.arange(3), 3)
    found = logistic_probe(given)
    assert (found.sweep.c, found.sweep.validation, found.sweep.accuracies) == (UNCHOSEN, 0, {})
    assert found.predicted.tolist() == [0, 1, 2]


def test_two_classes_and_classes_told_apart_without_fail():
    vectors, codes = blobs(80, 2, spread=0.01)
    found = logistic_probe(Problem(vectors, codes, vectors, codes, 2))
    assert (found.predicted == codes).all()
    assert not found.sweep.at_limit
