"""`shotdex verify`, through the same `main` as the installed script."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shotdex.store.store import Store
from tests.conftest import Ran, index
from tests.support.engines import file_of
from tests.support.evaluated import change
from tests.support.fakes import FakeEncoder
from tests.support.images import save_noise
from tests.upkeep.stores import template, whole_store

Run = Callable[..., Ran]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    return whole_store(tmp_path / ".shotdex")


def test_a_whole_store(shotdex: Run, here: Store) -> None:
    ran = shotdex("verify", "--files")
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "store .shotdex"
    assert all(line.startswith("ok       ") for line in lines[1:-1])
    assert lines[-2] == "ok       files: 78 images exist, with the recorded size and time"
    assert lines[-1] == "all 19 checks hold"
    assert len(lines) == 21


def test_a_problem_has_what_to_do_and_exit_status_1(shotdex: Run, here: Store) -> None:
    change(here, "DROP VIEW confusion")
    file_of(here).unlink()
    ran = shotdex("verify")
    assert (ran.status, ran.err) == (1, "")
    lines = ran.out.splitlines()
    place = lines.index("PROBLEM  views: missing views (confusion): 1")
    assert lines[place + 1] == "           try: repair it with: shotdex verify --repair"
    assert lines[-1] == "2 of 18 checks found a problem"
    assert sum(line.startswith("PROBLEM") for line in lines) == 2


def test_repair_says_what_it_did_and_a_second_run_is_clean(shotdex: Run, here: Store) -> None:
    change(here, "DROP VIEW confusion")
    file_of(here).unlink()
    ran = shotdex("verify", "--repair")
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert lines[1] == "repaired made the views again"
    assert lines[2].startswith("repaired wrote encoder-1-")
    assert lines[-1] == "all 18 checks hold"
    again = shotdex("verify", "--repair").out.splitlines()
    assert again[1] == "repaired nothing: there was nothing to repair"
    assert again[2:] == lines[3:]
    assert shotdex("verify").out.splitlines()[1:] == lines[3:]


def test_what_repair_cannot_mend(shotdex: Run, here: Store) -> None:
    change(here, "UPDATE runs SET scored = 1")
    ran = shotdex("verify", "--repair")
    assert ran.status == 1
    assert "repaired nothing\n" in ran.out
    assert "try: repeat it next to the old one: shotdex rerun RUN --name NEW" in ran.out


def test_json(shotdex: Run, here: Store) -> None:
    change(here, "DROP VIEW confusion")
    ran = shotdex("verify", "--json")
    found = json.loads(ran.out)
    assert (ran.status, found["whole"], found["done"]) == (1, False, [])
    assert [check for check in found["checks"] if not check["ok"]] == [
        {
            "name": "views",
            "ok": False,
            "text": "missing views (confusion): 1",
            "hint": "repair it with: shotdex verify --repair",
        }
    ]
    repaired = json.loads(shotdex("verify", "--repair", "--json").out)
    assert (repaired["whole"], repaired["done"]) == (True, ["made the views again"])
    assert {check["hint"] for check in repaired["checks"]} == {""}


def test_errors(shotdex: Run, here: Store, tmp_path: Path) -> None:
    ran = shotdex("verify", "--store", tmp_path / "none")
    assert (ran.status, ran.out) == (1, "")
    assert "there is no store at" in ran.err
    change(here, "DROP VIEW confusion")
    with here.indexing():
        ran = shotdex("verify", "--repair")
    assert (ran.status, ran.out) == (1, "")
    assert "is indexing into" in ran.err
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "catalog.duckdb").write_bytes(b"not a catalog, but a text of some length" * 400)
    ran = shotdex("verify", "--store", tmp_path / "bad")
    assert (ran.status, ran.err) == (1, "")
    assert ran.out.splitlines()[1].startswith("PROBLEM  catalog: ")
    assert ran.out.splitlines()[-1] == "1 of 1 checks found a problem"


def test_names_of_files_do_not_drive_the_terminal(shotdex: Run, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s")
    path = save_noise(tmp_path / "p" / "a\x1b[31m\nb.png", 1)
    save_noise(tmp_path / "p" / "c.png", 2)
    index(store, tmp_path / "p", FakeEncoder())
    path.unlink()
    ran = shotdex("verify", "--files", "--store", store.root)
    assert ran.status == 1
    assert "gone: 1 (such as" in ran.out
    assert "\x1b" not in ran.out
    assert len([line for line in ran.out.splitlines() if "b.png" in line]) == 1


def test_the_demo_model_is_the_one_on_record(shotdex: Run, tmp_path: Path) -> None:
    images = template() / "extra"
    store = ("--store", tmp_path / "demo")
    assert shotdex("index", images, "--model", "demo", *store).status == 0
    assert shotdex("search", "red", *store).status == 0
    ran = shotdex("verify", "--model-check", "--device", "cpu", *store)
    assert ran.status == 0, ran.out
    (line,) = [line for line in ran.out.splitlines() if "model of encoder 1" in line]
    assert (
        "demo has the weights and preprocessing on record; 1 remembered texts encoded again differ by at most" in line
    )
