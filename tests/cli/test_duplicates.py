"""`shotdex duplicates`, through the same `main` as the installed script. It needs no model."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from shotdex.cli.duplicates_output import is_table_of_pairs, write_pairs
from shotdex.store.store import Store
from tests.analysis.duplicates.twins import build
from tests.conftest import Ran

from .checks import strict_json

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twins")
    build(folder)
    return folder


@pytest.fixture
def here(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(built / "store", tmp_path / ".shotdex")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failed(ran: Ran, status: int, *words: str) -> None:
    assert ran.status == status, ran
    assert "Traceback" not in ran.err
    assert ran.out == ""
    for word in words:
        assert word in ran.err


def test_the_whole_report(shotdex: Run, here: Path) -> None:
    ran = shotdex("duplicates", "--threshold", "0.999")
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "images: indexed 17, failed 1, without a category 0, without a split 0; compared 17"
    assert lines[1] == "near: cosine 0.999 or more in the joint space of fake (float32, 12-d, weights 00000000)"
    table = {line[:22].strip(): line[22:].split() for line in lines[5:9]}
    assert table == {
        "exact copies only": ["3", "7", "4"],
        "with near duplicates": ["1", "2", "1"],
        "of several categories": ["1", "2", "1"],
        "across splits (leaks)": ["3", "7", "4"],
    }
    assert "the largest group has 3 images; links chain, so its ends may differ" in lines
    assert "one label of a conflicting pair may be wrong: shotdex duplicates conflicts" in lines
    assert "pairs across splits: shotdex duplicates leaks" in lines
    assert lines[lines.index("Closest pairs") + 1].split() == [
        "pair",
        "cosine",
        "image_id",
        "category",
        "split",
        "path",
    ]
    (run,) = [i for i, line in enumerate(lines) if line.startswith("run run-1: ")]
    assert lines[run].endswith("evaluated 17")
    assert lines[run + 1].split()[:2] == ["split", "images"]
    cells = [re.split(r"\s{2,}", line) for line in lines[run + 3 :]]
    numbers = {(row[0], row[1]): (int(row[-1]), int(row[2])) for row in cells if len(row) == 6}
    assert numbers["all", "all images"] == (17, 0)
    assert numbers["all", "without leaked"] == (10, 7)
    assert numbers["all", "one of each group"] == (12, 5)
    assert numbers["all", "without conflicts"] == (15, 2)
    assert len(numbers) < 12
    assert lines[-1] == "rows that would leave out nothing are not shown"


def test_json_says_the_same(shotdex: Run, here: Path) -> None:
    found = strict_json(shotdex("duplicates", "--threshold", "0.999", "--limit", "2", "--json").out)
    assert found["search"] == {
        "threshold": 0.999, "space": "joint", "across": "split", "where": None, "encoder_name": None,
    }  # fmt: skip
    assert found["encoder"]["name"] == "fake"
    assert found["images"] == {
        "indexed": 17, "compared": 17, "failed": 1, "without_category": 0, "without_condition": 17, "without_split": 0,
    }  # fmt: skip
    assert found["counts"]["copies"] == {"groups": 3, "images": 7, "pairs": 4}
    assert sorted(len(group["image_ids"]) for group in found["groups"]) == [2, 2, 2, 3]
    assert [pair["kind"] for pair in found["pairs"]] == ["exact", "exact"]
    (run,) = found["runs"]
    assert (run["run"]["name"], run["looked_at"], len(run["accuracies"])) == ("run-1", 17, 12)
    assert run["accuracies"][-4]["accuracy"]["n"] == 17


def test_the_printed_filter_can_be_used(shotdex: Run, here: Path) -> None:
    printed = shotdex("duplicates", "leaks", "--threshold", "0.999", "--as-filter")
    assert printed.status == 0
    assert printed.out.startswith("image_id NOT IN (")
    assert printed.out.count("\n") == 1
    assert "leaves out 7 of 17 images" in printed.err
    again = strict_json(shotdex("duplicates", "--threshold", "0.999", "--where", printed.out.strip(), "--json").out)
    assert (again["images"]["indexed"], again["counts"]["leaks"]["groups"]) == (10, 0)
    counted = shotdex("sql", f"SELECT count(*) AS n FROM images WHERE {printed.out.strip()}", "--json")
    assert strict_json(counted.out) == [{"n": 10}]
    clean = shotdex("duplicates", "conflicts", "--where", printed.out.strip(), "--as-filter")
    assert clean.out == "true\n"
    assert "leaves out 5 of 17" in shotdex("duplicates", "--threshold", "0.999", "--as-filter").err


def test_a_filter_too_long_for_one_argument_is_said(shotdex: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shotdex.cli.duplicates_output.LONGEST_ARGUMENT", 20)
    assert "longer than some shells accept" in shotdex("duplicates", "--as-filter").err


def test_every_pair_as_csv_and_as_images(shotdex: Run, here: Path) -> None:
    ran = shotdex("duplicates", "--threshold", "0.999", "--out", "pairs.csv", "--sheet", "pairs.png", "--limit", "3")
    assert ran.status == 0, ran.err
    assert "wrote 5 pairs to pairs.csv" in ran.err
    assert "wrote pairs.png" in ran.err
    rows = list(csv.DictReader((here / "pairs.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["kind"] for row in rows].count("exact") == 4
    assert all(int(row["image_id_a"]) < int(row["image_id_b"]) for row in rows)
    assert {row["group"] for row in rows if row["kind"] == "near"} == {
        row["image_id_a"] for row in rows if row["kind"] == "near"
    }
    assert all(Path(row[path]).is_file() for row in rows for path in ("path_a", "path_b"))
    assert {row["condition_a"] for row in rows} == {""}
    with Image.open(here / "pairs.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 100


def test_nothing_to_draw_is_no_error(shotdex: Run, here: Path) -> None:
    ran = shotdex("duplicates", "--where", "path LIKE '%/04.png'", "--sheet", "none.png", "--out", "none.csv")
    assert ran.status == 0
    assert "no pairs to draw, so none.png is not written" in ran.err
    assert not (here / "none.png").exists()
    assert (here / "none.csv").read_text().count("\n") == 1
    assert "images in the filter: indexed 1," in ran.out
    assert "1 of the evaluated were compared here" in ran.out


def test_leaks(shotdex: Run, here: Path) -> None:
    lines = shotdex("duplicates", "leaks", "--threshold", "0.999", "--limit", "1").out.splitlines()
    assert lines[5].split() == ["across", "splits", "(leaks)", "3", "7", "4"]
    assert "Pairs across splits" in lines
    assert not any("one of each group" in line or "without conflicts" in line for line in lines)
    assert any("without leaked" in line for line in lines)
    found = strict_json(shotdex("duplicates", "leaks", "--threshold", "0.999", "--json").out)
    assert found["counts"] == {"groups": 3, "images": 7, "pairs": 4}
    assert len(found["groups"]) == 3 and all(len(group["split"]) == 2 for group in found["groups"])
    assert len(found["pairs"]) == 4 and all(pair["split_a"] != pair["split_b"] for pair in found["pairs"])
    (run,) = found["runs"]
    assert {row["kept"] for row in run["accuracies"]} == {"all images", "without leaked"}
    conditions = shotdex("duplicates", "leaks", "--across", "condition").out
    assert "without a condition 17" in conditions
    assert "no image has a condition, so nothing can leak" in conditions


def test_conflicts(shotdex: Run, here: Path) -> None:
    lines = shotdex("duplicates", "conflicts", "--threshold", "0.999", "--out", "conflicts.csv").out.splitlines()
    conflict = lines.index("Pairs of two categories: one label may be wrong")
    assert [line.split()[:-1] for line in lines[conflict + 3 : conflict + 5]] == [
        ["1", "exact", lines[conflict + 3].split()[2], "red", "test"],
        [lines[conflict + 4].split()[0], "blue", "train"],
    ]
    (row,) = csv.DictReader((here / "conflicts.csv").read_text(encoding="utf-8").splitlines())
    assert {row["category_a"], row["category_b"]} == {"red", "blue"}
    found = strict_json(shotdex("duplicates", "conflicts", "--threshold", "0.999", "--json").out)
    assert found["counts"] == {"groups": 1, "images": 2, "pairs": 1}
    assert {row["kept"] for row in found["runs"][0]["accuracies"]} == {"all images", "without conflicts"}


def test_other_pairs_and_spaces(shotdex: Run, here: Path) -> None:
    weakest = shotdex("duplicates", "--weakest", "--threshold", "0.5", "--limit", "1").out
    assert "Weakest near pairs" in weakest
    assert "Pairs" not in shotdex("duplicates", "--limit", "0").out
    assert "cosine 0.9995 or more in the vision space" in shotdex("duplicates", "--space", "vision").out


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("--show leaks", "use: shotdex duplicates leaks"),
        ("--show conflicts", "use: shotdex duplicates conflicts"),
        ("--show weakest", "use: shotdex duplicates --weakest"),
        ("--filter copies", "use: shotdex duplicates --as-filter"),
        ("--filter leaks", "use: shotdex duplicates leaks --as-filter"),
        ("--across condition", "use: shotdex duplicates leaks --across condition"),
        ("--show nonsense", "use one of: shotdex duplicates leaks, "),
        ("--threshold 0.9 leaks", "shotdex duplicates leaks --threshold ..."),
    ],
)
def test_a_former_spelling_answers_with_the_present_one(shotdex: Run, here: Path, former: str, now: str) -> None:
    failed(shotdex("duplicates", *former.split()), 2, now)


def test_runs(shotdex: Run, here: Path) -> None:
    assert shotdex("duplicates", "--run", "run-1", "--run", "run-1").out.count("run run-1:") == 1
    failed(shotdex("duplicates", "--run", "gone"), 2, "there is no run 'gone'", "run-1")
    with Store(here / ".shotdex").writing() as con:
        con.run("DELETE FROM runs")
    assert "no runs yet" in shotdex("duplicates").out


def test_errors(shotdex: Run, here: Path, store: Store) -> None:
    failed(shotdex("duplicates", "--threshold", "1.5"), 2, "1.5 is not a valid threshold", "try:")
    failed(shotdex("duplicates", "leaks", "--as-filter", "--json"), 2, "--as-filter prints a condition")
    failed(shotdex("duplicates", "--out", "no/such/folder/x.csv"), 2, "there is no folder no/such/folder")
    failed(shotdex("duplicates", "--sheet", "x.gif"), 2, "x.gif")
    failed(shotdex("duplicates", "--model", "other"), 1, "other", "fake")
    failed(shotdex("duplicates", "--where", "nonsense = 1"), 1, "nonsense")
    failed(shotdex("duplicates", "--store", store.root), 1, "nothing has been indexed yet")
    failed(shotdex("duplicates", "--where", "false"), 1, "no images to compare")


def test_only_a_table_of_pairs_is_replaced(tmp_path: Path) -> None:
    thesis, table = tmp_path / "thesis.csv", tmp_path / "pairs.csv"
    thesis.write_text("name,grade\n")
    table.write_text("kind,cosine,group,and so on\n")
    assert (is_table_of_pairs(thesis), is_table_of_pairs(table)) == (False, True)
    write_pairs(pa.table({"kind": ["exact"], "cosine": [1.0], "group": [1]}), table)
    assert table.read_text() == "kind,cosine,group\nexact,1.0,1\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.csv", "thesis.csv"]
