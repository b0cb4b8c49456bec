"""Tables of accuracies: each value with the interval that its row allows, or an error that says what to write."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from shotdex.analysis.baselines.csv_file import read_csv
from shotdex.analysis.baselines.file_formats import AS_REPORTED, COLUMNS, FROM_COUNT, ReportedTable, read_table
from shotdex.store.baselines import OVERALL, WITHOUT_INTERVAL
from shotdex.store.errors import OptionError
from shotdex.store.types import Estimate


def read(folder: Path, text: str) -> ReportedTable:
    path = folder / "a.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return read_table(read_csv(path, COLUMNS))


def test_what_is_known_decides_the_interval(tmp_path: Path) -> None:
    read_in = read(
        tmp_path,
        "condition,accuracy,n,low,high,source\n"
        "bare,.845,,,,book\ncounted,0.835,1000,,,book\nbounded,0.5,,0.25,0.625,book\nboth,5e-1,40,0.25,0.75,book\n",
    )
    found = dict(read_in.accuracies)
    assert list(found) == ["bare", "counted", "bounded", "both"]
    bare = found.pop("bare")
    assert (bare.value, bare.n, bare.method) == (0.845, 0, WITHOUT_INTERVAL)
    assert isnan(bare.low) and isnan(bare.high)
    low, high = proportion_confint(835, 1000, method="wilson")
    counted = found.pop("counted")
    assert (counted.value, counted.n, counted.method) == (0.835, 1000, FROM_COUNT)
    assert (counted.low, counted.high) == pytest.approx((low, high), abs=1e-9)
    assert found == {
        "bounded": Estimate(0.5, 0.25, 0.625, 0, AS_REPORTED),
        "both": Estimate(0.5, 0.25, 0.75, 40, AS_REPORTED),
    }


@given(st.floats(0, 1), st.integers(1, 10_000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_the_interval_from_n_is_wilsons_and_holds_the_value(tmp_path: Path, accuracy: float, n: int) -> None:
    found = read(tmp_path, f"condition,accuracy,n\nx,{accuracy!r},{n}\n").accuracies["x"]
    low, high = proportion_confint(round(accuracy * n), n, method="wilson")
    assert (found.value, found.n) == (accuracy, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert 0 <= found.low <= accuracy <= found.high <= 1


@pytest.mark.parametrize("cell", ["", "all", " ALL "])
def test_the_overall_value(tmp_path: Path, cell: str) -> None:
    found = read(tmp_path, f"condition,accuracy\ngeons,0.5\n{cell},0.75\n").accuracies
    assert {name: estimate.value for name, estimate in found.items()} == {"geons": 0.5, OVERALL: 0.75}


def test_a_table_without_conditions_is_one_overall_value(tmp_path: Path) -> None:
    assert list(read(tmp_path, "accuracy,source\n0.919,book\n").accuracies) == [OVERALL]


def test_decimal_commas_go_with_semicolons(tmp_path: Path) -> None:
    found = read(tmp_path, "condition;accuracy;low;high\ngeons;0,585;0,5;0,625\nblurred;0.55;;\n").accuracies
    assert found["geons"] == Estimate(0.585, 0.5, 0.625, 0, AS_REPORTED)
    assert found["blurred"].value == 0.55


def test_one_source_holds_for_all_and_several_are_told_apart(tmp_path: Path) -> None:
    one = read(tmp_path, "condition,accuracy,source,note\na,0.5,a book,\nb,0.5,,\nc,0.5,a book,mind\n")
    assert (one.source, one.note) == ("a book", "mind")
    two = read(tmp_path, "condition,accuracy,source,note\na,0.5,p. 3,\nb,0.5,p. 4,\n,0.5,p. 3,\n")
    assert (two.source, two.note) == ("a, all: p. 3; b: p. 4", "")


@pytest.mark.parametrize(
    ("row", "message", "hint"),
    [
        ("geons,84.5,,,", "line 3: the accuracy 84.5 is not between 0 and 1", "divide by 100, 0.845"),
        ("geons,100,,,", "the accuracy 100 is not", "divide by 100, 1"),
        ("geons,84.5%,,,", "line 3: the accuracy '84.5%' is not a number", "between 0 and 1: 0.845"),
        ("geons,0.5,,40,60", "the low 40 is not between 0 and 1", "divide by 100, 0.4"),
        ("geons,845,,,", "the accuracy 845 is not", "between 0 and 1"),
        ("geons,-0.1,,,", "the accuracy -0.1 is not", "between 0 and 1"),
        ("geons,nan,,,", "the accuracy 'nan' is not a number", "between 0 and 1"),
        ("geons,inf,,,", "the accuracy 'inf' is not a number", "between 0 and 1"),
        ("geons,,,,", "line 3: there is no accuracy", "0.845"),
        ("geons,good,,,", "the accuracy 'good' is not a number", "between 0 and 1"),
        ("geons,%,,,", "the accuracy '%' is not a number", "between 0 and 1"),
        ("geons,0.5,,0.4,", "line 3: one of low and high is missing", "both bounds"),
        ("geons,0.5,,,0.6", "line 3: one of low and high is missing", "both bounds"),
        ("geons,0.5,,0.6,0.7", "the accuracy 0.5 is not between low 0.6 and high 0.7", "bounds themselves"),
        ("geons,0.5,,0.1,0.1", "the accuracy 0.5 is not between low 0.1 and high 0.1", "bounds themselves"),
        ("geons,0.5,0,,", "line 3: n is '0'", "a whole number from 1"),
        ("geons,0.5,-3,,", "n is '-3'", "a whole number from 1"),
        ("geons,0.5,10.5,,", "n is '10.5'", "a whole number from 1"),
        ("geons,0.5,many,,", "n is 'many'", "a whole number from 1"),
        ("geons,0.5,9999999999999999999,,", "n is '9999999999999999999'", "a whole number from 1"),
        ("blurred,0.5,,,", "line 3: the condition 'blurred' was already on line 2", "one row"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, row: str, message: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        read(tmp_path, f"condition,accuracy,n,low,high\nblurred,0.5,,,\n{row}\n")
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_the_overall_value_twice(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="line 3: the condition 'all' was already on line 2"):
        read(tmp_path, "condition,accuracy\n,0.5\nall,0.6\n")
