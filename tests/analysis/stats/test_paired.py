from __future__ import annotations

from collections import Counter
from itertools import product
from math import comb, isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar

from shotdex.analysis.stats.bootstrap import bootstrap
from shotdex.analysis.stats.paired import Paired, mcnemar_exact, paired

answers = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2)), min_size=1, max_size=30)


def columns(rows: list[tuple[bool, bool, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    arrays = [np.array([row[i] for row in rows], dtype=kind) for i, kind in enumerate((bool, bool, np.int64))]
    for array in arrays:
        array.flags.writeable = False
    return arrays[0], arrays[1], arrays[2]


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_exact_test_matches_a_naive_twin(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    tail = sum(comb(n, i) for i in range(min(only_a, only_b) + 1)) / 2**n
    assert mcnemar_exact(only_a, only_b) == pytest.approx(min(1.0, 2 * tail), rel=1e-12)


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 50))
def test_the_exact_test_is_what_statsmodels_and_scipy_compute(only_a: int, only_b: int, both: int) -> None:
    expected = mcnemar([[both, only_a], [only_b, 7]], exact=True).pvalue
    answer = mcnemar_exact(only_a, only_b)
    assert answer == pytest.approx(expected, rel=1e-9, abs=1e-300)
    if only_a + only_b:
        assert answer == pytest.approx(binomtest(only_a, only_a + only_b).pvalue, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("only_a", "only_b", "p"), [(0, 0, 1), (5, 5, 1), (5, 6, 1), (0, 5, 0.0625), (6, 0, 0.03125)])
def test_p_values_that_one_can_check_by_hand(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar_exact(only_a, only_b) == pytest.approx(p, rel=1e-14)
    assert mcnemar_exact(only_a, only_b) <= 1


def test_counts_below_nought_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be counted"):
        mcnemar_exact(-1, 2)


@given(answers)
def test_the_counts_match_a_naive_twin(rows: list[tuple[bool, bool, int]]) -> None:
    answer = paired(*columns(rows), resamples=20)
    counts = Counter((a, b) for a, b, _ in rows)
    assert (answer.n, answer.both_right, answer.both_wrong) == (len(rows), counts[True, True], counts[False, False])
    assert (answer.only_a, answer.only_b) == (counts[True, False], counts[False, True])
    gain = sum(b for _, b, _ in rows) / len(rows) - sum(a for a, _, _ in rows) / len(rows)
    assert answer.difference.value == pytest.approx(gain, abs=1e-12)
    assert answer.difference.n == len(rows)
    assert -1 <= answer.difference.low <= answer.difference.high <= 1
    assert answer.p_value == mcnemar_exact(answer.only_a, answer.only_b)


def exact_differences(rows: list[tuple[bool, bool, int]]) -> dict[int, float]:
    """Chance of each summed difference, by going through every resample that there can be."""
    chances = {0: 1.0}
    for stratum in sorted({code for _, _, code in rows}):
        gains = [int(b) - int(a) for a, b, code in rows if code == stratum]
        sums = Counter(sum(draw) for draw in product(gains, repeat=len(gains)))
        total = len(gains) ** len(gains)
        joined: dict[int, float] = {}
        for (mine, chance), (other, count) in product(chances.items(), sums.items()):
            joined[mine + other] = joined.get(mine + other, 0.0) + chance * count / total
        chances = joined
    return chances


SMALL_CASES = (
    [(True, False, 0)] * 2 + [(False, True, 0)] * 3 + [(False, True, 1)] * 2 + [(True, True, 1)] * 2,
    [(True, False, 0), (False, False, 0), (False, True, 1), (False, False, 1), (False, True, 2), (True, True, 2)],
    [(False, True, 0)] * 4 + [(True, False, 0)] * 2,
    # Two strata with the same counts are drawn as one of twice the size.
    [(True, False, 0), (False, True, 0), (True, True, 0), (True, False, 1), (False, True, 1), (False, False, 1)],
)


@pytest.mark.parametrize("rows", SMALL_CASES)
def test_the_bounds_are_quantiles_of_all_possible_resamples(rows: list[tuple[bool, bool, int]]) -> None:
    answer = paired(*columns(rows), resamples=40_000, seed=1).difference
    chances = exact_differences(rows)
    assert sum(chances.values()) == pytest.approx(1)
    assert max(chances) > min(chances)
    slack = 5 * np.sqrt(0.025 * 0.975 / 40_000)
    for bound, quantile in ((answer.low, 0.025), (answer.high, 0.975)):
        below = sum(chance for total, chance in chances.items() if total / len(rows) < bound - 1e-9)
        up_to = sum(chance for total, chance in chances.items() if total / len(rows) <= bound + 1e-9)
        assert below <= quantile + slack and up_to >= quantile - slack


def test_it_is_the_bootstrap_of_the_difference_without_drawing_indices() -> None:
    rng = np.random.default_rng(12)
    codes = np.repeat(np.arange(5), [40, 60, 80, 100, 220])
    a, b = rng.random(500) < 0.5 + codes / 12, rng.random(500) < 0.55 + codes / 12
    quick = paired(a, b, codes, resamples=10_000, seed=0).difference
    slow = bootstrap(lambda i: float(b[i].mean() - a[i].mean()), codes, 10_000, seed=0)
    # Four standard errors of a 0.025 quantile of 10,000 draws, times sqrt 2, and one image as both are discrete.
    tolerance = 4 * np.sqrt(2) * 0.027 * (slow.high[0] - slow.low[0]) / 3.92 + 1 / 500
    assert quick.value == pytest.approx(slow.values[0], abs=1e-12)
    assert quick.low == pytest.approx(slow.low[0], abs=tolerance)
    assert quick.high == pytest.approx(slow.high[0], abs=tolerance)


def test_neither_the_order_of_images_nor_the_numbers_of_strata_matter() -> None:
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 4, 90)
    a, b = rng.random(90) < 0.6, rng.random(90) < 0.7
    shuffled = rng.permutation(90)
    names = np.array([30, -1, 5, 12])
    assert paired(a, b, codes) == paired(a[shuffled], b[shuffled], names[codes[shuffled]])


def test_the_seed_decides_and_the_method_names_it() -> None:
    rng = np.random.default_rng(5)
    a, b, codes = rng.random(70) < 0.6, rng.random(70) < 0.7, np.zeros(70, np.int64)
    first = paired(a, b, codes, 31, seed=3).difference
    assert first == paired(a, b, codes, 31, seed=3).difference
    assert (first.low, first.high) != (paired(a, b, codes, 31, seed=4).difference.low, first.high)
    assert first.method == "paired bootstrap 95 %, 31 resamples, seed 3"
    codes[:30] = 1
    assert paired(a, b, codes).difference.method == "paired stratified bootstrap 95 %, 2000 resamples, seed 0"


def test_swapping_the_two_turns_the_difference_around() -> None:
    rng = np.random.default_rng(5)
    a, b, codes = rng.random(300) < 0.6, rng.random(300) < 0.7, rng.integers(0, 3, 300)
    there, back = paired(a, b, codes), paired(b, a, codes)
    assert back.difference.value == -there.difference.value
    assert (back.only_a, back.only_b, back.p_value) == (there.only_b, there.only_a, there.p_value)
    assert back.difference.low == pytest.approx(-there.difference.high, abs=0.01)


def test_equal_answers_have_no_difference() -> None:
    same = np.array([True, False, True])
    answer = paired(same, same, np.array([0, 0, 1]), 10)
    assert (answer.difference.value, answer.difference.low, answer.difference.high, answer.p_value) == (0, 0, 0, 1)


def test_without_images_everything_is_undefined() -> None:
    nothing = np.array([], dtype=bool)
    answer = paired(nothing, nothing, np.array([], dtype=np.int64))
    assert isinstance(answer, Paired)
    assert np.isnan([answer.difference.value, answer.difference.low, answer.difference.high]).all()
    assert isnan(answer.p_value) and answer.n == answer.difference.n == 0


def test_unequal_lengths_and_no_resamples_are_refused() -> None:
    flags = np.array([True, False])
    for a, b, codes in ((flags[:1], flags, [0, 0]), (flags, flags[:1], [0, 0]), (flags, flags, [0])):
        with pytest.raises(ValueError, match="not of one length"):
            paired(a, b, np.array(codes))
    with pytest.raises(ValueError, match="0 resamples"):
        paired(flags, flags, np.array([0, 0]), 0)
