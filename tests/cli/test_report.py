"""shotdex report: every number in the text against the tables read another way."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isnan
from typing import Any

import pytest
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support
from statsmodels.stats.proportion import proportion_confint

from shotdex.store.store import Store
from tests.conftest import Ran
from tests.support.evaluated import NAMES, SNOWY, WORDS, by_columns, change, judged, run, shown

from .checks import failed, strict_json

Shotdex = Callable[..., Ran]


def table_below(text: str, first: str) -> list[list[str]]:
    """Return the rows of the table whose head begins so, cut where the rule below the head has its gaps."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines[:-1]) if line.startswith(first) and set(lines[i + 1]) <= {"-", " "})
    parts = [(part.start(), part.end()) for part in re.finditer("-+", lines[start + 1])]
    body = lines[start + 2 :]
    end = body.index("") if "" in body else len(body)
    return [[line[a:b].strip() for a, b in parts] for line in body[:end]]


def share(right: int, n: int) -> list[str]:
    low, high = proportion_confint(right, n, method="wilson")
    return [f"{right / n:.3f}", f"{low:.3f} to {high:.3f}", str(n)]


def test_every_table(shotdex: Shotdex, evaluated: Store) -> None:
    ran = shotdex("report", "words", "--by", "condition", "--resamples", "200", "--store", evaluated.root)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines()[:2] == [
        "run words",
        "images: indexed 75, failed 0, unlabelled 0, of another category 0; evaluated 75",
    ]
    images = judged(evaluated, "words")
    truth, predicted = [image.truth for image in images], [image.ranked[0] for image in images]
    numbers = {row[0]: row[1:] for row in table_below(ran.out, "   ")}
    assert numbers["accuracy@1"][:3] == share(sum(image.right for image in images), 75)
    recall = [sum(i.right for i in images if i.truth == name) / truth.count(name) for name in NAMES]
    assert numbers["mean per-class recall"][0] == f"{sum(recall) / 4:.3f}"
    assert numbers["mean reciprocal rank"][0] == f"{sum(1 / image.rank for image in images) / 75:.3f}"
    assert {row[2] for row in numbers.values()} == {"75"}
    for k, row in enumerate(table_below(ran.out, "top-k"), start=1):
        assert row == [str(k), *share(sum(image.rank <= k for image in images), 75)]
    assert k == 4
    groups = by_columns(images, ["condition"])
    body = table_below(ran.out, "condition ")
    assert [row[0] for row in body] == [shown(values) for values in groups]
    for row, part in zip(body, groups.values(), strict=True):
        right, n = sum(image.right for image in part), len(part)
        low, high = proportion_confint(right, n, method="wilson")
        cells = [f"{number:.3f}".removeprefix("0") for number in (right / n, low, high)]
        assert row[1:3] == [str(n), f"{cells[0]} [{cells[1]}, {cells[2]}]"]
        assert row[5].split()[0] == f"{sum(1 / image.rank for image in part) / n:.3f}".removeprefix("0")
        assert row[7] == ("small n" if n < 30 else "")
    precision, recalls, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=list(WORDS), zero_division=0
    )
    for i, row in enumerate(table_below(ran.out, "class ")):
        assert row[:2] == [list(WORDS)[i], str(support[i])]
        assert row[2] == (f"{recalls[i]:.3f}" if support[i] else "-")
        assert row[4] == str(predicted.count(row[0]))
        assert row[5] == (f"{precision[i]:.3f}" if predicted.count(row[0]) else "-")
        assert row[7] == (f"{f1[i]:.3f}" if support[i] or predicted.count(row[0]) else "-")
    assert "intervals: shares Wilson 95 %, the rest stratified bootstrap 95 %, 200 resamples, seed 0" in ran.out
    assert "small n: under 30 images" in ran.out


def test_balanced_accuracy(shotdex: Shotdex, evaluated: Store) -> None:
    found = strict_json(shotdex("report", "names", "--resamples", "100", "--json", "--store", evaluated.root).out)
    images = judged(evaluated, "names")
    want = balanced_accuracy_score([image.truth for image in images], [image.ranked[0] for image in images])
    assert found["overall"]["summary"]["mean per-class recall"]["value"] == pytest.approx(want, abs=1e-9)


