from __future__ import annotations

import dataclasses
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.probe import linear as sweep
from shotdex.analysis.probe.compare import ProbeComparison, comparison_plot, probe
from shotdex.analysis.probe.gather import gather
from shotdex.analysis.probe.problem import ProbeOptions, validation_split
from shotdex.analysis.prompts.build import from_names
from shotdex.store.store import Store
from shotdex.store.types import Space
from tests.support.fakes import FakeEncoder

from .conftest import SHADES, TEST
from .test_gather import change

QUICK = ProbeOptions(shots=(1,), draws=2)
FULL = ProbeOptions(shots=(1, 4), draws=3, runs=("bare", "bright"), outside=("CNN=0.919", "me=0.5:10"))


@pytest.fixture(scope="module")
def unchanged(shades_once: Path) -> Store:
    return Store(shades_once / "store")


@pytest.fixture(scope="module")
def full(unchanged: Store) -> ProbeComparison:
    return probe(unchanged, FULL)


def line(comparison: ProbeComparison, name: str, kind: str = "trained"):
    return next(row for row in comparison.rows if (row.name, row.kind) == (name, kind))


def logistic_answers(store: Store, c: float, tolerance: float = 1e-8):
    """Right and wrong answers of scikit-learn's own logistic regression on the vectors read from SQL."""
    with store.reading() as con:
        sides = [
            con.rows(
                "SELECT joint, category FROM images JOIN vectors_1 USING (image_id) WHERE split = $split "
                "ORDER BY image_id",
                {"split": split},
            )
            for split in ("train", "test")
        ]
    (x, y), (x_test, y_test) = ((np.array([r[0] for r in side]), [r[1] for r in side]) for side in sides)
    return LogisticRegression(C=c, tol=tolerance, max_iter=9999).fit(x, y).predict(x_test) == np.array(y_test)


def test_the_lines_in_their_order(full: ProbeComparison) -> None:
    assert [(row.kind, row.name, row.shots) for row in full.rows] == [
        ("zero-shot", "bare", None),
        ("zero-shot", "bright", None),
        ("few-shot", "logistic regression", 1),
        ("few-shot", "logistic regression", 4),
        ("trained", "nearest neighbours", None),
        ("trained", "logistic regression", None),
        ("outside", "CNN", None),
        ("outside", "me", None),
    ]
    assert {row.estimate.n for row in full.rows[:6]} == {3 * TEST}
    assert full.copies == 0
    assert full.notes == ()


def test_accuracies_are_those_of_scikit_learn_on_the_vectors_in_the_store(
    unchanged: Store, full: ProbeComparison
) -> None:
    problem = gather(unchanged, FULL).problem
    right = logistic_answers(unchanged, full.choices.c)
    assert line(full, "logistic regression").estimate.value == pytest.approx(right.mean(), abs=1e-9)
    model = KNeighborsClassifier(full.choices.k, metric="cosine", algorithm="brute")
    model.fit(problem.train, problem.train_codes)
    votes = np.sort(model.predict_proba(problem.test), axis=1)
    clear = votes[:, -1] > votes[:, -2]
    expected = int((model.predict(problem.test) == problem.test_codes)[clear].sum())
    mine = line(full, "nearest neighbours").estimate
    assert expected <= round(mine.value * mine.n) <= expected + (~clear).sum()
    assert clear.mean() > 0.8
    interval = binomtest(round(mine.value * mine.n), mine.n).proportion_ci(method="wilson")
    assert (mine.low, mine.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_p_values_are_those_of_statsmodels(unchanged: Store, full: ProbeComparison) -> None:
    with unchanged.reading() as con:
        ordered = con.rows("SELECT correct FROM outcomes WHERE run_id = 1 AND split = 'test' ORDER BY image_id")
    zero = np.array([row[0] for row in ordered])
    linear = logistic_answers(unchanged, full.choices.c)
    table = [[(zero & linear).sum(), (zero & ~linear).sum()], [(~zero & linear).sum(), (~zero & ~linear).sum()]]
    assert line(full, "logistic regression").p_value == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-9)
    tested = [row for row in full.rows if not isnan(row.p_value)]
    assert [row.name for row in tested] == ["bright", "nearest neighbours", "logistic regression"]
    expected = multipletests([row.p_value for row in tested], method="holm")[1]
    assert [row.adjusted for row in tested] == pytest.approx(expected.tolist(), abs=1e-9)


def test_test_labels_change_no_choice(shades: Store) -> None:
    before = probe(shades, QUICK)
    change(
        shades,
        "UPDATE stored_images SET category = CASE category WHEN 'gray' THEN 'teal' WHEN 'teal' THEN 'olive' "
        "ELSE 'gray' END WHERE split = 'test'",
    )
    after = probe(shades, QUICK)
    assert after.choices == before.choices
    assert line(after, "logistic regression").estimate != line(before, "logistic regression").estimate


def test_a_seed_repeats_everything_and_another_does_not(unchanged: Store) -> None:
    first, again, other = (probe(unchanged, dataclasses.replace(QUICK, seed=seed)) for seed in (3, 3, 4))
    assert repr(first) == repr(again)  # NaN is not equal to itself
    assert first.choices != other.choices


