"""Trials, one row per decision: what counts as right, and accuracies against counting by hand and statsmodels."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from shotdex.analysis.baselines.csv_file import read_csv
from shotdex.analysis.baselines.file_formats import METHOD, count_trials, read_trials, trial_accuracies
from shotdex.analysis.baselines.file_formats import TRIAL_COLUMNS as COLUMNS
from shotdex.store.baselines import OVERALL, TRIAL_COLUMNS
from shotdex.store.errors import OptionError

# The header and the form of the names are those of the toolbox's own files.
HEADER = "subj,Session,trial,rt,object_response,category,condition,imagename"


def file(folder: Path, *rows: str, header: str = HEADER, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def read(*paths: Path) -> list[dict[str, object]]:
    table = read_trials([read_csv(path, COLUMNS) for path in paths])
    assert table.column_names == list(TRIAL_COLUMNS)
    rows: list[dict[str, object]] = table.to_pylist()
    return rows


def test_rows_of_the_toolbox(tmp_path: Path) -> None:
    rows = read(
        file(
            tmp_path,
            "subject-04,1,1,1.18576312065125,knife,knife,bw,0001_cl_s04_bw_knife_40_n03041632_22734.png",
            "subject-04,1,12,0.929600954055786,dog,cat,bw,0012_cl_s04_bw_cat_40_n02125311_20219.png",
            "subject-04,1,30,NaN,na,clock,cr,0030_cl_s04_cr_clock_40_n04548280_4349.png",
        )
    )
    assert [tuple(row.values()) for row in rows] == [
        ("subject-04", "knife", "bw", "knife", "0001_cl_s04_bw_knife_40_n03041632_22734.png", True),
        ("subject-04", "cat", "bw", "dog", "0012_cl_s04_bw_cat_40_n02125311_20219.png", False),
        ("subject-04", "clock", "cr", None, "0030_cl_s04_cr_clock_40_n04548280_4349.png", False),
    ]


def test_right_missing_and_unconditional(tmp_path: Path) -> None:
    header = "subj,object_response,category,condition,imagename"
    answers = [
        ("Dog ", "dog"),
        ("NA", "dog"),
        ("", "dog"),
        ("NaN", "dog"),
        ("n/a", "dog"),
        ("na", "NA"),
        ("none", "dog"),
    ]
    path = file(tmp_path, *(f"s,{given},{shown},all,x.png" for given, shown in answers), header=header)
    rows = read(path)
    assert [row["correct"] for row in rows] == [True, False, False, False, False, True, False]
    assert [row["response"] for row in rows] == ["Dog", None, None, None, None, "na", "none"]
    assert {row["condition"] for row in rows} == {None}
    counts = count_trials(read_trials([read_csv(path, COLUMNS)]))
    assert (counts.trials, counts.subjects, counts.missing) == (7, 1, 4)


def test_a_file_without_the_condition_column(tmp_path: Path) -> None:
    path = file(tmp_path, "s,dog,dog,a.png", "s,cat,dog,b.png", header="subj,object_response,category,imagename")
    assert [row["condition"] for row in read(path)] == [None, None]
    accuracies = trial_accuracies(read_trials([read_csv(path, COLUMNS)]))
    assert list(accuracies) == [OVERALL]
    assert (accuracies[OVERALL].value, accuracies[OVERALL].n) == (0.5, 2)


def test_files_one_a_person_follow_each_other(tmp_path: Path) -> None:
    first = file(tmp_path, "s1,1,1,1,dog,dog,a,x.png", name="1.csv")
    second = file(
        tmp_path, "x.png,s2,cat,dog,b", header="imagename,subj,object_response,category,condition", name="2.csv"
    )
    assert [(row["subject"], row["condition"]) for row in read(first, second)] == [("s1", "a"), ("s2", "b")]


trials = st.tuples(
    st.sampled_from(["s1", "s2", "s3"]), st.sampled_from(["a", "b", "c", ""]), st.sampled_from(["cat", "dog", "na"])
)


@given(st.lists(trials, min_size=1, max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
def test_accuracies_equal_counting_by_hand(tmp_path: Path, given_trials: list[tuple[str, str, str]]) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(COLUMNS)
        writer.writerows((subject, said, "dog", "x.png", condition) for subject, condition, said in given_trials)
    table = read_trials([read_csv(path, COLUMNS)])
    found = trial_accuracies(table)
    order = list(dict.fromkeys(condition for _, condition, _ in given_trials if condition))
    assert list(found) == [*order, OVERALL]
    for name, estimate in found.items():
        said = [said for _, condition, said in given_trials if name in (condition, OVERALL)]
        right = said.count("dog")
        assert (estimate.value, estimate.n, estimate.method) == (right / len(said), len(said), METHOD)
        assert (estimate.low, estimate.high) == pytest.approx(
            proportion_confint(right, len(said), method="wilson"), abs=1e-9
        )
    counts = count_trials(table)
    assert counts.subjects == len({subject for subject, _, _ in given_trials})
    assert counts.missing == sum(said == "na" for _, _, said in given_trials)


@pytest.mark.parametrize(
    ("row", "missing"), [(",dog,dog,x.png", "subj"), ("s,dog,,x.png", "category"), ("s,dog,dog,", "imagename")]
)
def test_a_row_that_says_too_little_is_named(tmp_path: Path, row: str, missing: str) -> None:
    path = file(tmp_path, "s,dog,dog,x.png", row, header="subj,object_response,category,imagename")
    with pytest.raises(OptionError, match=f"a.csv, line 3: there is no {missing}") as caught:
        read(path)
    assert "every trial needs" in caught.value.hint