def test_json(shotdex: Shotdex, own: Store) -> None:
    run(own, SNOWY, name="snowy")
    arguments = ("report", "snowy", "--by", "condition,category", "--resamples", "100", "--store", own.root)
    found = strict_json(shotdex(*arguments, "--json").out)
    assert found["run"]["name"] == "snowy"
    assert {row["summary"]["macro F1"]["value"] for row in found["groups"]} == {None}
    assert found["by"] == ["condition", "category"]
    assert [row["name"] for row in found["groups"]] == [
        f"{condition} · {category}" for condition in ("noisy", "plain", "unlabelled") for category in sorted(NAMES)
    ]
    assert sum(row["accuracy"]["n"] for row in found["groups"]) == found["coverage"]["evaluated"] == 75
    white = found["classes"][-1]
    assert (white["name"], white["recall"]["value"], white["recall"]["low"], white["recall"]["n"]) == (
        "white", None, None, 0
    )  # fmt: skip
    every_number_is_one(found)


def every_number_is_one(value: Any, name: str = "") -> None:
    """Nothing that is a number may have become a text on its way into JSON."""
    if isinstance(value, dict):
        for key, part in value.items():
            every_number_is_one(part, key)
    elif isinstance(value, list):
        for part in value:
            every_number_is_one(part, name)
    elif name in ("value", "low", "high"):
        assert value is None or (isinstance(value, float) and not isnan(value))
    elif name == "n":
        assert isinstance(value, int)


def test_seeds(shotdex: Shotdex, own: Store) -> None:
    def made(*how: object) -> str:
        ran = shotdex("report", "words", "--by", "split", "--resamples", "100", "--store", own.root, *how)
        assert ran.status == 0, ran.err
        return ran.out

    assert made("--seed", 1) == made("--seed", 1)
    assert made() == made("--seed", 0)
    one, other = (table_below(made("--seed", seed), "   ") for seed in (1, 2))
    assert [row[1] for row in one] == [row[1] for row in other]
    assert one[0] == other[0], "Wilson's interval draws nothing"
    assert [row[2] for row in one[1:]] != [row[2] for row in other[1:]]
    change(own, "UPDATE runs SET seed = 2 WHERE name = 'words'")
    assert made() == made("--seed", 2)


def test_bins(shotdex: Shotdex, evaluated: Store) -> None:
    at = ("--resamples", "100", "--json", "--store", evaluated.root)

    def error(*how: object) -> float:
        found = strict_json(shotdex("report", "words", *how, *at).out)
        return float(found["overall"]["summary"]["expected calibration error"]["value"])

    images = judged(evaluated, "words")
    gap = abs(sum(image.right for image in images) - sum(image.chances[0] for image in images)) / 75
    assert error("--bins", 1) == pytest.approx(gap, abs=1e-9)
    assert error() == error("--bins", 15) > error("--bins", 1)


def test_the_newest_run_and_one_by_its_number(shotdex: Shotdex, evaluated: Store) -> None:
    at = ("--resamples", "100", "--store", evaluated.root)
    assert shotdex("report", *at).out.startswith("run third\n")
    assert shotdex("report", "2", *at).out == shotdex("report", "words", *at).out


def test_small_numbers_are_flagged_wherever_they_stand(shotdex: Shotdex, own: Store) -> None:
    run(own, NAMES, name="few", where="image_id <= 12")
    ran = shotdex("report", "few", "--resamples", "100", "--store", own.root)
    assert [row[-1] for row in table_below(ran.out, "   ")] == ["small n"] * 5
    sizes = {row[0]: (int(row[1]), row[-1]) for row in table_below(ran.out, "class ")}
    assert {name: flag for name, (_, flag) in sizes.items()} == {
        name: "small n" if n else "no images" for name, (n, _) in sizes.items()
    }
    assert {n > 0 for n, _ in sizes.values()} == {True, False}
    assert "small n: under 30 images" in ran.out
    whole = shotdex("report", "names", "--resamples", "100", "--store", own.root)
    assert {row[-1] for row in table_below(whole.out, "   ")} == {"75"}
    rows = table_below(whole.out, "class ")
    remarks = ["small n" if int(row[1]) < 30 else "few predictions" if int(row[4]) < 30 else "" for row in rows]
    assert [row[-1] for row in rows] == remarks
    assert "small n: under 30 images" in whole.out


def test_one_image(shotdex: Shotdex, own: Store) -> None:
    run(own, NAMES, name="one", where="image_id = 1")
    ran = shotdex("report", "one", "--by", "condition", "--resamples", "100", "--store", own.root)
    assert (ran.status, ran.err) == (0, "")
    assert "evaluated 1\n" in ran.out
    assert table_below(ran.out, "   ")[0][1:4] == share(int(judged(own, "one")[0].right), 1)


