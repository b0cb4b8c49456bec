from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.analysis.probe import problem as splits
from shotdex.analysis.probe.problem import class_orders, halves, subsample, validation_split

codes_of = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(lambda codes: np.array(codes, np.int64))
seeds = st.integers(0, 2**32)


@given(codes_of, seeds)
def test_validation_is_a_fifth_of_each_class_and_leaves_each_class_something(codes, seed):
    fit, validation = validation_split(codes, seed)
    assert sorted([*fit.tolist(), *validation.tolist()]) == list(range(len(codes)))
    assert (np.diff(fit) > 0).all() and (np.diff(validation) > 0).all()
    taken = Counter(codes[validation].tolist())
    for code, n in Counter(codes.tolist()).items():
        assert taken[code] == (0 if n == 1 else max(n // 5, 1))


@given(codes_of, seeds)
def test_the_same_seed_splits_alike(codes, seed):
    first, second = validation_split(codes, seed), validation_split(codes.copy(), seed)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    orders = class_orders(codes, seed, 3), class_orders(codes, seed, 3)
    assert all(np.array_equal(a, b) for a, b in zip(*orders, strict=True))


def test_other_seeds_and_draws_split_otherwise():
    codes = np.repeat(np.arange(3), 50)
    assert not np.array_equal(validation_split(codes, 0)[1], validation_split(codes, 1)[1])
    assert not np.array_equal(np.concatenate(class_orders(codes, 0, 0)), np.concatenate(class_orders(codes, 0, 1)))


def test_validation_stays_small_where_there_are_many(monkeypatch):
    monkeypatch.setattr(splits, "VALIDATION_AT_MOST", 30)
    codes = np.repeat(np.arange(3), [300, 200, 2])
    taken = np.bincount(codes[validation_split(codes, 0)[1]])
    assert taken.tolist() == [17, 11, 1]  # 30 of 502 images, rounded down; one of the class that has two


@given(codes_of, st.integers(1, 80), seeds)
def test_a_subsample_has_every_class_in_its_share(codes, at_most, seed):
    rows = subsample(codes, at_most, seed)
    assert (np.diff(rows) > 0).all()
    kept = Counter(codes[rows].tolist())
    for code, n in Counter(codes.tolist()).items():
        assert kept[code] == (n if len(codes) <= at_most else max(int(n * (at_most / len(codes))), 1))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 25)), min_size=1, max_size=60), seeds)
def test_halves_are_disjoint_and_keep_copies_together(images, seed):
    codes, contents = np.array(images, np.int64).T
    train, test = halves(codes, contents.astype(str), seed)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(codes)))
    assert not set(contents[train].tolist()) & set(contents[test].tolist())
    owner = {}
    for code, content in images:
        owner.setdefault(content, code)
    here = Counter(owner[content] for content in set(contents[test].tolist()))
    assert all(here[code] == n // 2 for code, n in Counter(owner.values()).items())


@given(codes_of, seeds, st.integers(0, 5))
def test_orders_hold_each_class_once_by_rising_code(codes, seed, draw):
    orders = class_orders(codes, seed, draw)
    assert [sorted(order.tolist()) for order in orders] == [
        np.flatnonzero(codes == code).tolist() for code in sorted(set(codes.tolist()))
    ]


@pytest.mark.parametrize("split", [validation_split, lambda codes, seed: subsample(codes, 20, seed)])
def test_inputs_stay_as_they_are(split):
    codes = np.arange(60) % 4
    codes.flags.writeable = False
    split(codes, 0)
