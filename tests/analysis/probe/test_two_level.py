from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.analysis.probe.few_shot import two_level_bootstrap
from shotdex.analysis.stats.bootstrap import bootstrap


def naive(correct, strata, resamples, seed):
    """Draw indices of draws and of images within each stratum, and look the answers up."""
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(strata == stratum) for stratum in sorted(set(strata.tolist()))]
    means = []
    for _ in range(resamples):
        draws = rng.integers(0, len(correct), len(correct))
        images = np.concatenate([rng.choice(group, len(group)) for group in groups])
        means.append(correct[np.ix_(draws, images)].mean())
    return np.quantile(means, [0.025, 0.975])


def answers(draws=6, images=120, seed=0):
    """Return answers of classifiers that are not equally good, on images that are not equally easy."""
    rng = np.random.default_rng(seed)
    good, easy = rng.normal(0, 0.5, (draws, 1)), rng.normal(0, 1.5, images)
    return rng.random((draws, images)) < 1 / (1 + np.exp(-good - easy - 0.5)), np.arange(images) % 3


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_that_of_drawing_indices(seed):
    correct, strata = answers(seed=seed)
    found = two_level_bootstrap(correct, strata, 6000, seed)
    low, high = naive(correct, strata, 6000, seed + 50)
    # Each bound is a quantile of 6,000 means with a deviation near 0.03, known to about 0.001.
    assert found.low == pytest.approx(low, abs=0.006)
    assert found.high == pytest.approx(high, abs=0.006)
    assert found.value == correct.mean()
    assert found.n == 120


def test_it_covers_draws_and_images_and_so_is_wider_than_either_alone():
    correct, strata = answers(10, 300)
    both = two_level_bootstrap(correct, strata)
    images = bootstrap(lambda rows: correct[:, rows].mean(), strata, 2000).estimates()[0]
    rng = np.random.default_rng(0)
    draws = np.quantile([correct[rng.integers(0, 10, 10)].mean() for _ in range(2000)], [0.025, 0.975])
    assert both.high - both.low > 1.05 * max(images.high - images.low, draws[1] - draws[0])


def test_one_draw_leaves_the_bootstrap_of_the_images():
    correct, strata = answers(1)
    found = two_level_bootstrap(correct, strata, 5000, 1)
    images = bootstrap(lambda rows: correct[:, rows].mean(), strata, 5000, 2).estimates()[0]
    assert (found.low, found.high) == pytest.approx((images.low, images.high), abs=0.01)
    assert "one draw" in found.method


@given(
    st.integers(1, 5).flatmap(
        lambda draws: st.lists(
            st.tuples(st.lists(st.booleans(), min_size=draws, max_size=draws), st.integers(-1, 2)), min_size=1
        )
    )
)
def test_the_bounds_hold_the_range_of_accuracies(columns):
    correct = np.array([answers for answers, _ in columns]).T
    strata = np.array([stratum for _, stratum in columns])
    correct.flags.writeable = strata.flags.writeable = False
    found = two_level_bootstrap(correct, strata, 200)
    assert 0 <= found.low <= found.high <= 1 + 1e-12
    assert found.value == pytest.approx(correct.mean())
    if correct.all() or not correct.any():
        assert found.low == found.high == found.value


def test_without_images_or_draws_nothing_is_known():
    for shape in ((3, 0), (0, 4)):
        found = two_level_bootstrap(np.ones(shape, bool), np.zeros(shape[1], np.int64))
        assert isnan(found.value) and isnan(found.low) and isnan(found.high)


def test_the_same_seed_gives_the_same_interval():
    correct, strata = answers()
    assert two_level_bootstrap(correct, strata, 300, 4) == two_level_bootstrap(correct, strata, 300, 4)
    assert two_level_bootstrap(correct, strata, 300, 4) != two_level_bootstrap(correct, strata, 300, 5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        two_level_bootstrap(np.ones((2, 3), bool), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="no resamples"):
        two_level_bootstrap(np.ones((2, 3), bool), np.zeros(3, np.int64), 0)
