"""The README's own commands and outputs: the demo is run as printed, and every command line in it must parse."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from PIL import Image

from shotdex.cli import COMMANDS, group

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DEMO = ROOT / "docs" / "demo.md"
MARK = "tests/test_readme.py compares it"
IMAGES = (
    "sheet", "samples", "counts", "accuracy", "confusion", "topk", "reliability",
    "map", "map-thumbnails", "map-gallery",
)  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run `shotdex demo` as `make demo` does; return its folder and what it printed."""
    folder = tmp_path_factory.mktemp("readme") / "demo-out"
    command = [sys.executable, "-m", "shotdex.cli", "demo", "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.replace(str(folder.parent) + os.sep, "").strip() + "\n"


def _block(text: str) -> re.Match[str]:
    found = re.search(re.escape(MARK) + r".*?-->\n```text\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found


def test_the_demo_prints_what_its_page_says(demo: tuple[Path, str]) -> None:
    text, printed = DEMO.read_text(), demo[1]
    block = _block(text)
    if os.environ.get("SHOTDEX_REGENERATE"):
        DEMO.write_text(text[: block.start(1)] + printed + text[block.end(1) :])
        return
    expected, got = block.group(1).splitlines(), printed.splitlines()
    assert len(expected) == len(got)
    for line, other in zip(expected, got, strict=True):
        _same(line, other)


def _same(line: str, other: str) -> None:
    """Compare two lines: words exactly, numbers to 0.02, since a near tie may fall otherwise on another processor."""
    numbers = r"\d+\.\d+"
    assert _words(line, numbers) == _words(other, numbers)
    for a, b in zip(re.findall(numbers, line), re.findall(numbers, other), strict=True):
        assert float(a) == pytest.approx(float(b), abs=0.02), (line, other)


def _words(line: str, numbers: str) -> str:
    return re.sub(r"\s+|-+", " ", re.sub(r"in \d+ s\.", "in N s.", re.sub(numbers, "N", line)))


def test_the_demo_leaves_its_store_and_images(demo: tuple[Path, str]) -> None:
    folder = demo[0]
    assert (folder / "store" / "catalog.duckdb").is_file()
    assert len(list((folder / "store" / "index").glob("encoder-1-*.faiss"))) == 1
    for name in IMAGES:
        with Image.open(folder / f"{name}.png") as image:
            assert image.width > 600
            # One pixel in sixteen: to count the colours of all takes seconds.
            sample = image.convert("RGB").resize((image.width // 4, image.height // 4), Image.Resampling.NEAREST)
            assert len(sample.getcolors(1 << 24) or ()) > 20


def test_the_first_program_of_the_readme_runs(demo: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo[0].parent)
    program = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert program is not None and "demo-out/store" in program.group(1)
    exec(program.group(1), {})


def commands() -> list[str]:
    """Return the command lines in the indented blocks of the README and of docs/."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in (README, *sorted((ROOT / "docs").glob("*.md"))))
    shown = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = [line.split(" #")[0].strip() for line in shown.splitlines() if line.startswith("    shotdex ")]
    return sorted({line for line in lines if " | " not in line and not line.endswith("\\")})


@pytest.mark.parametrize("line", commands())
def test_every_command_in_the_documentation_parses(line: str) -> None:
    words = shlex.split(line)[1:]
    if words[0] not in COMMANDS:  # words alone are searched for
        words.insert(0, "search")
    context = click.Context(group, **group.context_settings)
    command: click.Command | None = group
    while isinstance(command, click.Group) and words:  # `shotdex duplicates` is a group that does something by itself
        command = command.get_command(context, words.pop(0))
    assert command is not None
    # A command keeps the help option of its first context, so it must be the one that it has in the program.
    command.make_context(line, words, parent=context)


def test_the_files_that_the_readme_links_to_are_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (ROOT / target).is_file(), target