def test_many_classes(shotdex: Shotdex, own: Store) -> None:
    run(own, NAMES | {f"class {i}": (f"text {i}",) for i in range(30)}, name="many")
    ran = shotdex("report", "many", "--resamples", "100", "--store", own.root)
    assert [row[0] for row in table_below(ran.out, "top-k")] == ["1", "2", "3", "5", "10", "20"]
    assert len(table_below(ran.out, "class ")) == 34


def test_odd_names_do_not_break_the_table(shotdex: Shotdex, own: Store) -> None:
    odd = "a $x$ \x1b[31m\tü\n" + "long " * 12
    with own.writing() as con:
        con.run("UPDATE runs SET name = $odd WHERE name = 'words'", {"odd": odd})
        con.run("UPDATE stored_images SET condition = $odd WHERE condition = 'plain'", {"odd": odd})
    ran = shotdex("report", odd, "--by", "condition", "--resamples", "100", "--store", own.root)
    assert (ran.status, ran.err) == (0, "")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", ran.out)
    body = table_below(ran.out, "condition ")
    assert [row[1] for row in body] == ["30", "30", "15"]
    assert body[0][0].startswith("a $x$ \\x1b[31m\\tü\\nlong")
    listed = shotdex("runs", "--store", own.root).out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", listed)
    assert [row[-2] for row in table_below(listed, "run ")] == ["75", "75", "75"]


def test_errors(shotdex: Shotdex, own: Store, store: Store) -> None:
    at = ("--store", own.root)
    failed(shotdex("report", "--store", store.root), 2, "no runs yet", "shotdex classify")
    failed(shotdex("report", "gone", *at), 2, "no run 'gone'", "names, words, third")
    failed(shotdex("report", "--by", "Conditon", *at), 2, "'Conditon'", "did you mean condition?")
    failed(shotdex("report", "--by", 'x" FROM runs --', *at), 2, "no column")
    failed(shotdex("report", "--bins", "0", *at), 2)
    failed(shotdex("report", "--resamples", "5", *at), 2)
    failed(shotdex("report", "--store", "nowhere"), 1, "no store at nowhere")
    change(own, "UPDATE stored_images SET category = NULL")
    run(own, NAMES, name="blind")
    failed(shotdex("report", "blind", *at), 1, "no image of the run 'blind' has a category", "shotdex index")
    assert shotdex("runs", *at).out.splitlines()[-1].split()[1:9] == [
        *("blind", "fake", "blind", "4", "0.250", "-", "-", "0")
    ]
    listed = strict_json(shotdex("runs", "--json", *at).out)
    assert (listed[-1]["accuracy"]["value"], listed[-1]["accuracy"]["n"]) == (None, 0)


def test_selective(shotdex: Shotdex, evaluated: Store) -> None:
    given = ("report", "words", "--resamples", "100", "--store", evaluated.root)
    before, ran = shotdex(*given), shotdex(*given, "--selective", "--coverage", "0.8")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(before.out)
    images = judged(evaluated, "words")
    body = table_below(ran.out, "coverage ")
    assert body[0][2:5] == share(sum(not image.right for image in images), 75)
    for row in body:
        kept = [image for image in images if image.chances[0] >= float(row[1]) - 5e-4]
        assert int(row[4]) <= len(kept)
    assert re.search(r"temperature \d\.\d+ \(.*\), fitted on \d+ images, reported on the other \d+: ", ran.out)
    assert "calibrated on 38 images, counted on the other 37" in ran.out
    assert "at least 0.8" in ran.out
    found = strict_json(shotdex(*given, "--selective", "--coverage", "0.99", "--json").out)
    selective = found.pop("selective")
    assert found == strict_json(shotdex(*given, "--json").out)
    assert (selective["run"], selective["sets"]) == ("words", None)
    assert "a coverage of 0.99 takes at least 99 images" in selective["notes"][0]
    assert len(selective["risk"]["rows"]) == 7
    failed(shotdex(*given, "--selective", "--coverage", "1"), 2, "--coverage")


def test_a_run_can_be_named_as_in_other_commands(shotdex: Shotdex, evaluated: Store) -> None:
    failed(shotdex("report", "--run", "nope", "--store", evaluated.root), 2, "there is no run 'nope'")
