"""`shotdex remove`: it shows counts first, asks, and leaves the files of the images alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from shotdex.cli import group
from shotdex.store.errors import OptionError
from tests.support.evaluated import rows
from tests.upkeep.stores import template, whole_store

RED = ["--where", "category = 'red'"]


def run(store: Path, *arguments: str, typed: str | None = None) -> str:
    done = CliRunner().invoke(group, ["remove", *arguments, "--store", str(store)], input=typed, catch_exceptions=False)
    return done.output


def test_it_shows_counts_and_removes_with_yes(tmp_path: Path) -> None:
    store = whole_store(tmp_path / "store")
    files = sorted(template().rglob("*.png"))
    shown = run(store.root, *RED, "--dry-run")
    assert shown.startswith("to be removed: 32 images, 32 vectors, 180 predictions, 1 maps\n")
    assert run(store.root, "--category", "red", "--dry-run") == shown
    assert "runs that keep their other images: names, words" in shown
    assert "brings back those that are still there" in shown
    assert rows(store, "SELECT count(*) FROM images WHERE category = 'red'") == [(32,)]
    assert "removed 32 images and 32 vectors" in run(store.root, *RED, "--yes")
    assert rows(store, "SELECT count(*) FROM images WHERE category = 'red'") == [(0,)]
    assert run(store.root, *RED, "--yes") == "nothing in the store matches; nothing is removed\n"
    assert sorted(template().rglob("*.png")) == files


def test_where_nobody_can_be_asked_nothing_is_removed(tmp_path: Path) -> None:
    store = whole_store(tmp_path / "store")
    with pytest.raises(OptionError, match="nothing was removed"):
        run(store.root, *RED)
    with pytest.raises(OptionError, match="--json"):
        run(store.root, *RED, "--json")
    assert rows(store, "SELECT count(*) FROM images WHERE category = 'red'") == [(32,)]


def test_json(tmp_path: Path) -> None:
    store = whole_store(tmp_path / "store")
    found = json.loads(run(store.root, *RED, "--json", "--yes"))
    assert (found["images"], found["shortened"], found["compacted"]) == (32, ["names", "words"], True)
    shutil.rmtree(store.root)
