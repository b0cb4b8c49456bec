"""Reports against scikit-learn and statsmodels, on the tables read another way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)
from statsmodels.stats.proportion import proportion_confint

from shotdex.analysis.report import ClassRow, GroupRow, Report, ReportOptions, report
from shotdex.analysis.results import accuracy_by
from shotdex.analysis.stats.proportions import wilson
from shotdex.store.errors import MissingLabels, OptionError
from shotdex.store.store import Store
from shotdex.store.types import Estimate
from tests.conftest import index
from tests.support.evaluated import (
    NAMES,
    SNOWY,
    WORDS,
    Judged,
    by_columns,
    change,
    judged,
    run,
    save_noisy_colour,
    shown,
)
from tests.support.fakes import FakeEncoder

QUICK = 100


@pytest.fixture(scope="module")
def whole(evaluated: Store) -> Report:
    return report(evaluated, "words", ReportOptions(resamples=1000))


def is_share(found: Estimate, right: int, n: int) -> None:
    low, high = proportion_confint(right, n, method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((right / n, low, high), abs=1e-9)
    assert found.n == n


def labels(images: Sequence[Judged]) -> tuple[list[str], list[str]]:
    return [image.truth for image in images], [image.ranked[0] for image in images]


def calibration(images: Sequence[Judged], bins: int) -> float:
    """The expected calibration error as its definition reads, bin by bin."""
    total = 0.0
    for b in range(bins):
        inside = [i for i in images if b / bins < i.chances[0] <= (b + 1) / bins or (b == 0 and i.chances[0] == 0)]
        if inside:
            gap = abs(np.mean([i.right for i in inside]) - np.mean([i.chances[0] for i in inside]))
            total += len(inside) / len(images) * float(gap)
    return total


def macro_f1(images: Sequence[Judged]) -> float:
    truth, predicted = labels(images)
    return float(f1_score(truth, predicted, labels=sorted(set(truth)), average="macro", zero_division=0))


def reciprocal(images: Sequence[Judged]) -> float:
    return sum(1 / image.rank for image in images) / len(images)


INDEPENDENT: dict[str, Callable[[Sequence[Judged]], float]] = {
    "mean per-class recall": lambda images: float(
        np.mean([np.mean([i.right for i in images if i.truth == name]) for name in {i.truth for i in images}])
    ),
    "macro F1": macro_f1,
    "mean reciprocal rank": reciprocal,
    "expected calibration error": lambda images: calibration(images, 15),
}


def is_row(found: GroupRow, images: Sequence[Judged]) -> None:
    is_share(found.accuracy, sum(image.right for image in images), len(images))
    assert found.accuracy.value == pytest.approx(accuracy_score(*labels(images)), abs=1e-9)
    assert set(found.summary) == set(INDEPENDENT)
    for name, compute in INDEPENDENT.items():
        one_class = name == "macro F1" and len({image.truth for image in images}) == 1
        want = float("nan") if one_class else compute(images)
        assert found.summary[name].value == pytest.approx(want, abs=1e-9, nan_ok=True), name
        assert found.summary[name].n == len(images)


@pytest.mark.parametrize("name", ["names", "words", "third"])
def test_the_numbers_of_a_whole_run(evaluated: Store, name: str) -> None:
    is_row(report(evaluated, name, ReportOptions(resamples=QUICK)).overall, judged(evaluated, name))


def test_mean_recall_is_scikit_learn_s_balanced_accuracy(evaluated: Store) -> None:
    found = report(evaluated, "names", ReportOptions(resamples=QUICK))
    truth, predicted = labels(judged(evaluated, "names"))
    want = balanced_accuracy_score(truth, predicted)
    assert found.overall.summary["mean per-class recall"].value == pytest.approx(want, abs=1e-9)
    assert abs(want - accuracy_score(truth, predicted)) > 0.01, "classes of unlike size, so that the two differ"


def test_every_class(own: Store) -> None:
    """There is a class `white` that no image is of: its recall is not defined, which is not 0."""
    run(own, SNOWY, name="snowy")
    whole, images = report(own, "snowy", ReportOptions(resamples=1000)), judged(own, "snowy")
    truth, predicted = labels(images)
    names = list(SNOWY)
    with np.errstate(all="ignore"):
        precision, recall, f1, support = precision_recall_fscore_support(
            truth, predicted, labels=names, zero_division=np.nan
        )
    assert [row.name for row in whole.classes] == names
    for i, row in enumerate(whole.classes):
        right = sum(image.right for image in images if image.truth == row.name)
        taken = predicted.count(row.name)
        assert (row.recall.n, row.precision.n, row.f1.n) == (support[i], taken, support[i])
        if support[i]:
            is_share(row.recall, right, int(support[i]))
            assert row.recall.value == pytest.approx(recall[i], abs=1e-9)
            assert row.f1.value == pytest.approx(f1[i], abs=1e-9)
        else:
            assert isnan(row.recall.value)
        if taken:
            is_share(row.precision, right, taken)
            assert row.precision.value == pytest.approx(precision[i], abs=1e-9)
    assert [row.name for row in whole.classes if isnan(row.recall.value)] == ["white"]


def test_a_class_that_is_never_guessed(own: Store) -> None:
    run(own, NAMES | {"yellow": ("black",), "black": ("black",)}, name="odd")
    assert "black" not in labels(judged(own, "odd"))[1], "the class that stands first wins the tie"
    found = {row.name: row for row in report(own, "odd", ReportOptions(resamples=QUICK)).classes}
    nobody = found["black"]
    assert (nobody.recall.n, nobody.precision.n) == (0, 0)
    assert isnan(nobody.recall.value)
    assert isnan(nobody.precision.value)
    assert isnan(nobody.f1.value)


@pytest.mark.parametrize("name", ["names", "words"])
def test_every_top_k(evaluated: Store, name: str) -> None:
    images = judged(evaluated, name)
    found = report(evaluated, name, ReportOptions(resamples=QUICK)).top_k
    names = sorted(images[0].ranked)
    scores = np.array([[image.chances[image.ranked.index(n)] for n in names] for image in images])
    truth = [names.index(image.truth) for image in images]
    assert len(found) == len(names)
    for k, estimate in enumerate(found, start=1):
        if k < len(names):
            want = top_k_accuracy_score(truth, scores, k=k, labels=range(len(names)))
            assert estimate.value == pytest.approx(want, abs=1e-9)
        is_share(estimate, sum(image.rank <= k for image in images), len(images))
    assert found[-1].value == 1


def test_top_k_reaches_beyond_the_predictions_that_were_kept(own: Store) -> None:
    run(own, WORDS, name="one", k=1)
    settings = ReportOptions(resamples=QUICK)
    assert report(own, "one", settings).top_k == report(own, "words", settings).top_k


@pytest.mark.parametrize(
    "by", [("condition",), ("category",), ("width",), ("condition", "category"), ("split", "width"), ("image_id",)]
)
def test_every_number_of_every_group(evaluated: Store, by: tuple[str, ...]) -> None:
    found = report(evaluated, "words", ReportOptions(by, resamples=100))
    groups = by_columns(judged(evaluated, "words"), by)
    assert found.by == by
    assert [row.name for row in found.groups] == [shown(values) for values in groups]
    for row, images in zip(found.groups, groups.values(), strict=True):
        is_row(row, images)
    assert sum(row.accuracy.n for row in found.groups) == found.overall.accuracy.n


def test_groups_by_category_are_those_of_the_tables_in_sql(evaluated: Store) -> None:
    found = report(evaluated, "words", ReportOptions(("condition",), resamples=100))
    with evaluated.reading() as con:
        assert {row.name: row.accuracy for row in found.groups} == accuracy_by(con, found.run, "condition")


def test_the_intervals_are_those_of_the_bootstrap_written_out(evaluated: Store, whole: Report) -> None:
    images = judged(evaluated, "words")
    by_class = [[image for image in images if image.truth == name] for name in sorted({i.truth for i in images})]
    rng = np.random.default_rng(5)
    drawn: dict[str, list[float]] = {name: [] for name in INDEPENDENT}
    for _ in range(600):
        again = [part[i] for part in by_class for i in rng.integers(0, len(part), len(part))]
        for name in INDEPENDENT:
            drawn[name].append(INDEPENDENT[name](again))
    for name in INDEPENDENT:
        low, high = np.quantile(drawn[name], (0.025, 0.975))
        estimate = whole.overall.summary[name]
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.025), name
        assert estimate.method == "stratified bootstrap 95 %, 1000 resamples, seed 0"


def test_seeds(evaluated: Store) -> None:
    def made(seed: int | None) -> Report:
        return report(evaluated, "words", ReportOptions(("condition",), 100, seed))

    first, again, other, default = made(3), made(3), made(4), made(None)
    assert repr(again) == repr(first)
    bounds = [[e.low for e in one.overall.summary.values()] for one in (first, other)]
    assert bounds[0] != bounds[1]
    assert [e.value for e in other.overall.summary.values()] == [e.value for e in first.overall.summary.values()]
    assert repr(default) == repr(made(0)), "the run's own seed is 0"


def test_the_run_s_own_seed(own: Store) -> None:
    change(own, "UPDATE runs SET seed = 11 WHERE name = 'words'")
    own_seed = report(own, "words", ReportOptions(resamples=100)).overall
    assert repr(own_seed) == repr(report(own, "words", ReportOptions(resamples=100, seed=11)).overall)
    assert all("seed 11" in estimate.method for estimate in own_seed.summary.values())


@pytest.mark.parametrize("bins", [1, 2, 15, 1000])
def test_bins_of_the_calibration_error(evaluated: Store, bins: int) -> None:
    found = report(evaluated, "words", ReportOptions(resamples=100, bins=bins))
    want = calibration(judged(evaluated, "words"), bins)
    assert found.overall.summary["expected calibration error"].value == pytest.approx(want, abs=1e-9)


def test_groups_of_one_image_and_of_one_class(evaluated: Store) -> None:
    found = report(evaluated, "words", ReportOptions(("image_id",), resamples=100))
    for row, image in zip(found.groups, judged(evaluated, "words"), strict=True):
        assert row.accuracy.n == 1
        assert (row.accuracy.low, row.accuracy.high) != (row.accuracy.value, row.accuracy.value)
        assert row.summary["mean reciprocal rank"].value == pytest.approx(1 / image.rank)


class TestCoverage:
    """What the header counts, and images that are neither right nor wrong."""

    def test_every_image_is_counted_once(self, own: Store) -> None:
        change(own, "UPDATE stored_images SET category = NULL WHERE image_id IN (10, 20, 30)")
        change(own, "UPDATE stored_images SET category = 'mauve' WHERE image_id IN (11, 21)")
        run(own, WORDS, name="later")
        found = report(own, "later", ReportOptions(("condition",), resamples=100))
        covered = found.coverage
        assert (covered.indexed, covered.failed, covered.unlabelled, covered.other, covered.evaluated) == (
            75, 0, 3, 2, 70
        )  # fmt: skip
        assert found.overall.accuracy.n == sum(row.accuracy.n for row in found.groups) == 70
        is_row(found.overall, judged(own, "later"))

    def test_images_removed_since_count_as_they_did(self, own: Store) -> None:
        settings = ReportOptions(("condition", "width"), resamples=100)
        before = report(own, "words", settings)
        change(own, "UPDATE stored_images SET removed_at = TIMESTAMP '2030-01-01' WHERE image_id % 2 = 0")
        assert repr(report(own, "words", settings)) == repr(before)

    def test_the_newest_run_is_taken_where_none_is_named(self, evaluated: Store) -> None:
        assert report(evaluated, None, ReportOptions(resamples=100)).run.name == "third"
        assert report(evaluated, "2", ReportOptions(resamples=100)).run.name == "words"

    def test_errors(self, own: Store, store: Store) -> None:
        with pytest.raises(OptionError, match="no runs yet") as caught:
            report(store, None, ReportOptions())
        assert "shotdex classify" in caught.value.hint
        with pytest.raises(OptionError, match="no run 'gone'"):
            report(own, "gone", ReportOptions())
        with pytest.raises(OptionError, match="no column 'predicted'"):
            report(own, "words", ReportOptions(("predicted",)))
        change(own, "UPDATE stored_images SET category = NULL")
        run(own, WORDS, name="blind")
        with pytest.raises(MissingLabels, match="no image of the run 'blind'") as unlabelled:
            report(own, "blind", ReportOptions())
        assert "shotdex index" in unlabelled.value.hint


def test_groups_by_category_are_those_of_the_run(store: Store, tmp_path: Path) -> None:
    """An image that was relabelled since is right or wrong about what it was, so it stays with that."""
    for i, colour in enumerate(("red", "red", "green")):
        save_noisy_colour(tmp_path / "p" / colour / f"{i}.png", colour, 0.1, i)
    index(store, tmp_path / "p", FakeEncoder(), "{category}/*")
    run(store, NAMES, name="before")
    change(store, "UPDATE stored_images SET category = 'green' WHERE image_id = 2")
    found = report(store, "before", ReportOptions(("category",), resamples=100))
    assert sum(row.accuracy.n for row in found.groups) == 3
    sizes = {row.name: row.accuracy.n for row in found.groups}
    assert sizes == {"green": 1, "red": 2}


def test_too_many_groups_are_refused(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(3):
        save_noisy_colour(tmp_path / "p" / "red" / f"{i}.png", "red", 0.1, i)
    index(store, tmp_path / "p", FakeEncoder(), "{category}/*")
    run(store, NAMES, name="x")
    monkeypatch.setattr("shotdex.analysis.report.MOST_GROUPS", 2)
    with pytest.raises(OptionError, match="there are 3 groups") as caught:
        report(store, "x", ReportOptions(("path",), resamples=100))
    assert "shotdex sql" in caught.value.hint


def test_inside_one_true_class_there_is_no_f1(own: Store) -> None:
    """Within one class every guess of it is right, so precision is 1 by construction and F1 says nothing of its own."""
    found = report(own, "words", ReportOptions(("category",), resamples=100))
    assert len(found.groups) == 4
    for row in found.groups:
        f1 = row.summary["macro F1"]
        assert isnan(f1.value) and isnan(f1.low) and isnan(f1.high) and f1.n == row.accuracy.n
        assert row.summary["mean per-class recall"].value == row.accuracy.value
    assert not isnan(found.overall.summary["macro F1"].value)
    change(own, "UPDATE stored_images SET condition = category WHERE category = 'red'")
    by_condition = {row.name: row.summary["macro F1"].value for row in
                    report(own, "words", ReportOptions(("condition",), resamples=100)).groups}  # fmt: skip
    assert {name for name, value in by_condition.items() if isnan(value)} == {"red"}


@pytest.mark.parametrize(
    ("recall", "precision", "remark"),
    [
        ((0, 200), (0, 0), "never predicted"),
        ((3, 200), (3, 6), "few predictions"),
        ((3, 10), (3, 6), "small n"),
        ((0, 0), (0, 0), "no images"),
        ((90, 200), (90, 200), ""),
    ],
)
def test_what_a_class_rests_on(recall: tuple[int, int], precision: tuple[int, int], remark: str) -> None:
    assert ClassRow("hat", wilson(*recall), wilson(*precision), wilson(*recall)).remark == remark
