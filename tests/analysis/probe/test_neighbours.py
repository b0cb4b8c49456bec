from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from shotdex.analysis.probe.neighbours import CANDIDATES, EXTRA, nearest, neighbours_probe, vote
from shotdex.analysis.probe.problem import Problem, unit_rows, validation_split

from .made import blobs, problem


def naive_nearest(vectors, queries, k):
    """One query at a time, every vector, in float64."""
    made = []
    for query in queries.astype(np.float64):
        scores = [float(vector.astype(np.float64) @ query) for vector in vectors]
        made.append(sorted(range(len(vectors)), key=lambda row: (-scores[row], row))[:k])
    return made


def naive_vote(codes):
    votes = Counter(codes)
    return next(code for code in codes if votes[code] == max(votes.values()))


@pytest.mark.parametrize("k", [1, 2, 7, 40])
def test_neighbours_are_those_of_a_loop_over_all_pairs(k):
    vectors, queries = blobs(40)[0], blobs(25, seed=5)[0]
    assert nearest(vectors, queries, k).tolist() == naive_nearest(vectors, queries, k)


@pytest.mark.parametrize("k", [1, 3, EXTRA, 60])
def test_equal_scores_stand_in_the_order_of_rows_however_many_there_are(k):
    corners = np.eye(4, dtype=np.float32)
    vectors = corners[np.arange(400) % 4]  # each a hundred times: far more ties than are fetched at first
    queries = np.array([[0, 1, 0, 0], [0, 0, 0.6, 0.8]], np.float32)
    expected = [[1 + 4 * i for i in range(k)], [3 + 4 * i for i in range(k)]]
    assert nearest(vectors, queries, k).tolist() == expected


@pytest.mark.parametrize("k", [0, 6])
def test_more_neighbours_than_vectors_are_refused(k):
    with pytest.raises(ValueError, match="neighbours among 5"):
        nearest(blobs(5)[0], blobs(2)[0], k)


@given(st.integers(1, 9).flatmap(lambda k: st.lists(st.lists(st.integers(0, 3), min_size=k, max_size=k), min_size=1)))
def test_the_vote_is_that_of_a_count_by_hand(rows):
    near = np.array(rows, np.int64)
    assert vote(near, 4).tolist() == [naive_vote(row) for row in rows]


def test_a_tie_goes_to_the_nearest_among_the_tied():
    near = np.array([[2, 0, 0, 1, 1], [1, 0, 2, 2, 0], [3, 1, 0, 2, 1]])
    assert vote(near, 4).tolist() == [0, 0, 1]


def test_votes_in_several_parts_are_the_same(monkeypatch):
    near = np.random.default_rng(0).integers(0, 5, (50, 6))
    whole = vote(near, 5)
    monkeypatch.setattr("shotdex.analysis.probe.neighbours.VOTES_AT_ONCE", 35)
    assert np.array_equal(vote(near, 5), whole)


def untied(vectors, codes, queries, k, classes):
    votes = np.array([np.bincount(codes[row], minlength=classes) for row in nearest(vectors, queries, k)])
    return (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) == 1


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_classifier_of_scikit_learn_with_k_chosen_in_training_alone(seed):
    given = problem(200, 120, 4, seed)
    found = neighbours_probe(given, seed)
    fit, validation = validation_split(given.train_codes, seed)
    accuracies = {}
    for k in CANDIDATES:
        model = KNeighborsClassifier(k, metric="cosine", algorithm="brute")
        model.fit(given.train[fit], given.train_codes[fit])
        clear = untied(given.train[fit], given.train_codes[fit], given.train[validation], k, 4)
        near = nearest(given.train[fit], given.train[validation], k)
        mine = vote(given.train_codes[fit][near], 4)
        assert np.array_equal(mine[clear], model.predict(given.train[validation])[clear])
        accuracies[k] = (mine == given.train_codes[validation]).mean()
    assert found.accuracies == pytest.approx(accuracies, abs=1e-12)
    assert found.k == min(k for k in CANDIDATES if accuracies[k] == max(accuracies.values()))
    assert found.validation == len(validation) == 40
    model = KNeighborsClassifier(found.k, metric="cosine", algorithm="brute").fit(given.train, given.train_codes)
    clear = untied(given.train, given.train_codes, given.test, found.k, 4)
    assert clear.mean() > 0.7
    assert np.array_equal(found.predicted[clear], model.predict(given.test)[clear])


def test_the_tests_labels_and_images_choose_nothing():
    given = problem(120, 80)
    other = Problem(given.train, given.train_codes, given.test[::-1], np.roll(given.test_codes, 1), given.classes)
    first, second = neighbours_probe(given), neighbours_probe(other)
    assert (first.k, first.accuracies) == (second.k, second.accuracies)
    assert np.array_equal(first.predicted, second.predicted[::-1])


def test_candidates_stop_at_what_there_is():
    found = neighbours_probe(problem(10, 20, 2))
    assert set(found.accuracies) == {1, 3, 5}  # eight are left to be neighbours


def test_one_image_a_class_leaves_nothing_to_choose():
    given = Problem(unit_rows(np.eye(3)), np.arange(3), unit_rows(np.eye(3) + 0.1), np.arange(3), 3)
    found = neighbours_probe(given)
    assert (found.k, found.validation) == (1, 0)
    assert found.predicted.tolist() == [0, 1, 2]
    assert all(np.isnan(value) for value in found.accuracies.values())


def test_without_test_images_there_is_no_prediction():
    given = problem(30, 1)
    empty = Problem(given.train, given.train_codes, given.test[:0], given.test_codes[:0], 3)
    assert neighbours_probe(empty).predicted.shape == (0,)
