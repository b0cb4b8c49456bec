from __future__ import annotations

from math import isnan, nan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from shotdex.analysis.stats.proportions import DIFFERENCE_METHOD as METHOD
from shotdex.analysis.stats.proportions import Verdict, difference_interval, verdict, wilson
from shotdex.store.types import Estimate

counts = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, counts)
def test_two_wilson_intervals_give_what_statsmodels_computes(a: tuple[int, int], b: tuple[int, int]) -> None:
    low, high = confint_proportions_2indep(*b, *a, compare="diff", method="newcomb")
    answer = difference_interval(wilson(*a), wilson(*b))
    assert answer.value == pytest.approx(b[0] / b[1] - a[0] / a[1], abs=1e-12)
    assert answer.low == pytest.approx(low, abs=1e-9)
    assert answer.high == pytest.approx(high, abs=1e-9)
    assert (answer.n, answer.method) == (min(a[1], b[1]), METHOD)
    assert -1 - 1e-12 <= answer.low <= answer.value <= answer.high <= 1 + 1e-12


def test_the_example_in_newcombe_s_paper() -> None:
    # Newcombe (1998), table II, (a) 56/70 - 48/80, method 10.
    answer = difference_interval(wilson(48, 80), wilson(56, 70))
    assert (round(answer.low, 4), round(answer.high, 4)) == (0.0524, 0.3339)


@given(counts, counts)
def test_other_intervals_than_wilson_enter_with_their_own_bounds(a: tuple[int, int], b: tuple[int, int]) -> None:
    first, second = (Estimate(k / n, *proportion_confint(k, n, method="beta"), n, "exact") for k, n in (a, b))
    answer = difference_interval(first, second)
    gap = second.value - first.value
    low = gap - sqrt((second.value - second.low) ** 2 + (first.high - first.value) ** 2)
    high = gap + sqrt((second.high - second.value) ** 2 + (first.value - first.low) ** 2)
    assert (answer.low, answer.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


def test_swapping_the_two_turns_the_interval_around() -> None:
    there, back = (
        difference_interval(*pair) for pair in ((wilson(3, 9), wilson(8, 11)), (wilson(8, 11), wilson(3, 9)))
    )
    assert (back.value, back.low, back.high) == (-there.value, -there.high, -there.low)


def test_an_estimate_without_an_interval_is_taken_as_exact() -> None:
    people, model = Estimate(0.835, nan, nan, 0, "read off a figure"), wilson(63, 100)
    answer = difference_interval(people, model)
    assert (answer.value, answer.low, answer.high) == tuple(
        pytest.approx(x - 0.835, abs=1e-15) for x in (model.value, model.low, model.high)
    )
    assert (answer.n, answer.method) == (100, "newcombe 95 %, first value taken as exact")
    back = difference_interval(model, people)
    assert (back.value, back.low, back.high) == (-answer.value, -answer.high, -answer.low)
    assert (back.n, back.method) == (100, "newcombe 95 %, second value taken as exact")


def test_two_values_without_an_interval_cannot_be_told_apart() -> None:
    answer = difference_interval(Estimate(0.1, nan, nan, 5, ""), Estimate(0.9, nan, nan, 7, ""))
    assert answer.value == pytest.approx(0.8)
    assert isnan(answer.low) and isnan(answer.high)
    assert verdict(answer) is Verdict.UNCLEAR


@pytest.mark.parametrize("pair", [(wilson(0, 0), wilson(3, 4)), (wilson(3, 4), wilson(0, 0))])
def test_an_undefined_share_has_no_difference(pair: tuple[Estimate, Estimate]) -> None:
    answer = difference_interval(*pair)
    assert isnan(answer.value) and isnan(answer.low) and isnan(answer.high)
    assert answer.n == 0
    assert verdict(answer) is Verdict.UNCLEAR


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.01, 0.3, "better"),
        (-0.3, -0.01, "worse"),
        (-0.1, 0.2, "not distinguishable"),
        (0.0, 0.2, "not distinguishable"),
        (-0.2, 0.0, "not distinguishable"),
        (0.0, 0.0, "not distinguishable"),
        (0.1 + 0.2 - 0.3, 0.3, "not distinguishable"),  # 5.6e-17: 0, but for rounding
        (-0.3, 0.3 - 0.1 - 0.2, "not distinguishable"),
        (nan, nan, "not distinguishable"),
    ],
)
def test_the_verdict_follows_from_the_interval(low: float, high: float, word: str) -> None:
    answer = verdict(Estimate((low + high) / 2, low, high, 9, ""))
    assert answer is Verdict(word)
    assert f"{answer}" == word


@given(counts.filter(lambda pair: 0 < pair[0] < pair[1]))
def test_a_value_on_the_edge_of_an_interval_is_not_distinguishable(pair: tuple[int, int]) -> None:
    share = wilson(*pair)
    for edge in (share.low, share.high):
        assert verdict(difference_interval(Estimate(edge, nan, nan, 0, ""), share)) is Verdict.UNCLEAR
    below, above = (Estimate(edge, nan, nan, 0, "") for edge in (share.low - 1e-6, share.high + 1e-6))
    assert verdict(difference_interval(below, share)) is Verdict.BETTER
    assert verdict(difference_interval(above, share)) is Verdict.WORSE
