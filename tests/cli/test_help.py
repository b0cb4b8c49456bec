"""The help of every command, word for word. After a change: SHOTDEX_REGENERATE=1 pytest tests/cli/test_help.py"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from shotdex.cli import COMMANDS, group
from shotdex.keywords import FilterKeywords
from tests.conftest import Ran

GOLDEN = Path(__file__).parent / "golden"


def every_command() -> list[str]:
    """Return every command's words, sub-commands too."""
    found = [""]
    for name in COMMANDS:
        found.append(name)
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            found += [f"{name} {part}" for part in command.commands]
    return found


@pytest.mark.parametrize("words", every_command())
def test_help(words: str, shotdex: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    ran = shotdex(*words.split(), "--help")
    assert (ran.status, ran.err) == (0, "")
    golden = GOLDEN / f"{'-'.join(['shotdex', *words.split()])}.txt"
    if os.environ.get("SHOTDEX_REGENERATE"):
        golden.write_text(ran.out, encoding="utf-8")
    assert golden.is_file(), "no help on record: run with SHOTDEX_REGENERATE=1"
    assert ran.out == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_no_help_is_wider_than_a_terminal(path: Path) -> None:
    assert [line for line in path.read_text(encoding="utf-8").splitlines() if len(line) > 80] == []


def test_no_golden_file_without_its_command() -> None:
    names = {"-".join(["shotdex", *words.split()]) for words in every_command()}
    assert {path.stem for path in GOLDEN.glob("*.txt")} == names


def parameters(words: str) -> list[click.Parameter]:
    command: click.Command = group
    for word in words.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    return command.params


# `index` is the front door: every kind of source and every limit has its option there, in sections.
# `report` prints numbers and writes documents. `search` has its options under headings, at most eight each.
MANY = {
    "index": 33,
    "encode": 19,
    "search": 44,
    "sql": 11,
    "plot map": 18,
    "plot umap": 18,
    "plot tsne": 18,
    "report": 10,
}

FIGURES = {"title", "size", "dpi", "theme", "percent", "order"}
FILTERS = {"where", *FilterKeywords.__annotations__}
SHARED = {"store_path", "as_json", "form", "model", "device", *FILTERS, *FIGURES}


@pytest.mark.parametrize("words", [words for words in every_command() if words])
def test_every_option_has_help_and_there_are_not_too_many(words: str) -> None:
    options = [p for p in parameters(words) if isinstance(p, click.Option) and not p.hidden]
    assert [option.name for option in options if not option.help] == []
    assert len({option.name for option in options} - SHARED) <= MANY.get(words, 8)
    assert all(option.name != "store_path" or option.opts == ["--store"] for option in options)
    if words not in ("demo", "encode", "plot", "baseline", "engine", "prompts", "runs"):
        assert "store_path" in {option.name for option in options}


def test_search_has_at_most_eight_options_under_a_heading(shotdex: Callable[..., Ran]) -> None:
    sections = re.split(r"^(?=\w.*:$)", shotdex("search", "--help").out, flags=re.MULTILINE)[1:]
    assert [section.split(":")[0] for section in sections[:4]] == ["Query", "Filter", "Order", "Output"]
    assert max(len(re.findall(r"^  -", section, flags=re.MULTILINE)) for section in sections) <= 8


def test_every_command_has_one_line_of_help() -> None:
    for name, (_, line) in COMMANDS.items():
        command = group.get_command(click.Context(group), name)
        assert command is not None
        assert command.help
        assert line.endswith(".")
