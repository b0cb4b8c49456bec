"""`shotdex probe`, on a store of noisy shades."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from shotdex.store.store import Store
from tests.analysis.probe.conftest import SHADES, shades, shades_once
from tests.conftest import Ran

Run = Callable[..., Ran]

__all__ = ["shades", "shades_once"]  # fixtures

QUICK = ("--few-shot", "1,4", "--draws", "3")


@pytest.fixture
def here(shades: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("SHOTDEX_STORE", str(shades.root))
    return shades


def test_the_table(shotdex: Run, here: Store) -> None:
    ran = shotdex("probe", *QUICK, "--run", "bare", "--run", "bright", "--outside", "small CNN=0.919")
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].startswith("3 classes, joint space of fake (float32, 12-d")
    assert lines[1] == "split: train: split = 'train'; test: split = 'test'"
    assert lines[2] == "images: indexed 120, failed 0, unlabelled 0; trained on 72, evaluated 48"
    assert lines[3] == "no test image has a bit-identical copy among the training images"
    assert lines[5].split("  ")[0] == "method" and "p (Holm)" in lines[5]
    assert max(map(len, lines)) <= 100
    names = [line.split("  ")[0] for line in lines[7:14]]
    assert names == [
        "zero-shot: bare",
        "zero-shot: bright",
        "few-shot: logistic regression, 1 per class",
        "few-shot: logistic regression, 4 per class",
        names[4],
        names[5],
        "outside: small CNN",
    ]
    assert names[4].startswith("trained: nearest neighbours, k=")
    assert names[5].startswith("trained: logistic regression, L2=")
    assert "0.919" in lines[13] and "n unknown" in lines[13]
    notes = lines[14:]
    assert any(line.startswith("few-shot: logistic regression, 4 per class: 3 draws from") for line in notes)
    assert any(line.startswith(f"{names[5]}: C=") and "chosen on 12 of the training" in line for line in notes)
    assert "p: exact McNemar test against bare on the test images that both answered" in notes
    assert "p (Holm): over 3 comparisons" in notes
    assert lines[-1] == "other intervals: Wilson; seed 0"


def test_json_has_everything(shotdex: Run, here: Store) -> None:
    ran = shotdex("probe", *QUICK, "--json", "--outside", "people=0.5:10", "--seed", "2")
    found = json.loads(ran.out)
    assert (ran.status, ran.err) == (0, "")
    assert found["classes"] == list(SHADES)
    assert (found["request"]["seed"], found["coverage"]["test"], found["copies"]) == (2, 48, 0)
    kinds = [row["kind"] for row in found["rungs"]]
    assert kinds == ["zero-shot", "few-shot", "few-shot", "trained", "trained", "outside"]
    assert [row["estimate"]["n"] for row in found["rungs"]] == [48] * 5 + [10]
    assert found["rungs"][0]["p_value"] is None
    assert 0 <= found["rungs"][4]["p_value"] <= found["rungs"][4]["adjusted"] <= 1
    assert found["choices"]["k_accuracies"][str(found["choices"]["k"])] > 0.5
    assert set(found["choices"]["few_shot_c"]) == {"1", "4"}


def test_a_folder_without_splits_is_halved_and_that_is_said(shotdex: Run, here: Store) -> None:
    with here.writing() as con:
        con.run("UPDATE stored_images SET split = NULL")
    ran = shotdex("probe", "--few-shot", "none")
    assert ran.status == 0
    assert "random halves were drawn" in ran.err
    assert "split: random halves of each category, seed 0" in ran.out
    assert "trained on 60, evaluated 60" in ran.out
    assert "few-shot" not in ran.out


def test_the_figure(shotdex: Run, here: Store, tmp_path: Path) -> None:
    ran = shotdex("probe", *QUICK, "--out", tmp_path / "ladder.svg", "--space", "vision")
    assert ran.status == 0
    assert f"wrote {tmp_path / 'ladder.svg'}" in ran.err
    assert "vision space of fake" in ran.out
    assert ElementTree.parse(tmp_path / "ladder.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--train-where", "true"), 2, ("only one side", "--test-where SQL")),
        (("--train-where", "true", "--test-where", "split = 'test'"), 2, ("48 images would be both trained on",)),
        (("--few-shot", "1,x"), 2, ("cannot read", "--few-shot 1,2,4")),
        (("--draws", "0"), 2, ("0",)),
        (("--outside", "CNN=92"), 2, ("not a share", "0.919")),
        (("--outside", "nobody"), 2, ("no baseline 'nobody'",)),
        (("--run", "gone"), 2, ("no run 'gone'",)),
        (("--out", "ladder.txt"), 2, (".txt",)),
        (("--model", "other"), 1, ("no vectors of 'other'",)),
        (("--train-where", "colour = 1", "--test-where", "true"), 1, ("colour",)),
    ],
)
def test_errors(shotdex: Run, here: Store, arguments: tuple[str, ...], status: int, words: tuple[str, ...]) -> None:
    ran = shotdex("probe", *arguments)
    assert (ran.status, ran.out) == (status, "")
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err
