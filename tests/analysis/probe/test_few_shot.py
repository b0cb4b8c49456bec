from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from shotdex.analysis.probe.few_shot import FewShotOptions, draw_shots, few_shot_probe, needed
from shotdex.analysis.probe.problem import Problem

from .made import problem


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 4), st.integers(0, 9), st.integers(0, 99))
def test_draws_are_disjoint_and_hold_as_many_of_each_class(shots, classes, more, draw, seed):
    codes = np.arange(classes * (needed(shots) + more)) % classes
    fit, validation = draw_shots(codes, shots, seed, draw)
    assert not set(fit.tolist()) & set(validation.tolist())
    assert Counter(codes[fit].tolist()) == dict.fromkeys(range(classes), shots)
    assert Counter(codes[validation].tolist()) == dict.fromkeys(range(classes), min(shots, 4))
    again = draw_shots(codes, shots, seed, draw)
    assert np.array_equal(again[0], fit) and np.array_equal(again[1], validation)


def test_fewer_shots_are_among_more_and_draws_differ():
    codes = np.arange(200) % 4
    drawn = {shots: set(draw_shots(codes, shots, 0, 0)[0].tolist()) for shots in (1, 2, 8)}
    assert drawn[1] < drawn[2] < drawn[8]
    assert drawn[8] != set(draw_shots(codes, 8, 0, 1)[0].tolist()) != set(draw_shots(codes, 8, 1, 1)[0].tolist())


def test_a_class_with_too_few_images_is_refused():
    with pytest.raises(ValueError, match="2 shots take 4"):
        draw_shots(np.array([0, 0, 0, 0, 1, 1, 1]), 2, 0, 0)


@pytest.mark.parametrize("shots", [1, 4])
def test_each_draw_is_scikit_learn_on_those_images(shots):
    given = problem(120, 90, 3, spread=0.5)
    found = few_shot_probe(given, shots, FewShotOptions(draws=5, seed=3))
    for draw, c in enumerate(found.cs):
        fit = draw_shots(given.train_codes, shots, 3, draw)[0]
        model = LogisticRegression(C=c, tol=1e-8, max_iter=5000)
        model.fit(given.train[fit].astype(np.float64), given.train_codes[fit])
        expected = model.predict(given.test.astype(np.float64)) == given.test_codes
        assert (found.correct[draw] == expected).mean() > 0.97  # the tolerance leaves a little at the boundaries
        assert found.accuracies[draw] == found.correct[draw].mean()
    assert found.estimate.value == pytest.approx(np.mean(found.accuracies), abs=1e-12)
    assert found.estimate.low < found.estimate.value < found.estimate.high
    assert (found.estimate.n, found.shots, found.unconverged) == (90, shots, 0)


def test_more_images_help():
    given = problem(200, 150, 3, spread=0.5)
    one, many = (few_shot_probe(given, shots, FewShotOptions(draws=5)).estimate for shots in (1, 16))
    assert many.value > one.value + 0.1


def test_test_labels_choose_nothing_and_a_seed_repeats():
    given = problem(120, 90, 3, spread=0.5)
    other = Problem(given.train, given.train_codes, given.test, np.roll(given.test_codes, 1), 3)
    settings = FewShotOptions(draws=4, seed=9)
    first, second, again = (few_shot_probe(p, 4, settings) for p in (given, other, given))
    assert first.cs == second.cs
    assert first.estimate == again.estimate
    assert np.array_equal(first.correct, again.correct)
    assert first.estimate != second.estimate


def test_every_draw_is_told():
    told = []
    few_shot_probe(problem(60, 20), 1, FewShotOptions(draws=3), lambda: told.append(1))
    assert len(told) == 3
