from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from shotdex.analysis.metrics.shares import accuracy, top_k
from shotdex.analysis.stats.proportions import wilson

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


def naive_ranks(scores, truth):
    """Rank of each image's true class; ties go to the class that comes first."""
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


def test_shares_are_what_scikit_learn_computes():
    rng = np.random.default_rng(11)
    truth, scores = rng.integers(0, 8, 300), rng.normal(size=(300, 8))
    ranks = np.array(naive_ranks(scores, truth.tolist()))
    assert accuracy(ranks == 1).value == pytest.approx(accuracy_score(truth, scores.argmax(axis=1)), abs=1e-12)
    for k in range(1, 8):
        expected = top_k_accuracy_score(truth, scores, k=k, labels=range(8))
        assert top_k(ranks, 8)[k - 1].value == pytest.approx(expected, abs=1e-12)


def test_each_image_is_judged_by_its_own_row():
    # All labels occur among the batch's best guesses, yet no image has its own among its best two.
    assert [e.value for e in top_k(np.array([3, 3, 3]), 3)] == [0, 0, 1]


def test_asking_the_whole_batch_gives_the_notebook_s_098_and_asking_the_own_row_does_not():
    # Ten classes in batches of 32, one of them a class that the model seldom names, as with "Shirt".
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 10, 3200), rng.normal(size=(3200, 10))
    scores[np.arange(3200), truth] += 1.2
    scores[:, 6] -= 1.5
    best = np.argsort(-scores, axis=1)[:, :3]

    # The notebook: `label in top3` where top3 holds the guesses of all 32 images of the batch, 96 over 10 classes.
    batches = [slice(start, start + 32) for start in range(0, 3200, 32)]
    anywhere = np.mean([label in best[batch] for batch in batches for label in truth[batch]])
    assert anywhere == pytest.approx(0.98, abs=0.01)

    own_row = np.mean([label in row for label, row in zip(truth.tolist(), best.tolist(), strict=True)])
    answer = top_k(np.array(naive_ranks(scores, truth.tolist())), 10)[2]
    assert answer.value == own_row == pytest.approx(0.69, abs=0.01)
    assert answer.value == pytest.approx(top_k_accuracy_score(truth, scores, k=3), abs=1e-12)
    assert answer.high < anywhere


def test_top_k_of_nothing_is_undefined():
    answer = top_k(np.array([], dtype=np.int64), 4)
    assert len(answer) == 4 and all(isnan(e.value) and e.n == 0 for e in answer)


@pytest.mark.parametrize("ranks", [[0, 1], [1, 4], [-1]])
def test_ranks_outside_the_classes_are_refused(ranks):
    with pytest.raises(ValueError, match="outside 1 to 3"):
        top_k(np.array(ranks), 3)
