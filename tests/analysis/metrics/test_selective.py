"""Risk and coverage, temperature and prediction sets against their definitions, read image by image."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, exp, isnan, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from shotdex.analysis.metrics.selective import (
    area_under_risk,
    best_area,
    confidences,
    coverage_range,
    fewest_for_sets,
    fit_temperature,
    losses,
    place_of_threshold,
    risk_coverage,
    set_threshold,
    slopes,
)

# Few values, so that ties are common.
chances = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
judged = st.lists(st.tuples(chances, st.booleans()), min_size=1, max_size=40)


def columns(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p for p, _ in rows]), np.array([c for _, c in rows], dtype=bool)


@given(judged)
def test_risk_and_area_match_a_naive_twin(rows: list[tuple[float, bool]]) -> None:
    found = risk_coverage(*columns(rows))
    expected = sorted({p for p, _ in rows}, reverse=True)
    assert found.thresholds.tolist() == expected
    for place, threshold in enumerate(expected):
        kept = [right for p, right in rows if p >= threshold]
        assert (found.kept[place], found.wrong[place]) == (len(kept), kept.count(False))
    risks = []
    for own, _ in rows:
        kept = [right for p, right in rows if p >= own]
        risks.append(kept.count(False) / len(kept))
    assert area_under_risk(found) == pytest.approx(sum(risks) / len(rows), abs=1e-12)
    for coverage in (0.1, 0.25, 0.5, 0.9, 1.0):
        place = found.at(coverage)
        assert found.kept[place] >= coverage * len(rows) - 1e-9
        assert place == 0 or found.kept[place - 1] < coverage * len(rows)


@given(st.integers(0, 30), st.integers(1, 30))
def test_no_order_has_less_than_the_best_area(wrong: int, right: int) -> None:
    n = wrong + right
    ordered = np.arange(n, 0, -1) / n
    best = risk_coverage(ordered, np.arange(n) < right)
    assert best_area(wrong, n) == pytest.approx(area_under_risk(best), abs=1e-12)
    shuffled = np.random.default_rng(n).permutation(n) < right
    assert area_under_risk(risk_coverage(ordered, shuffled)) >= best_area(wrong, n) - 1e-12


def test_without_images() -> None:
    nothing = risk_coverage(np.array([]), np.array([], dtype=bool))
    assert isnan(area_under_risk(nothing))
    assert isnan(best_area(0, 0))
    assert isnan(fit_temperature(np.empty((0, 3), np.float32), np.array([], dtype=np.int64)))


def naive_loss(logits: np.ndarray, truth: np.ndarray, temperature: float) -> float:
    total = 0.0
    for row, own in zip(logits.astype(float).tolist(), truth.tolist(), strict=True):
        best = max(row)
        total += log(sum(exp((z - best) / temperature) for z in row)) - (row[own] - best) / temperature
    return total / len(logits)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_temperature_has_the_least_loss(sharpness: float) -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(300, 6)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(6, p=row) for row in shares])
    given_logits = (logits * sharpness).astype(np.float32)
    found = fit_temperature(given_logits, truth)
    bounds = {"bounds": (-4, 4), "method": "bounded", "options": {"xatol": 1e-6}}
    twin = minimize_scalar(lambda power: naive_loss(given_logits, truth, exp(power)), **bounds)
    assert found == pytest.approx(exp(twin.x), rel=1e-3)
    assert found == pytest.approx(sharpness, rel=0.25), "the classes were drawn at this temperature"
    assert losses(given_logits, truth, found).mean() == pytest.approx(naive_loss(given_logits, truth, found), abs=1e-9)
    step = 1e-5
    rise = (losses(given_logits, truth, 1 / (1 + step)) - losses(given_logits, truth, 1 / (1 - step))) / (2 * step)
    np.testing.assert_allclose(slopes(given_logits, truth, np.array([1.0]))[:, 0], rise, atol=1e-5)
    scaled = np.exp(given_logits.astype(float) / found)
    np.testing.assert_allclose(confidences(given_logits, found), scaled.max(axis=1) / scaled.sum(axis=1), rtol=1e-9)


def test_no_temperature_has_the_least_loss() -> None:
    logits = np.eye(3, dtype=np.float32) * 5
    assert isnan(fit_temperature(logits, np.arange(3))), "all right: the lower the better"
    assert isnan(fit_temperature(logits, np.array([1, 2, 0]))), "all wrong: the higher the better"
    assert isnan(fit_temperature(np.zeros((4, 3), np.float32), np.zeros(4, np.int64))), "nothing to scale"


@given(st.lists(chances, min_size=1, max_size=60), st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.3, 0.7]))
def test_the_threshold_is_the_quantile(own: list[float], coverage: float) -> None:
    n, share = len(own), Fraction(str(coverage))
    place = ceil((n + 1) * share)
    assert place_of_threshold(n, coverage) == place
    found = set_threshold(np.array(own), coverage)
    if place > n:
        assert isnan(found)
        assert n < fewest_for_sets(coverage)
    else:
        scores = sorted(1 - p for p in own)  # of the literature: the place-th smallest of 1 - p
        assert 1 - found == pytest.approx(scores[place - 1], abs=1e-12)
        assert n >= fewest_for_sets(coverage)


@pytest.mark.parametrize("n", [9, 10, 19, 29, 99])
def test_the_statement_is_exact(n: int) -> None:
    """Of n + 1 images in a random order, each as likely the further one, exactly `place` are covered."""
    rng = np.random.default_rng(n)
    own = rng.random(n + 1)
    covered = 0
    for further in range(n + 1):
        threshold = set_threshold(np.delete(own, further), 0.9)
        covered += bool(own[further] >= threshold)
    assert covered == place_of_threshold(n, 0.9) == ceil((n + 1) * Fraction(9, 10))


def test_the_range_of_coverages() -> None:
    rng = np.random.default_rng(0)
    # With uniform probabilities the share of further images above a threshold t is 1 - t.
    drawn = [1 - set_threshold(rng.random(50), 0.9) for _ in range(4000)]
    assert coverage_range(50, 0.9) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)
    assert all(map(isnan, coverage_range(8, 0.9)))
    assert fewest_for_sets(0.9) == 9
    assert fewest_for_sets(0.95) == 19
