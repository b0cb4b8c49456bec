"""How often a search and a classification open the catalog, from Python and from the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shotdex as door
from tests.conftest import Ran


@pytest.fixture
def copied(session: door.Session, tmp_path: Path) -> Path:
    """A copy of the store, to be changed."""
    shutil.copytree(session.path, tmp_path / "store")
    door.open(tmp_path / "store")  # sees that the images are where they were, once
    return tmp_path / "store"


CLASSIFICATIONS: list[dict[str, Any]] = [
    {},
    {"templates": ["a new text about a {}."], "where": "condition = 'realistic'"},
    {"classes": ["duck", "hat"], "partial": True},
    {"prompts": "sentences"},
    {"prompts": "bare names", "partial": True},
]


@pytest.mark.parametrize("options", CLASSIFICATIONS)
def test_a_classification_opens_it_to_read_and_to_write(copied: Path, opened: list[str], options: Any) -> None:
    session = door.open(copied)
    for _ in range(2):
        opened.clear()
        run = session.classify(**(options | {"name": None}))
        assert run.accuracy().n > 0
        assert opened == ["to_read", "to_write"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--template", "new text of {}", "--json"),
        ("--classes", "duck,hat", "--partial", "--where", "condition = 'geons'"),
    ],
)
def test_the_command_does_so_too(
    shotdex: Callable[..., Ran], copied: Path, opened: list[str], arguments: tuple[str, ...]
) -> None:
    ran = shotdex("classify", *arguments, "--store", copied)
    assert (ran.status, opened) == (0, ["to_read", "to_write"]), ran.err


def test_a_sweep(copied: Path, opened: list[str]) -> None:
    session = door.open(copied)
    opened.clear()
    session.sweep_prompts(["an entirely new {}.", "{}"], classes=["duck", "hat"])
    assert opened == ["to_read", "to_write"]


def test_a_search_opens_it_to_read_and_to_write_where_a_text_is_new(copied: Path, opened: list[str]) -> None:
    session = door.open(copied)
    opened.clear()
    session.search("a text that nobody has searched for")
    assert opened == ["to_read", "to_write"]
    opened.clear()
    door.open(copied).search("a text that nobody has searched for")
    assert opened[1:] == ["to_read"], "the first is that of open()"


def test_so_does_the_command(shotdex: Callable[..., Ran], copied: Path, opened: list[str]) -> None:
    for want in (["to_read", "to_write"], ["to_read"]):
        opened.clear()
        assert shotdex("search", "something new", "-k", 3, "--store", copied).status == 0
        assert opened == want
