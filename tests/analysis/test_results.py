"""Results read back, against the tables read another way."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.analysis.results import (
    GROUPS,
    Outcomes,
    accuracy_by,
    accuracy_groups,
    category_counts,
    count_by,
    outcomes,
    outside_labels,
    overall,
)
from shotdex.store.errors import BadSql, MissingLabels, OptionError
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import Estimate
from tests.support.evaluated import NAMES, WORDS, by_columns, change, judged, rows, run, shown


def read(store: Store, name: str) -> Outcomes:
    with store.reading() as con:
        return outcomes(con, find_run(con, name))


def shares(store: Store, name: str, group: str) -> dict[str, Estimate]:
    with store.reading() as con:
        return accuracy_by(con, find_run(con, name), group)


@pytest.mark.parametrize("name", ["names", "words", "third"])
def test_outcomes_are_the_tables_row_for_row(evaluated: Store, name: str) -> None:
    found, want = read(evaluated, name), judged(evaluated, name)
    assert len(found) == len(want) == 75
    assert found.image_ids.tolist() == [image.image_id for image in want]
    assert [found.classes[i] for i in found.truth] == [image.truth for image in want]
    assert [found.classes[i] for i in found.predicted] == [image.ranked[0] for image in want]
    assert found.true_rank.tolist() == [image.rank for image in want]
    assert found.correct.tolist() == [image.right for image in want]
    assert found.probability.tolist() == [image.chances[0] for image in want]
    assert found.true_probability.tolist() == [image.chances[image.rank - 1] for image in want]
    kinds = {"image_ids": "i8", "truth": "i8", "predicted": "i8", "true_rank": "i8", "probability": "f8"}
    assert {part: getattr(found, part).dtype.str[1:] for part in kinds} == kinds


def test_classes_stand_in_the_order_of_the_prompt_set(evaluated: Store) -> None:
    assert read(evaluated, "third").classes == ("blue", "yellow", "red", "green")


def test_some_rows(evaluated: Store) -> None:
    found = read(evaluated, "words")
    by_mask, by_index = found.only(found.correct), found.only(np.array([3, 3, 0]))
    assert by_mask.correct.all()
    assert len(by_mask) == found.correct.sum()
    assert by_index.image_ids.tolist() == [found.image_ids[3], found.image_ids[3], found.image_ids[0]]
    assert by_index.probability.tolist() == [found.probability[3], found.probability[3], found.probability[0]]
    assert (by_index.classes, len(found)) == (found.classes, 75)


def test_only_images_of_a_class_have_an_outcome(own: Store) -> None:
    change(own, "UPDATE stored_images SET category = NULL WHERE image_id = 10")
    change(own, "UPDATE stored_images SET category = 'mauve' WHERE image_id IN (11, 12)")
    change(own, "UPDATE stored_images SET category = 'taupe' WHERE image_id = 13")
    run(own, WORDS, name="later")
    found = read(own, "later")
    assert set(range(1, 76)) - set(found.image_ids.tolist()) == {10, 11, 12, 13}
    with own.reading() as con:
        assert outside_labels(con, find_run(con, "later")) == [("mauve", 2), ("taupe", 1)]
        assert outside_labels(con, find_run(con, "words")) == []
        assert overall(con, find_run(con, "later")).n == 71


def test_an_alias_stands_as_its_class(own: Store) -> None:
    renamed = {"rot": ("red",), "green": ("green",), "blue": ("blue",), "yellow": ("yellow",)}
    run(own, make_prompt_set("german", renamed, aliases={"rot": ["red"]}), name="german")
    found, plain = read(own, "german"), read(own, "names")
    assert found.classes[0] == "rot"
    assert found.truth.tolist() == plain.truth.tolist()
    assert found.correct.tolist() == plain.correct.tolist()


def test_without_labels(own: Store) -> None:
    change(own, "UPDATE stored_images SET category = NULL")
    run(own, NAMES, name="blind")
    with pytest.raises(MissingLabels, match="no image of the run 'blind'") as caught:
        read(own, "blind")
    assert "shotdex index" in caught.value.hint
    with own.reading() as con:
        assert overall(con, find_run(con, "blind")).n == 0
        assert accuracy_by(con, find_run(con, "blind"), "condition") == {}


def is_share(found: Estimate, right: int, n: int) -> None:
    low, high = proportion_confint(right, n, method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((right / n, low, high), abs=1e-9)
    assert found.n == n


@pytest.mark.parametrize("group", GROUPS)
def test_accuracy_by_a_label(evaluated: Store, group: str) -> None:
    found = shares(evaluated, "words", group)
    want = by_columns(judged(evaluated, "words"), [group])
    assert list(found) == [shown(values) for values in want]
    for estimate, images in zip(found.values(), want.values(), strict=True):
        is_share(estimate, sum(image.right for image in images), len(images))


@pytest.mark.parametrize("columns", [("condition",), ("width",), ("condition", "category")])
def test_accuracy_by_any_columns(evaluated: Store, columns: tuple[str, ...]) -> None:
    with evaluated.reading() as con:
        found = accuracy_groups(con, outcomes(con, find_run(con, "words")), columns)
    want = by_columns(judged(evaluated, "words"), columns)
    assert list(found) == [shown(values) for values in want]
    for estimate, images in zip(found.values(), want.values(), strict=True):
        is_share(estimate, sum(image.right for image in images), len(images))


def test_a_condition_called_unlabelled_is_not_lost(own: Store) -> None:
    change(own, "UPDATE stored_images SET condition = 'unlabelled' WHERE condition = 'plain'")
    found = shares(own, "words", "condition")
    assert sorted(estimate.n for estimate in found.values()) == [15, 30, 30]
    assert found["unlabelled"].n == 15
    with own.reading() as con:
        groups = accuracy_groups(con, outcomes(con, find_run(con, "words")), ["condition"])
        counted = count_by(con, "category", "condition")
    assert sorted(estimate.n for estimate in groups.values()) == [15, 30, 30]
    assert sum(n for row in counted.values() for n in row.values()) == 75


def test_another_grouping_is_refused(evaluated: Store) -> None:
    with pytest.raises(OptionError, match="cannot group by 'path'") as caught:
        shares(evaluated, "words", "path")
    assert "category, condition, split" in caught.value.hint


def test_the_whole_run(evaluated: Store) -> None:
    images = judged(evaluated, "words")
    with evaluated.reading() as con:
        is_share(overall(con, find_run(con, "words")), sum(image.right for image in images), 75)


class TestCounts:
    """How many images there are by label."""

    def test_by_category(self, own: Store) -> None:
        change(own, "UPDATE stored_images SET category = NULL WHERE image_id = 1")
        for where in (None, "width > 8", "condition IS NULL"):
            with own.reading() as con:
                found = category_counts(con, where)
            want = rows(own, f"SELECT category FROM images WHERE category IS NOT NULL AND ({where or 'true'})")
            assert found == {name: want.count((name,)) for name in sorted({row[0] for row in want})}
            assert list(found) == sorted(found)

    def test_by_two_labels(self, own: Store) -> None:
        change(own, "UPDATE stored_images SET category = NULL WHERE image_id % 10 = 1")
        with own.reading() as con:
            found = count_by(con, "category", "condition")
        want: dict[str, dict[str, int]] = {}
        for category, condition in rows(own, "SELECT category, condition FROM images"):
            row = want.setdefault(category or "unlabelled", {})
            row[condition or "unlabelled"] = row.get(condition or "unlabelled", 0) + 1
        assert found == want
        assert list(found) == ["blue", "green", "red", "yellow", "unlabelled"]

    def test_an_empty_label_and_none_are_added_up(self, own: Store) -> None:
        change(own, "UPDATE stored_images SET category = '' WHERE image_id % 10 = 1")
        change(own, "UPDATE stored_images SET category = NULL WHERE image_id % 10 = 2")
        with own.reading() as con:
            found = count_by(con, "category", "split")
        assert sum(n for row in found.values() for n in row.values()) == 75
        assert sum(found["unlabelled"].values()) == 16

    def test_filters(self, evaluated: Store) -> None:
        with evaluated.reading() as con:
            assert count_by(con, "category", "condition", "false") == {}
            assert category_counts(con, "condition = 'plain' -- so") == {"blue": 8, "green": 6, "red": 12, "yellow": 4}
            for ask in (lambda: count_by(con, "category", "split", "nonsense"), lambda: category_counts(con, "1; 2")):
                with pytest.raises(BadSql, match="does not work"):
                    ask()


def test_a_run_s_name_goes_before_its_number(own: Store) -> None:
    run(own, NAMES, name="2")
    with own.reading() as con:
        assert [find_run(con, name).run_id for name in ("2", "words", "3", "4", None)] == [4, 2, 3, 4, 4]
        for name in ("5", "word", ""):
            with pytest.raises(OptionError, match=f"no run '{name}'") as caught:
                find_run(con, name)
            assert caught.value.hint == "the runs are: names, words, third, 2"
