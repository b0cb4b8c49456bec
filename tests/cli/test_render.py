"""Nothing that a name, a label or an error holds drives a terminal; in files and pipes the data stay as they are."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shotdex
from shotdex.cli.render import VisibleFormatter, as_json, as_json_line, note, out, show_error, wrapped
from shotdex.formatting import ALIGNED, cell, table, visible, visible_lines, width
from shotdex.store.store import Store
from tests.conftest import Ran, index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_colour, save_noise

HOSTILE = {
    "colour": "\x1b[31m",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil\x1b\\",
    "clipboard": "\x1b]52;c;aGk=\x07",
    "bell": "\x07",
    "backspace": "\x08",
    "return": "\r",
    "tab": "\t",
    "delete": "\x7f",
    "C1 introducer": "\x9b31m",
    "C1 next line": "\x85",
    "device control": "\x90q\x9c",
    "right to left": "\u202egpj.exe",
    "isolate": "\u2066x\u2069",
    "zero width": "a\u200bb\u200d\u2060\ufeff",
    "soft hyphen": "\xad",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "tags": "\U000e0041",
    "lone surrogate": "\udcff",
    "Arabic mark": "\u061c",
}


def harmless(text: str) -> bool:
    return all(unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in text)


@pytest.mark.parametrize("name", HOSTILE)
def test_visible(name: str) -> None:
    text = f"a{HOSTILE[name]}b\n"
    assert harmless(visible(text))
    assert harmless(cell(text))
    assert harmless(visible_lines(text).replace("\n", ""))
    assert visible(visible(text)) == visible(text)


@given(st.text(st.characters()))
def test_any_text(text: str) -> None:
    assert harmless(visible(text))
    assert visible_lines(text).count("\n") == text.count("\n")
    for written in (as_json([text, {text: text}]), as_json_line([text, {text: text}])):
        assert harmless(written.replace("\n", ""))
        assert json.loads(written) == [text, {text: text}], "the data are what they were"
    (line,) = table(["a"], [[text]]).split("\n")[2:]
    assert harmless(line)


def test_names_that_are_only_unusual_stay_readable() -> None:
    for text in ("Füße", "猫.jpg", "😀", "नमस्ते", "שלום", "e\u0301", "\u00a0"):
        assert visible(text).replace("\\xa0", "\u00a0") == text


def on_a_terminal(work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what reaches a terminal, byte for byte but for its own line endings."""
    leader, follower = pty.openpty()
    with open(follower, "w", encoding="utf-8", newline="\n") as stream, monkeypatch.context() as patched:  # noqa: PTH123
        patched.setattr(sys, "stdout", stream)
        patched.setattr(sys, "stderr", stream)
        work()
        stream.flush()
        written = os.read(leader, 100_000)
    os.close(leader)
    return written.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("write", [out, note, lambda text: out(text, exact=True), lambda text: out(as_json(text))])
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_drives_a_terminal(write: Callable[[str], None], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = on_a_terminal(lambda: write(f"a{HOSTILE[name]}b\nc"), monkeypatch)
    assert harmless(shown.replace("\n", ""))
    assert shown.rstrip("\n").startswith(("a", '"a'))


def test_in_a_pipe_exact_data_are_exact(capsys: pytest.CaptureFixture[str]) -> None:
    out("a\x1b[31m\u202eb", exact=True)
    out("a\x1b[31m\u202eb")
    assert capsys.readouterr().out == "a\x1b[31m\u202eb\na\\x1b[31m\\u202eb\n"


def test_a_stream_that_knows_few_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    out("猫 and \udcff", exact=True)
    assert raw.getvalue() == b"\\u732b and \\udcff\n"


def test_logged_lines() -> None:
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "%s cannot be read", ("a\x1b[2Jb",), None)
    assert VisibleFormatter("%(levelname)s: %(message)s").format(record) == "WARNING: a\\x1b[2Jb cannot be read"


