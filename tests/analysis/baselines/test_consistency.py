"""Error consistency of a model with people: against scikit-learn, and against answers that are known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import isnan, nan

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from shotdex.analysis.baselines.consistency import Consistency, consistency, error_consistency, kappas
from shotdex.analysis.baselines.matching import RunImages
from shotdex.analysis.stats.bootstrap import bootstrap

Trial = tuple[str, str, str | None, bool]
"""Subject, image name, condition, right."""


def trial_table(trials: Sequence[Trial], category: str = "dog") -> pa.Table:
    columns = list(zip(*trials, strict=True)) or [[], [], [], []]
    return pa.table(
        {
            "subject": pa.array(columns[0], pa.string()),
            "category": pa.array([category] * len(trials), pa.string()),
            "condition": pa.array(columns[2], pa.string()),
            "response": pa.array(["dog" if right else "cat" for right in columns[3]], pa.string()),
            "imagename": pa.array(columns[1], pa.string()),
            "correct": pa.array(columns[3], pa.bool_()),
        }
    )


def images(correct: Sequence[bool], conditions: Sequence[str | None] | None = None) -> RunImages:
    n = len(correct)
    return RunImages(
        np.arange(10, 10 + n),
        tuple(f"/a/{i}.png" for i in range(n)),
        ("dog",) * n,
        tuple(conditions or [None] * n),
        np.array(correct, bool),
    )


def flags(text: str) -> list[bool]:
    return [mark == "+" for mark in text]


def trials_of(answers: dict[str, str], condition: str | None = None) -> list[Trial]:
    """Answers as `+` right, `-` wrong and a space where the subject did not see the image."""
    return [
        (subject, f"{i}.png", condition, mark == "+")
        for subject, marks in answers.items()
        for i, mark in enumerate(marks)
        if mark != " "
    ]


def made(answers: dict[str, str], model: str) -> Consistency:
    return consistency(trial_table(trials_of(answers)), images(flags(model)), resamples=200)


def test_known_answers() -> None:
    found = made({"same": "++--+-", "opposite": "--++-+", "half": "+-+-+-"}, "++--+-")
    (row,) = found.conditions
    kappa = {name: subject.kappa for name, subject in row.subjects.items()}
    assert kappa["same"] == 1
    assert kappa["opposite"] == -1
    assert kappa["half"] == pytest.approx(1 / 3)
    assert (row.condition, row.images, row.kappa.n, row.undefined, row.pairs) == ("all", 6, 6, 0, 3)
    assert row.kappa.value == pytest.approx((1 - 1 + 1 / 3) / 3, abs=1e-12)
    assert (row.lowest, row.highest) == (-1, 1)
    assert row.between.value == pytest.approx((-1 + 1 / 3 - 1 / 3) / 3, abs=1e-12)
    assert (found.trials, found.used, found.unknown) == (18, 18, 0)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_means_equal_scikit_learns_person_by_person(seed: int) -> None:
    rng = np.random.default_rng(seed)
    right = rng.random((4, 25)) < rng.random((4, 1))
    seen = rng.random((4, 25)) < 0.8
    model = rng.random(25) < 0.6
    trials = [(f"s{i}", f"{j}.png", None, bool(right[i, j])) for i in range(4) for j in range(25) if seen[i, j]]
    (row,) = consistency(trial_table(trials), images(model.tolist()), resamples=1).conditions

    def kappa(a: np.ndarray, b: np.ndarray) -> float:
        if len(set(zip(a.tolist(), b.tolist(), strict=True))) == 1 and a[0] == b[0]:
            return nan
        return float(cohen_kappa_score(a, b)) if len(a) else nan

    alone = [kappa(right[i, seen[i]], model[seen[i]]) for i in range(4)]
    pairs = []
    for i, j in combinations(range(4), 2):
        both = seen[i] & seen[j]
        pairs.append(kappa(right[i, both], right[j, both]))
    assert [row.subjects[f"s{i}"].kappa for i in range(4)] == pytest.approx(alone, abs=1e-9, nan_ok=True)
    assert row.kappa.value == pytest.approx(np.nanmean(alone), abs=1e-9)
    assert row.between.value == pytest.approx(np.nanmean(pairs), abs=1e-9)
    assert (row.lowest, row.highest) == (pytest.approx(np.nanmin(alone)), pytest.approx(np.nanmax(alone)))
    assert row.undefined == int(np.isnan(alone).sum())
    assert row.pairs == int((~np.isnan(pairs)).sum())


@given(st.lists(st.tuples(*[st.booleans()] * 6), max_size=12))
def test_kappas_equals_error_consistency_on_every_pair(rows: list[tuple[bool, ...]]) -> None:
    table = np.array(rows, dtype=bool).reshape(-1, 6).T
    right, seen = table[:3] & table[3:], table[3:]
    for array in (right, seen):
        array.flags.writeable = False
    matrix = kappas(right.astype(float), seen.astype(float))
    for i in range(3):
        for j in range(3):
            both = seen[i] & seen[j]
            expected = error_consistency(right[i, both], right[j, both]).kappa
            assert matrix[i, j] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_the_interval_is_a_bootstrap_over_images() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(200) < 0.5
    people = {f"s{i}": "".join("+-"[int(v)] for v in truth ^ (rng.random(200) < 0.2)) for i in range(3)}
    model = "".join("+-"[int(v)] for v in truth ^ (rng.random(200) < 0.2))
    (row,) = made(people, model).conditions
    assert row.kappa.method == "bootstrap 95 %, 200 resamples, seed 0"
    right, correct = np.array([flags(marks) for marks in people.values()]), np.array(flags(model))
    strata = np.zeros(200, np.int64)

    def alone(i: np.ndarray) -> float:
        return float(np.mean([error_consistency(person[i], correct[i]).kappa for person in right]))

    def pairs(i: np.ndarray) -> float:
        return float(np.mean([error_consistency(a[i], b[i]).kappa for a, b in combinations(right, 2)]))

    for estimate, statistic in ((row.kappa, alone), (row.between, pairs)):
        naive = bootstrap(statistic, strata, 200, 0).estimates()[0]
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
            (naive.value, naive.low, naive.high), abs=1e-12
        )
    # Each errs by itself on a fifth: they agree on .8^2 + .2^2 = .68 of the images, kappa .36.
    assert row.kappa.low < 0.36 < row.kappa.high
    again = consistency(trial_table(trials_of(people)), images(flags(model)), resamples=200, seed=1).conditions[0]
    assert again.kappa.value == row.kappa.value
    assert again.kappa.low != row.kappa.low
    assert made(people, model).conditions[0].kappa == row.kappa


def test_conditions_are_kept_apart() -> None:
    # Over both conditions together these two would agree well, as one is easy and one hard for both.
    trials = [
        *((f"s{i}", f"{j}.png", "easy", mark == "+") for i in (1, 2) for j, mark in enumerate("+++-")),
        *((f"s{i}", f"{j + 4}.png", "hard", mark == "+") for i in (1, 2) for j, mark in enumerate("---+")),
    ]
    run = images(flags("-++++---"), ["easy"] * 4 + ["hard"] * 4)
    rows = {row.condition: row for row in consistency(trial_table(trials), run, 10).conditions}
    assert list(rows) == ["easy", "hard"]
    assert rows["easy"].kappa.value == rows["hard"].kappa.value == pytest.approx(-1 / 3)
    assert rows["easy"].between.value == 1


def test_an_images_condition_stands_in_for_the_trials() -> None:
    run = images(flags("+-"), ["one", "two"])
    found = consistency(trial_table([("s", "0.png", None, True), ("s", "1.png", None, True)]), run, 10)
    assert [row.condition for row in found.conditions] == ["one", "two"]


def test_the_first_of_several_trials_with_one_image_counts() -> None:
    trials = [
        ("s", "0.png", None, True),
        ("s", "0.png", None, False),
        ("s", "1.png", None, False),
        ("t", "0.png", None, True),
    ]
    found = consistency(trial_table(trials), images(flags("+-")), 10)
    assert (found.trials, found.used, found.repeated) == (4, 3, 1)
    assert found.conditions[0].subjects["s"].kappa == 1


def test_trials_without_a_image_are_counted_by_their_reason() -> None:
    run = RunImages(
        np.arange(4),
        ("/a/0.png", "/a/1.png", "/a/2.png", "/b/2.png"),
        ("dog", "dog", "dog", "cat"),
        ("one", "one", None, None),
        np.array([True, False, True, False]),
    )
    trials = [
        ("s", "0.png", "one", True),
        ("s", "1.png", "two", True),
        ("s", "2.png", "one", True),
        ("s", "new.png", "one", True),
        ("t", "new.png", "one", True),
        ("t", "newer.png", "one", True),
    ]
    found = consistency(trial_table(trials, category="Wolf"), run, 10)
    assert (found.trials, found.used, found.unknown, found.elsewhere, found.ambiguous) == (6, 1, 3, 1, 1)
    assert found.examples == ("new.png", "newer.png")
    assert found.mislabelled == 1
    assert consistency(trial_table(trials, category="DOG"), run, 10).mislabelled == 0


def test_nothing_matched_nothing_said() -> None:
    found = consistency(trial_table([("s", "x.png", None, True)]), images(flags("+")), 10)
    assert (found.conditions, found.used, found.unknown) == ((), 0, 1)
    assert consistency(trial_table([]), images(flags("+")), 10).trials == 0


def test_always_right_like_the_model_is_undefined_not_zero() -> None:
    found = made({"s": "+++", "t": "++-"}, "+++")
    (row,) = found.conditions
    assert isnan(row.subjects["s"].kappa)
    assert (row.subjects["t"].kappa, row.kappa.value, row.undefined) == (0, 0, 1)
    (alone,) = made({"s": "+++"}, "+++").conditions
    assert isnan(alone.kappa.value) and isnan(alone.lowest) and isnan(alone.between.value)
    assert (alone.undefined, alone.pairs) == (1, 0)
