from __future__ import annotations

from collections.abc import Iterator
from math import isnan, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from shotdex.analysis.metrics.confusion import mean_per_class_recall, per_class
from shotdex.analysis.stats.bootstrap import bootstrap
from shotdex.store.types import Estimate

strata = st.lists(st.integers(-2, 3), min_size=1, max_size=25)


def frozen(values: object, dtype: type = np.int64) -> np.ndarray:
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


def drawn(codes: np.ndarray, resamples: int, seed: int) -> list[list[int]]:
    """The index arrays that the statistic is asked about, the first being all images in order."""
    seen: list[list[int]] = []

    def note(indices: np.ndarray) -> float:
        assert indices.dtype == np.int64
        seen.append(indices.tolist())
        return 0.0

    bootstrap(note, codes, resamples, seed)
    return seen


def naive_draws(codes: list[int], resamples: int, seed: int) -> Iterator[list[int]]:
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        places = rng.random(len(codes)).tolist()
        peers = [[j for j, other in enumerate(codes) if other == code] for code in codes]
        yield [mine[int(place * len(mine))] for mine, place in zip(peers, places, strict=True)]


@given(strata, st.integers(0, 2**32))
def test_the_draws_match_a_naive_twin(codes: list[int], seed: int) -> None:
    first, *rest = drawn(frozen(codes), 3, seed)
    assert first == list(range(len(codes)))
    assert rest == list(naive_draws(codes, 3, seed))


@given(strata)
def test_every_resample_takes_from_a_stratum_as_many_as_it_holds(codes: list[int]) -> None:
    for indices in drawn(frozen(codes), 5, 0):
        assert [codes[i] for i in indices] == codes


def test_every_image_of_a_stratum_is_as_likely() -> None:
    codes = np.repeat([0, 1], [3, 7])
    draws = np.array(drawn(codes, 5000, 1)[1:])
    for place in range(10):  # each of the places, on its own, is an even draw from its stratum
        mine = slice(0, 3) if place < 3 else slice(3, 10)
        counts = np.bincount(draws[:, place], minlength=10)
        assert counts[mine].sum() == 5000
        assert stats.chisquare(counts[mine]).pvalue > 1e-4


@given(strata)
def test_the_numbers_of_the_strata_do_not_matter(codes: list[int]) -> None:
    renumbered = [{-2: 40, -1: 7, 0: -9, 1: 1000, 2: 0, 3: 3}[code] for code in codes]
    assert drawn(frozen(codes), 3, 5) == drawn(frozen(renumbered), 3, 5)


def naive_quantile(values: list[float], q: float) -> float:
    """Linear interpolation between the sorted values, the first at 0 and the last at 1."""
    ordered, place = sorted(values), q * (len(values) - 1)
    below = min(int(place), len(values) - 2)
    return ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 5)), min_size=1, max_size=20), st.integers(0, 99))
def test_the_interval_matches_a_naive_twin(rows: list[tuple[int, int]], seed: int) -> None:
    codes, values = [code for code, _ in rows], [value for _, value in rows]
    array = frozen(values, np.float64)
    answer = bootstrap(lambda i: np.array([array[i].mean(), array[i].max()]), frozen(codes), 40, seed)
    draws = [[values[i] for i in indices] for indices in naive_draws(codes, 40, seed)]
    means, largest = [sum(draw) / len(draw) for draw in draws], [float(max(draw)) for draw in draws]
    np.testing.assert_allclose(answer.values, [sum(values) / len(values), max(values)], atol=1e-12)
    np.testing.assert_allclose(answer.low, [naive_quantile(means, 0.025), naive_quantile(largest, 0.025)], atol=1e-12)
    np.testing.assert_allclose(answer.high, [naive_quantile(means, 0.975), naive_quantile(largest, 0.975)], atol=1e-12)


def test_without_strata_it_is_scipy_s_percentile_interval() -> None:
    values = np.random.default_rng(4).exponential(size=60)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    answer = bootstrap(lambda i: values[i].mean(), np.zeros(60, np.int64), 10_000)
    # The 0.025 quantile of 10,000 draws has a standard error of 2.7 / 100 standard errors of the mean; four of these,
    # times sqrt 2 for two sets of draws.
    tolerance = 4 * sqrt(2) * 0.027 * values.std() / sqrt(60)
    assert answer.low[0] == pytest.approx(expected.low, abs=tolerance)
    assert answer.high[0] == pytest.approx(expected.high, abs=tolerance)


def test_strata_take_out_what_varies_between_them() -> None:
    rng = np.random.default_rng(6)
    codes = np.repeat(np.arange(4), [50, 100, 150, 200])
    values = codes * 10 + rng.normal(size=500)
    answer = bootstrap(lambda i: values[i].mean(), codes, 4000)
    # The variance of a stratified mean: the sum over strata of (n_h / N)^2 x variance_h / n_h.
    variance = sum((codes == h).sum() * values[codes == h].var() for h in range(4)) / 500**2
    width = 2 * stats.norm.ppf(0.975) * sqrt(variance)
    assert answer.high[0] - answer.low[0] == pytest.approx(width, rel=0.08)
    loose = bootstrap(lambda i: values[i].mean(), np.zeros(500, np.int64), 1000)
    assert loose.high[0] - loose.low[0] > 5 * width


