"""Rows in a terminal: no line is longer than it is wide, and nothing is cut anywhere else."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.cli.rows import rows_text, table, terminal_table
from shotdex.formatting import width

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.floats(), max_size=9))


@given(st.integers(20, 200), st.integers(1, 12).flatmap(lambda n: st.lists(st.lists(VALUES, min_size=n, max_size=n))))
def test_no_line_is_wider_than_the_terminal(columns: int, rows: list[list[Any]]) -> None:
    names = [f"column_{i}" for i in range(len(rows[0]) if rows else 3)]
    text, hidden = terminal_table(names, rows, columns)
    lines = text.split("\n")
    assert max(map(width, lines)) <= columns
    assert len(lines) == len(rows) + 2
    assert 0 <= hidden < len(names)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_tables_for_people_fit_the_terminal_and_keep_numbers(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [["a rather long name of a class", "0.123 to 0.456", 7, "/a/long/way/to/the/folder/of/an/image.png"]]
    whole = table(["class", "95 % interval", "n", "path"], rows)
    assert "/a/long/way" in whole  # in a pipe nothing is cut
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    text = table(["class", "95 % interval", "n", "path"], rows, "  ")
    assert max(map(width, text.split("\n"))) <= columns
    assert "0.123 to 0.456" in text and text.endswith("image.png")
    intervals = table(["condition", *"abcdef"], [["geons", *[".562 [.441, .677]"] * 6]])
    assert ".441, .677]" in intervals and "[.441…" not in intervals
    many = table([f"number {i}" for i in range(30)], [[i / 7 for i in range(30)]])
    assert "0.1429" in many and "columns do not fit and are not shown)" in many


def test_vectors_and_long_texts_are_cut_and_middle_columns_left_out() -> None:
    rows = [[1, (0.123, -0.5) + (0.0,) * 190, "x" * 100]]
    text, hidden = terminal_table(["id", "joint", "path"], rows, 60)
    assert (hidden, text.splitlines()[2]) == (0, " 1  [0.12, -0.50, … 192]  " + "…" + "x" * 33)
    text, hidden = terminal_table([f"column_{i}" for i in range(30)], [[None] * 30], 80, dim=True)
    assert hidden == 23
    assert text.splitlines()[0].startswith("column_0  column_1  column_2  column_3  …  column_27")
    assert "\x1b[2mNULL\x1b[22m" in text


def test_a_drawing_is_shown_as_it_is_drawn() -> None:
    rows = [["physical_plan", "╭──╮\n╰──╯\n"]]
    assert rows_text(["explain_key", "explain_value"], rows, "table") == "╭──╮\n╰──╯"
