"""One list of formats for every command that prints rows."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shotdex.store.store import Store
from tests.conftest import Ran

COMMANDS = (
    "runs",
    "prompts list",
    "baseline list",
    "compare names words --by condition --resamples 100",
    "diff names words",
    "report names --resamples 100",
    "duplicates --run names",
    "selections",
    "search --like 1 -k 3",
    "status",
    "status --left-out",
    "verify",
    "model demo",
    "prompts show fashion-mnist-names",
    "plot counts --out counts.png",
)


@pytest.mark.parametrize("words", COMMANDS)
def test_the_same_rows_in_every_format(
    words: str, evaluated: Store, shotdex: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(form: str) -> str:
        ran = shotdex(*words.split(), "--store", evaluated.root, "--format", form)
        assert ran.status == 0, ran
        return ran.out

    records = [json.loads(line) for line in run("jsonl").splitlines()]
    for form, delimiter in (("csv", ","), ("tsv", "\t")):
        rows = list(csv.reader(run(form).splitlines(), delimiter=delimiter))
        assert len(rows) == (1 + len(records) if records else len(rows[:1]))
        if records:
            assert rows[0] == list(records[0])
    lines = run("markdown").splitlines()
    assert not records or len(lines) == 2 + len(records)
    assert all(line.startswith("|") for line in lines)
    json.loads(run("json"))
    assert run("table") == shotdex(*words.split(), "--store", evaluated.root).out


def test_an_imported_baseline_is_printed_as_it_is_shown(evaluated: Store, shotdex: Callable[..., Ran]) -> None:
    for form in ("table", "json", "jsonl", "csv", "tsv", "markdown"):
        where = ("--store", evaluated.root, "--format", form)
        imported = shotdex("baseline", "import", "toddlers", "--name", "imported", *where)
        shown = shotdex("baseline", "show", "imported", *where)
        shotdex("baseline", "remove", "imported", "--store", evaluated.root)
        assert (imported.status, imported.out.removeprefix("imported ")) == (0, shown.out)


def test_findings_in_every_format(evaluated: Store, shotdex: Callable[..., Ran], tmp_path: Path) -> None:
    prompts = tmp_path / "p.toml"
    prompts.write_text('name = "p"\n[classes]\nred = "same"\nblue = "same"\n')

    def run(form: str) -> str:
        ran = shotdex("prompts", "check", prompts, "--store", evaluated.root, "--format", form)
        assert ran.status == 1, ran
        return ran.out

    found = json.loads(run("json"))["findings"]
    assert [json.loads(line)["text"] for line in run("jsonl").splitlines()] == [one["text"] for one in found] != []
    assert len(list(csv.reader(run("csv").splitlines()))) == 1 + len(found)


def test_an_accuracy_in_every_format(evaluated: Store, shotdex: Callable[..., Ran], tmp_path: Path) -> None:
    own = tmp_path / "store"
    shutil.copytree(evaluated.root, own)
    printed = {
        form: shotdex("classify", "--name", "again", "--replace", "--store", own, "--format", form).out
        for form in ("csv", "jsonl", "markdown", "json")
    }
    rows = list(csv.DictReader(printed["csv"].splitlines()))
    assert rows[-1]["by"] == "all"
    assert float(rows[-1]["accuracy"]) == json.loads(printed["json"])["accuracy"]["value"]
    assert len(printed["jsonl"].splitlines()) == len(rows) == len(printed["markdown"].splitlines()) - 2
