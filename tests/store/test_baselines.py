"""Baselines on record: what goes in comes out, in order, and nothing is overwritten or left behind."""

from __future__ import annotations

import dataclasses
from math import isnan, nan

import pyarrow as pa
import pytest

from shotdex.store.baselines import (
    OVERALL,
    TRIAL_COLUMNS,
    WITHOUT_INTERVAL,
    Baseline,
    Kind,
    find_baseline,
    list_baselines,
    load_trials,
    remove_baseline,
    save_baseline,
)
from shotdex.store.errors import OptionError
from shotdex.store.store import Store
from shotdex.store.types import Estimate

ACCURACIES = {
    "realistic": Estimate(0.845, nan, nan, 0, WITHOUT_INTERVAL),
    "geons": Estimate(0.585, 0.5, 0.625, 0, "as reported"),
    "blurred": Estimate(1 / 3, 0.1, 0.6, 12, "wilson 95 %"),
    OVERALL: Estimate(0.7, 0.6, 0.8, 100, "wilson 95 %"),
}

TRIALS = pa.table(
    {
        "subject": ["s2", "s1", "s2"],
        "category": ["cat", "dog", "dog"],
        "condition": pa.array([None, "geons", "blurred"], pa.string()),
        "response": pa.array(["cat", None, "cat"], pa.string()),
        "imagename": ["b.png", "a.png", "b.png"],
        "correct": [True, False, False],
    }
)


def made(name: str, **changes: object) -> Baseline:
    baseline = Baseline(0, name, Kind.TABLE, "a book, p. 3", "mind the gap", ACCURACIES, "ab" * 32)
    return dataclasses.replace(baseline, **changes)


def save(store: Store, baseline: Baseline, trials: pa.Table | None = None) -> Baseline:
    with store.writing() as con:
        return save_baseline(con, baseline, trials)


def cells(estimate: Estimate) -> list[float | str | None]:
    """An estimate's fields, None for NaN, so that they can be compared."""
    return [None if isinstance(v, float) and isnan(v) else v for v in dataclasses.astuple(estimate)]


def test_a_baseline_comes_back_as_it_was_in_its_order(store: Store) -> None:
    saved = save(store, made("toddlers"))
    with store.reading() as con:
        found = find_baseline(con, "toddlers")
    assert dataclasses.replace(found, accuracies={}) == dataclasses.replace(saved, accuracies={})
    assert found.baseline_id == 1
    assert found.imported_at is not None
    assert list(found.accuracies) == list(ACCURACIES)
    assert [cells(found.accuracies[name]) for name in ACCURACIES] == [cells(ACCURACIES[name]) for name in ACCURACIES]


def test_an_absent_bound_is_null_in_sql(store: Store) -> None:
    save(store, made("toddlers"))
    with store.reading() as con:
        rows = con.rows("SELECT condition FROM baseline_accuracies WHERE low IS NULL AND high IS NULL")
        largest = con.value("SELECT max(high) FROM baseline_accuracies")
    assert rows == [("realistic",)]
    assert largest == 0.8


def test_trials_come_back_row_for_row(store: Store) -> None:
    one = save(store, made("people", kind=Kind.TRIALS), TRIALS)
    two = save(store, made("others", kind=Kind.TRIALS), TRIALS.slice(1, 1))
    with store.reading() as con:
        first, second, none = (load_trials(con, number) for number in (one.baseline_id, two.baseline_id, 7))
    assert first.column_names == list(TRIAL_COLUMNS)
    assert first.to_pylist() == TRIALS.to_pylist()
    assert second.to_pylist() == TRIALS.to_pylist()[1:2]
    assert len(none) == 0


def test_a_name_is_never_overwritten(store: Store) -> None:
    save(store, made("two words"))
    with pytest.raises(OptionError, match="already a baseline named 'two words'") as caught:
        save(store, made("two words", source="another"), TRIALS)
    assert "--name 'two words-2'" in caught.value.hint
    assert "shotdex baseline remove 'two words'" in caught.value.hint
    with store.reading() as con:
        assert [baseline.source for baseline in list_baselines(con)] == ["a book, p. 3"]
        assert con.value("SELECT count(*) FROM baseline_trials") == 0
    with pytest.raises(OptionError, match="needs a name"):
        save(store, made("  "))


def test_a_failure_half_way_leaves_nothing(store: Store) -> None:
    with pytest.raises(KeyError):
        save(store, made("people"), TRIALS.drop_columns(["correct"]))
    with store.reading() as con:
        assert list_baselines(con) == []
        assert con.value("SELECT count(*) FROM baseline_accuracies") == 0


def test_finding_by_name_before_number(store: Store) -> None:
    for name in ("first", "1", "third"):
        save(store, made(name))
    with store.reading() as con:
        assert [baseline.name for baseline in list_baselines(con)] == ["first", "1", "third"]
        assert find_baseline(con, "1").baseline_id == 2
        assert find_baseline(con, "3").name == "third"
        with pytest.raises(OptionError, match="no baseline 'second'") as caught:
            find_baseline(con, "second")
    assert caught.value.hint == "the baselines are: first, 1, third"


def test_an_empty_store_says_how_to_import(store: Store) -> None:
    with store.reading() as con, pytest.raises(OptionError, match="none yet") as caught:
        find_baseline(con, "people")
    assert "shotdex baseline import" in caught.value.hint


def test_removing_takes_everything_of_that_one_only(store: Store) -> None:
    save(store, made("people", kind=Kind.TRIALS), TRIALS)
    save(store, made("others", kind=Kind.TRIALS), TRIALS)
    with store.writing() as con:
        removed = remove_baseline(con, "people")
    assert (removed.name, len(removed.accuracies)) == ("people", 4)
    with store.reading() as con:
        assert [baseline.name for baseline in list_baselines(con)] == ["others"]
        assert list(find_baseline(con, "others").accuracies) == list(ACCURACIES)
        assert con.rows("SELECT DISTINCT baseline_id FROM baseline_trials") == [(2,)]
        assert con.rows("SELECT DISTINCT baseline_id FROM baseline_accuracies") == [(2,)]
    assert save(store, made("people")).baseline_id == 3
    with store.writing() as con, pytest.raises(OptionError, match="no baseline 'nobody'"):
        remove_baseline(con, "nobody")
