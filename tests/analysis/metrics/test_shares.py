from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.analysis.inference.wilson import wilson
from shotdex.analysis.metrics.shares import accuracy, by_group, top_k

flags = st.lists(st.booleans(), max_size=60)


def frozen(values, dtype):
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


@given(flags)
def test_accuracy_is_the_share_of_right_answers(correct):
    estimate = accuracy(frozen(correct, bool))
    if correct:
        assert estimate == wilson(sum(correct), len(correct))
    else:
        assert isnan(estimate.value) and estimate.n == 0


def naive_by_group(groups, correct):
    out = {}
    for name in groups:
        if name not in out:
            mine = [right for group, right in zip(groups, correct, strict=True) if group == name]
            out[name] = wilson(sum(mine), len(mine))
    return out


@given(st.lists(st.tuples(st.sampled_from("zab"), st.booleans()), max_size=40))
def test_groups_match_a_naive_twin_and_keep_their_order(rows):
    groups = [group for group, _ in rows]
    correct = [right for _, right in rows]
    answer = by_group(groups, frozen(correct, bool))
    assert answer == naive_by_group(groups, correct)
    assert list(answer) == list(dict.fromkeys(groups))


def test_groups_and_answers_of_different_length_are_refused():
    with pytest.raises(ValueError, match="zip"):
        by_group(["a"], np.array([True, False]))


def naive_ranks(scores, truth):
    """Rank of each picture's true class; ties go to the class that comes first."""
    return [
        sorted(range(len(row)), key=lambda c: (-row[c], c)).index(t) + 1 for row, t in zip(scores, truth, strict=True)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_top_k_matches_a_naive_twin_on_scores_with_ties(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-2, 3, (50, 6)).astype(float)  # many ties, zeros and negatives
    truth = rng.integers(0, 6, 50).tolist()
    answer = top_k(frozen(naive_ranks(scores, truth), np.int16), 6)
    for k in range(1, 7):
        best = [sorted(range(6), key=lambda c, row=row: (-row[c], c))[:k] for row in scores]
        assert answer[k - 1] == wilson(sum(t in own for t, own in zip(truth, best, strict=True)), 50)
    assert answer[-1].value == 1


def test_each_picture_is_judged_by_its_own_row():
    # All labels occur among the batch's best guesses, yet no picture has its own among its best two.
    assert [e.value for e in top_k(np.array([3, 3, 3]), 3)] == [0, 0, 1]


def test_top_k_of_nothing_is_undefined():
    answer = top_k(np.array([], dtype=np.int64), 4)
    assert len(answer) == 4 and all(isnan(e.value) and e.n == 0 for e in answer)


@pytest.mark.parametrize("ranks", [[0, 1], [1, 4], [-1]])
def test_ranks_outside_the_classes_are_refused(ranks):
    with pytest.raises(ValueError, match="outside 1 to 3"):
        top_k(np.array(ranks), 3)