def test_what_click_says(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(click.BadParameter("no such thing: \x07\u202e"))
    assert capsys.readouterr().err.splitlines() == ["error: invalid value: no such thing: \\x07\\u202e"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [("abc", 3), ("猫", 2), ("e\u0301", 1), ("한국", 4), ("\u1112\u1161\u11ab", 2), ("😀", 2), ("❤\ufe0f", 2), ("", 0)],
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize("text", ["猫猫", "e\u0301e\u0301", "한국어", "😀!", "plain", "a\tb", "", "नि"])
def test_columns_stay_aligned(text: str) -> None:
    lines = table(["first", "second"], [[text, "x"], ["abcdefghij", "y"]]).split("\n")
    assert {width(line[: line.index(mark)]) for line, mark in zip(lines[2:], "xy", strict=True)} == {12}


def test_one_long_cell_does_not_fill_up_the_others() -> None:
    rows: list[list[Any]] = [["x" * 100_000, 1], *([["y", 2]] * 1000)]
    assert len(table(["a", "b"], rows)) < 100_000 + 1010 * (ALIGNED + 20)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    save_colour(folder / "pictures" / "re\x1b[31md" / "a\u202eb\nc.png", "red")
    (folder / "pictures" / "re\x1b[31md" / "bad\x9b.png").write_bytes(b"no image\x1b")
    index(Store.create(folder / "store"), folder / "pictures", FakeEncoder(), "{category}/*")
    return folder


class TestTheCommands:
    @pytest.fixture
    def hostile(self, template: Path, tmp_path: Path) -> Store:
        return Store(Path(shutil.copytree(template / "store", tmp_path / "store")))

    @pytest.mark.parametrize(
        "arguments",
        [
            ("sql", "SELECT path, category, chr(27) AS \"\x1b[31m\" FROM images"),
            ("sql", "FROM failures", "--format", "json"),
            ("sql", "FROM failures", "--format", "jsonl"),
            ("sql", "SELECT * FROM \"\x1b[31m\u202e\""),
            ("sql", "SELECT error('\x1b]52;c;eA==\x07')"),
            ("search", "red", "--where", "category = '\x1b[31m'"),
            ("search", "red", "--where", "no\x9bthing"),
            ("search", "red", "--nothing\x1b[31m"),
            ("search", "red", "--image", "\x1b[31m.png"),
            ("\x1b[31m",),
            ("status",),
            ("status", "--json"),
            ("verify",),
            ("runs", "\x1b[31m"),
            ("plot", "counts", "--out", "c.png"),
            ("report", "\u202e"),
            ("baseline", "import", "\x07.csv"),
            ("index", "nowhere\x1b[31m"),
        ],
        ids=lambda arguments: " ".join(arguments[:1]).encode("unicode_escape").decode(),
    )  # fmt: skip
    def test_print_nothing_that_acts(
        self,
        hostile: Store,
        shotdex: Callable[..., Ran],
        arguments: tuple[str, ...],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SHOTDEX_STORE", str(hostile.root))
        monkeypatch.chdir(tmp_path)
        ran = shotdex(*arguments)
        assert ran.out + ran.err
        assert harmless((ran.out + ran.err).replace("\n", ""))
        assert "Traceback" not in ran.err

    def test_files_hold_what_the_store_holds(self, hostile: Store, shotdex: Callable[..., Ran], template: Path) -> None:
        path = f"{template}/pictures/re\x1b[31md/a\u202eb\nc.png"
        csv_ = shotdex("sql", "SELECT path FROM images", "--format", "csv", "--store", hostile.root).out
        assert csv_ == f'path\n"{path}"\n'
        found = shotdex("sql", "SELECT path FROM images", "--json", "--store", hostile.root).out
        assert json.loads(found) == [{"path": path}]
        table_ = shotdex("sql", "SELECT path FROM images", "--store", hostile.root).out
        assert "re\\x1b[31md/a\\u202eb\\nc.png" in table_


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four `photos` and a `store` that has them."""
    folder = tmp_path_factory.mktemp("known")
    for i in range(4):
        save_noise(folder / "photos" / f"{i}.png", seed=i)
    shotdex.open(folder / "store", create=True).index(folder / "photos", model="demo")
    return folder


class TestStreamsThatCannotBeWrittenTo:
    """Closed or full standard streams do not stop the work; the status is 1 only where the result is lost."""

    # A process that loads the model takes seconds: of each status one does, the others find nothing new.
    @pytest.mark.parametrize(
        ("redirection", "status", "loads"),
        [
            ("2>&-", 0, False),
            ("2>/dev/full", 0, True),
            ("<&-", 0, False),
            (">&-", 1, False),
            (">/dev/full", 1, False),
            ("<&- >&- 2>&-", 1, True),
        ],
    )
    def test_index(self, known: Path, tmp_path: Path, redirection: str, status: int, loads: bool) -> None:
        if not loads:
            shutil.copytree(known / "store", tmp_path / "store")
        model = "--model demo" if loads else ""
        command = f"exec '{sys.executable}' -m shotdex.cli index '{known}/photos' {model} --store store {redirection}"
        ran = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == status, ran.stderr
        with Store(tmp_path / "store").reading() as con:
            assert con.value("SELECT count(*) FROM images") == 4
        if loads:
            assert list((tmp_path / "store").rglob("text*")), "what comes after the report is done, too"
        if status and "2>" not in redirection:
            assert "the result cannot be written to standard output" in ran.stderr
            assert "Traceback" not in ran.stderr


def test_what_standard_error_did_not_take_changes_no_status() -> None:
    code = """
import contextlib, sys
with contextlib.suppress(OSError):
    print("a warning of a library", file=sys.stderr)
from shotdex.cli import main
sys.argv = ["shotdex", "--version"]
main()
"""
    ran = subprocess.run(
        ["bash", "-c", f"exec '{sys.executable}' -c '{code}' 2>/dev/full"], capture_output=True, check=False
    )
    assert ran.returncode == 0


def test_long_lines_break_between_words_in_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("COLUMNS", "30")
    text = "category: airplane 40, car 40, hat 40\na  table  row"
    assert wrapped(text) == text
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert wrapped(text) == "category: airplane 40, car 40,\n  hat 40\na  table  row"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("error: the folder is neither here nor there", ["error: the folder is neither", "  here nor there"]),
        (
            "  try: get it: hf download openai/clip-vit-base   or take: --model demo",
            ["  try: get it:", "    hf download openai/clip-vit-base", "    or take: --model demo"],
        ),
        (
            "  try: shotdex sql 'FROM outcomes; FROM runs' -o a.csv; then go on",
            ["  try:", "    shotdex sql 'FROM outcomes; FROM runs' -o a.csv;", "    then go on"],
        ),
        ("left out: {}/my photos/a dog.png (changed)", ["left out:", "  {}/my photos/a dog.png", "  (changed)"]),
    ],
)
def test_notes_break_between_words_but_not_in_what_one_copies(
    text: str, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_colour(tmp_path / "my photos" / "a dog.png", "red")
    monkeypatch.setenv("COLUMNS", "32")
    shown = on_a_terminal(lambda: note(text.format(tmp_path)), monkeypatch)
    assert shown.splitlines() == [line.format(tmp_path) for line in lines]


def test_notes_in_a_file_stay_on_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "32")
    note("word " * 30)
    assert capsys.readouterr().err == "word " * 30 + "\n"


def test_ctrl_c_before_the_program_began_shows_no_traceback() -> None:
    program = [sys.executable, "-c", "import shotdex.cli; raise KeyboardInterrupt"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0 and "Traceback" not in done.stderr