def test_several_statistics_at_once_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(9)
    truth, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)

    def both(i: np.ndarray) -> np.ndarray:
        return np.append(
            per_class(truth[i], predicted[i], 4).precision, mean_per_class_recall(truth[i], predicted[i], 4)
        )

    answer = bootstrap(both, truth, 200, seed=3)
    alone = bootstrap(lambda i: mean_per_class_recall(truth[i], predicted[i], 4), truth, 200, seed=3)
    assert answer.values.shape == (5,)
    assert (answer.values[4], answer.low[4], answer.high[4]) == (alone.values[0], alone.low[0], alone.high[0])
    assert (answer.low < answer.values).all() and (answer.values < answer.high).all()


def test_the_seed_decides_the_draws() -> None:
    values, codes = np.random.default_rng(0).normal(size=50), np.zeros(50, np.int64)
    first, again, other = (bootstrap(lambda i: values[i].mean(), codes, 50, seed) for seed in (1, 1, 2))
    assert (first.low[0], first.high[0]) == (again.low[0], again.high[0])
    assert first.low[0] != other.low[0]


def test_resamples_in_which_a_statistic_is_undefined_are_left_out_and_counted() -> None:
    flags = np.array([True, False, False, False])
    seen: list[float] = []

    def share(i: np.ndarray) -> np.ndarray:
        # 1 / share of True: undefined where no True was drawn, which happens to (3/4)^4 = 32 % of resamples.
        hits = flags[i].sum()
        seen.append(len(i) / hits if hits else nan)
        return np.array([seen[-1], nan, 1.0])

    answer = bootstrap(share, np.zeros(4, np.int64), 300, seed=0)
    draws = np.array(seen[1:])
    undefined = int(np.isnan(draws).sum())
    assert 60 < undefined < 130
    assert answer.undefined.tolist() == [undefined, 300, 0]
    assert (answer.values[0], answer.low[0], answer.high[0]) == (4.0, *np.nanquantile(draws, [0.025, 0.975]))
    assert np.isnan([answer.values[1], answer.low[1], answer.high[1]]).all()
    assert [estimate.method for estimate in answer.estimates()] == [
        f"bootstrap 95 %, 300 resamples, seed 0, {undefined} undefined left out",
        "bootstrap 95 %, 300 resamples, seed 0",
        "bootstrap 95 %, 300 resamples, seed 0",
    ]


def test_a_statistic_that_is_undefined_in_the_sample_stays_undefined() -> None:
    # Defined in every resample but not in the sample itself: no value, so no interval either.
    answer = bootstrap(lambda i: nan if i.tolist() == [0, 1, 2] else 1.0, np.zeros(3, np.int64), 20, seed=1)
    assert isnan(answer.values[0]) and isnan(answer.low[0]) and isnan(answer.high[0])


def test_a_statistic_that_is_undefined_in_every_resample_has_no_interval() -> None:
    answer = bootstrap(lambda i: 1.0 if i.tolist() == list(range(9)) else nan, np.zeros(9, np.int64), 20)
    assert answer.values[0] == 1
    assert isnan(answer.low[0]) and isnan(answer.high[0])
    assert answer.undefined.tolist() == [20]


def test_estimates_carry_their_count_and_method() -> None:
    codes = np.array([0, 0, 1, 1, 1])
    answer = bootstrap(lambda i: np.array([2.0, 3.0]), codes, 10, seed=7)
    method = "stratified bootstrap 95 %, 10 resamples, seed 7"
    assert answer.estimates() == [Estimate(2, 2, 2, 5, method), Estimate(3, 3, 3, 5, method)]
    assert [estimate.n for estimate in answer.estimates([4, 1])] == [4, 1]
    assert (answer.n, answer.strata) == (5, 2)
    with pytest.raises(ValueError, match="zip"):
        answer.estimates([4])


def test_a_stratum_of_one_always_gives_its_image() -> None:
    assert drawn(np.array([3, 1, 2]), 4, 0) == [[0, 1, 2]] * 5


def test_without_images_everything_is_undefined() -> None:
    answer = bootstrap(lambda i: np.array([len(i), 2.0]), np.array([], dtype=np.int64))
    assert np.isnan([answer.values, answer.low, answer.high]).all() and answer.values.shape == (2,)
    assert [estimate.n for estimate in answer.estimates()] == [0, 0]
    recall = bootstrap(lambda i: mean_per_class_recall(i, i, 3), np.array([], dtype=np.int64))
    assert isnan(recall.values[0])


def test_what_cannot_be_drawn_or_is_no_vector_is_refused() -> None:
    codes = np.array([0, 0, 0])
    with pytest.raises(ValueError, match="0 resamples"):
        bootstrap(lambda i: 1.0, codes, 0)
    with pytest.raises(ValueError, match="shape"):
        bootstrap(lambda i: 1.0, np.zeros((2, 2), np.int64))
    with pytest.raises(ValueError, match="not a vector"):
        bootstrap(lambda i: np.zeros((2, 2)), codes)
    with pytest.raises(ValueError, match="for the images and"):
        bootstrap(lambda i: np.zeros(len(set(i.tolist()))), codes)
