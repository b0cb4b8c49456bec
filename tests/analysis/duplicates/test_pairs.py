"""Near pairs against a loop over all pairs, and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from shotdex.analysis.duplicates import pairs
from shotdex.analysis.duplicates.pairs import TOLERANCE, Pairs, near_pairs
from shotdex.store.errors import OptionError


def naive(vectors: np.ndarray, threshold: float) -> dict[tuple[int, int], float]:
    """Every pair by itself, in Python's floats, summed without loss."""
    rows = [[float(value) for value in row] for row in vectors]
    found = {}
    for i, a in enumerate(rows):
        for j in range(i + 1, len(rows)):
            lengths = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(x * x for x in rows[j]))
            if lengths > 0:
                cosine = math.fsum(x * y for x, y in zip(a, rows[j], strict=True)) / lengths
                if cosine >= threshold - TOLERANCE:
                    found[i, j] = cosine
    return found


def same(found: Pairs, want: dict[tuple[int, int], float]) -> None:
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == sorted(want)
    assert found.cosine.tolist() == pytest.approx([want[pair] for pair in sorted(want)], abs=1e-12)
    assert (found.first.dtype, found.second.dtype, found.cosine.dtype) == (np.int64, np.int64, np.float64)


def clustered(seed: int, count: int, dim: int, noise: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(count // 3, 1), dim))
    rows = centres[rng.integers(0, len(centres), count)] + noise * rng.normal(size=(count, dim))
    return (rows * rng.uniform(0.01, 100, (count, 1))).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(0, 40),
    st.integers(1, 12),
    st.sampled_from([0.0, 1e-4, 0.02, 0.3, 2.0]),
    st.sampled_from([1e-6, 0.2, 0.9, 0.99, 0.9999, 1.0]),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_pairs_match_a_loop_over_all_however_they_are_cut(
    seed: int, count: int, dim: int, noise: float, threshold: float, block: tuple[int, int]
) -> None:
    vectors = clustered(seed, count, dim, noise)
    vectors.flags.writeable = False
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pairs, "ROWS", block[0])
        patched.setattr(pairs, "COLUMNS", block[1])
        patched.setattr(pairs, "_RESCORED", 3)
        same(near_pairs(vectors, threshold), naive(vectors, threshold))


@given(st.lists(st.tuples(*[st.integers(-3, 3)] * 3), max_size=15), st.sampled_from([0.5, 1.0, 0.8660254037844386]))
def test_cosines_that_are_the_threshold_itself(rows: list[tuple[int, int, int]], threshold: float) -> None:
    vectors = np.array(rows, np.float32).reshape(-1, 3)
    same(near_pairs(vectors, threshold), naive(vectors, threshold))


def test_pairs_over_the_real_blocks_match_scikit_learn() -> None:
    vectors = clustered(1, 5000, 24, 0.1)
    found = near_pairs(vectors, 0.98)
    cosines = cosine_similarity(vectors.astype(np.float64))
    first, second = np.nonzero(np.triu(cosines >= 0.98 - TOLERANCE, 1))
    assert len(found) > 1000
    assert found.first.tolist() == first.tolist()
    assert found.second.tolist() == second.tolist()
    assert np.abs(found.cosine - cosines[first, second]).max() < 1e-12


def test_copies_reach_one_though_float32_rounds() -> None:
    rows = np.random.default_rng(0).normal(size=(200, 512)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert (np.einsum("nd,nd->n", rows, rows) < 1).any(), (
        "no product of a row with itself misses 1: the test says nothing"
    )
    vectors = np.concatenate([rows, rows, -rows, rows * np.float32(3)])
    found = near_pairs(vectors, 1.0)
    want = sorted(
        [(i, i + shift) for i in range(200) for shift in (200, 600)] + [(i + 200, i + 600) for i in range(200)]
    )
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == want
    assert (found.cosine <= 1.0).all()
    assert (found.cosine > 1 - 1e-12).all()


def test_all_the_same() -> None:
    found = near_pairs(np.ones((50, 7), np.float32), 1.0)
    assert (len(found), found.cosine.min()) == (50 * 49 // 2, 1.0)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_for_a_pair(count: int) -> None:
    assert len(near_pairs(np.ones((count, 4), np.float32), 0.5)) == 0


def test_rows_of_zeros_are_near_nothing() -> None:
    vectors = np.array([[0, 0], [1, 1], [0, 0], [2, 2]], np.float32)
    found = near_pairs(vectors, 1e-9)
    assert (found.first.tolist(), found.second.tolist()) == ([1], [3])


def test_too_many_pairs_are_refused() -> None:
    vectors = np.ones((5, 3), np.float32)
    assert len(near_pairs(vectors, 1.0, most=10)) == 10
    with pytest.raises(OptionError, match="more than 9 pairs of images have a cosine of 1 or more"):
        near_pairs(vectors, 1.0, most=9)


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.0001, math.nan])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(OptionError, match="is not a valid threshold"):
        near_pairs(np.ones((2, 2), np.float32), threshold)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        near_pairs(np.array([[1, bad], [1, 2]], np.float32), 0.9)


def test_progress_is_told_of_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    class Told:
        def __init__(self) -> None:
            self.total, self.done = 0, 0

        def start(self, total: int) -> None:
            self.total = total

        def advance(self, count: int) -> None:
            self.done += count

    monkeypatch.setattr(pairs, "ROWS", 4)
    monkeypatch.setattr(pairs, "COLUMNS", 4)
    told = Told()
    near_pairs(clustered(0, 10, 3, 0.1), 0.9, told)
    assert (told.total, told.done) == (6, 6)
