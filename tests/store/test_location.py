"""Paths as users write them: `~` is the home folder, whoever left it unexpanded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import shotdex
from shotdex.errors import OptionError
from shotdex.store.location import named_store, user_path
from tests.conftest import ROOT, Ran
from tests.support.evaluated import save_noisy_colour


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def test_a_path_as_it_is_written(home: Path) -> None:
    assert user_path("~/x/y") == user_path(Path("~/x/y")) == home / "x" / "y"
    assert user_path("~") == home
    assert user_path("a/~/b") == Path("a/~/b")
    assert user_path("./~") == Path.cwd() / "~"
    assert named_store(None, {"SHOTDEX_STORE": "~/shots"}) == home / "shots"
    with pytest.raises(OptionError, match="~nobody-of-this-name"):
        user_path("~nobody-of-this-name/x")


def test_python(home: Path) -> None:
    with shotdex.open("~/shots", create=True) as store:
        assert store.path == home / "shots"
    assert list(Path.cwd().iterdir()) == []


def test_every_option_that_names_a_path(
    home: Path, shotdex: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        save_noisy_colour(home / "p" / "red" / f"{number}.png", "red", 0.5, number)
    (home / "set.toml").write_text('classes = ["red", "blue"]\ntemplates = ["{}"]\n')
    monkeypatch.setenv("SHOTDEX_STORE", "~/env")

    def run(*arguments: str) -> None:
        ran = shotdex(*arguments)
        assert ran.status == 0, ran.err

    run("index", "~/p", "--model", "demo", "--store=~/shots")
    run("index", "~/p", "--model", "demo")
    # matplotlib reads MPLCONFIGDIR when it is imported: a process of its own
    search = ["search", "--image", "~/p/red/1.png", "--store=~/shots", "--copy-to=~/found", "--sheet=~/sheet.png"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "typings"), "MPLCONFIGDIR": "~/mpl"}
    command = [sys.executable, "-m", "shotdex.cli", *search, "-k", "1"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    run("classify", "--prompts=~/set.toml", "--name", "run", "--store=~/shots")
    assert sorted(path.name for path in home.iterdir() if path.name not in (".cache", "mpl", ".config")) == [
        "env", "found", "p", "set.toml", "sheet.png", "shots",
    ]  # fmt: skip
    assert list(Path.cwd().iterdir()) == []