def test_copies_are_counted_and_left_out_of_a_line_of_their_own(shades: Store) -> None:
    change(
        shades,
        "UPDATE stored_images SET content_sha256 = 'same' WHERE (split = 'test' AND image_id % 4 = 0) OR image_id = "
        "(SELECT min(image_id) FROM images WHERE split = 'train')",
    )
    found = probe(shades, QUICK)
    material = gather(shades, QUICK)
    right = logistic_answers(shades, found.choices.c)[~material.copies]
    row = line(found, "logistic regression, no copies")
    assert found.copies == material.copies.sum() == (material.test_ids % 4 == 0).sum() > 0
    assert (row.estimate.value, row.estimate.n) == (pytest.approx(right.mean(), abs=1e-9), 48 - found.copies)
    assert f"without {found.copies} test images" in row.details


def test_what_a_run_left_out_is_said(shades: Store) -> None:
    classify(
        shades, Classification(from_names(SHADES), name="part", where="image_id % 3 <> 0"), lambda _: FakeEncoder()
    )
    found = probe(shades, QUICK)
    row = line(found, "part", "zero-shot")
    assert row.estimate.n == 32
    assert row.details == "prompts 'bare names', scored 32 of 48"
    assert any("did not score 16 of the test images" in text and "n=48" in text for text in found.notes)
    with shades.reading() as con:
        zero = dict(con.rows("SELECT image_id, correct FROM outcomes WHERE run = 'part' AND split = 'test'"))
    linear = dict(
        zip(gather(shades, QUICK).test_ids.tolist(), logistic_answers(shades, found.choices.c).tolist(), strict=True)
    )
    apart = [linear[i] for i, right in zero.items() if right != linear[i]]
    expected = binomtest(sum(apart), len(apart)).pvalue if apart else 1.0
    assert line(found, "logistic regression").p_value == pytest.approx(expected, abs=1e-9)


def test_without_a_run_there_is_a_ladder_all_the_same(shades: Store) -> None:
    change(shades, "DELETE FROM runs")
    found = probe(shades, QUICK)
    assert {row.kind for row in found.rows} == {"few-shot", "trained"}
    assert all(isnan(row.p_value) for row in found.rows)
    assert "shotdex classify" in found.notes[0]


def test_numbers_of_images_that_a_class_does_not_have_are_left_out_and_said(shades: Store) -> None:
    found = probe(shades, dataclasses.replace(QUICK, shots=(20, 21, 100)))
    assert [row.shots for row in found.rows if row.kind == "few-shot"] == [20]
    assert "no row for 21, 100 images per class: that takes 25, 104" in found.notes[0]
    assert "the smallest class has 24" in found.notes[0]


def test_test_images_of_unseen_categories_are_errors(shades: Store) -> None:
    wanted = dataclasses.replace(
        QUICK, train_where="split = 'train' AND category <> 'teal'", test_where="split = 'test'"
    )
    found = probe(shades, wanted)
    assert line(found, "logistic regression").estimate.n == 48
    assert line(found, "logistic regression").estimate.value <= 32 / 48
    assert found.coverage.unseen == 16


def test_one_training_image_a_class(shades: Store) -> None:
    change(
        shades,
        "UPDATE stored_images SET split = 'no' WHERE split = 'train' AND image_id NOT IN "
        "(SELECT min(image_id) FROM images WHERE split = 'train' GROUP BY category)",
    )
    found = probe(shades, QUICK)
    assert (found.choices.k, found.choices.c) == (1, sweep.UNCHOSEN)
    assert any("nothing could be tuned" in text for text in found.notes)
    assert not [row for row in found.rows if row.kind == "few-shot"]
    assert line(found, "nearest neighbours").estimate.n == 48


def test_a_sweep_on_some_images_is_said(shades: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "SWEPT_AT_MOST", 30)
    found = probe(shades, QUICK)
    validation = len(validation_split(gather(shades, QUICK).problem.train_codes, 0)[1])
    assert f"chosen by fitting 30 training images and evaluating {validation}" in found.notes[0]


def test_progress_reaches_its_total(shades: Store) -> None:
    class Watched:
        total, done = 0, 0

        def start(self, total: int) -> None:
            self.total = total

        def advance(self, count: int) -> None:
            self.done += count

    watched = Watched()
    probe(shades, QUICK, watched)
    assert watched.total == watched.done == 2 + 2


def test_the_vision_space_and_its_figure(shades: Store) -> None:
    found = probe(shades, dataclasses.replace(QUICK, space=Space.VISION, outside=("CNN=0.919",)))
    assert any("joint space" in text for text in found.notes)
    figure = comparison_plot(found)
    assert isinstance(figure, Figure)
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert shown == ["bright", "logistic regression, 1 shot", "nearest neighbours", "logistic regression", "CNN"]
    title = figure.axes[0].get_title(loc="left").replace("\n", " ")
    assert title == "Zero-shot and trained methods on 72 images, vision space"
