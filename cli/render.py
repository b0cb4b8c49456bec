"""Results as text: aligned tables, CSV, JSON. The only place that writes to standard output."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import os
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

import click

from shotdex.store.errors import ShotdexError
from shotdex.store.types import Estimate

ALIGNED = 400
"""Columns of a terminal up to which a table is aligned; what is longer sticks out."""


def out(text: str = "", *, exact: bool = False) -> None:
    """Write a line of the result; where the reader, `head` say, has seen enough, end the command without complaint.

    What could drive a terminal is escaped, but for line breaks. With `exact`, as for CSV, that is done only where the
    result goes to a terminal: in a file or a pipe the data stay as they are.

    Raises:
        ShotdexError: standard output is closed, or its disk is full.
    """
    shown = text if exact and not sys.stdout.isatty() else visible_lines(text)
    try:
        _write(shown, sys.stdout)
    except OSError as error:
        # What Python still holds for the stream would fail once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise click.exceptions.Exit(0) from None
        raise ShotdexError(
            f"the result cannot be written to standard output: {error.strerror or 'it is closed'}",
            "send it to a file on a disk with free space",
        ) from error


def note(text: str) -> None:
    """Write a line about the work, to standard error; where that is not possible, the work goes on in silence."""
    with suppress(OSError):
        _write(visible_lines(text), sys.stderr)


def reopen_closed_streams() -> None:
    """Put something in the place of each standard stream that was closed before this program began.

    Otherwise the next file to be opened, such as the catalog, would get the number of standard error, and whatever a
    library writes there would end up in it. What is written to standard error is lost; standard output refuses it, so
    that nobody takes a lost result for a written one.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)  # the lowest free number, which is this one
            os.set_inheritable(opened, True)
    # Python has None in the place of a stream that was closed.
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or io.TextIOWrapper(io.FileIO(1, "r", closefd=False), encoding="utf-8")
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _write(text: str, stream: TextIO) -> None:
    """Write a line. Not with click, which takes the escapes out of what goes to a file, data though they may be."""
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError as error:  # a terminal or a pipe that does not know every character
        stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding) + "\n")
    stream.flush()


def show_error(error: click.ClickException) -> None:
    """Write what click says about a wrong option or value, which may hold what the user pasted."""
    said = io.StringIO()
    error.show(file=said)
    note(said.getvalue().removesuffix("\n"))


class VisibleFormatter(logging.Formatter):
    """Formats log lines, in which files are named, so that they cannot drive the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return visible_lines(super().format(record))


_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Characters that are not shown but do something: control, format (bidirectional overrides, zero width), halves of
surrogate pairs, line and paragraph separators."""


def visible(text: str) -> str:
    """Return a text with control characters escaped: a file's name must not drive the terminal."""
    if text.isprintable():  # as most are; nothing of `_UNSEEN` is
        return text
    return "".join(repr(char)[1:-1] if unicodedata.category(char) in _UNSEEN else char for char in text)


def visible_lines(text: str) -> str:
    """Return a text of several lines, each with control characters escaped."""
    return "\n".join(map(visible, text.split("\n")))


def cell(value: Any) -> str:
    """Return one value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) >= 1e6 or 0 < abs(value) < 1e-4 else f"{value:.4f}".rstrip("0").rstrip(".")
    return visible(str(value))


def width(text: str) -> int:
    """Return how many columns a text takes in a terminal: wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_columns(char, after) for char, after in zip(text, [*text[1:], ""], strict=True))


def _columns(char: str, after: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me") or "\u1160" <= char <= "\u11ff":  # marks, ends of Korean syllables
        return 0
    wide = unicodedata.east_asian_width(char) in "WF" or after == "\ufe0f"  # that one asks for the emoji
    return 2 if wide else 1


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], indent: str = "") -> str:
    """Return an aligned table; a column of numbers stands to the right, one with nothing in it is left out."""
    kept = [i for i, name in enumerate(columns) if name or any(row[i] not in ("", None) for row in rows)]
    columns, rows = [visible(columns[i]) for i in kept], [[row[i] for i in kept] for row in rows]
    cells = [[cell(value) for value in row] for row in rows]
    right = [
        all(isinstance(row[i], (int, float)) or row[i] is None for row in rows) and bool(rows)
        for i in range(len(columns))
    ]
    # One very long cell must not fill up every other row.
    widths = [
        min(ALIGNED, max(width(text) for text in [columns[i], *(row[i] for row in cells)])) for i in range(len(columns))
    ]
    lines = []
    for row in [columns, *cells]:
        padded = [
            " " * (widths[i] - width(text)) + text if right[i] else text + " " * (widths[i] - width(text))
            for i, text in enumerate(row)
        ]
        lines.append((indent + "  ".join(padded)).rstrip())
    lines.insert(1, (indent + "  ".join("-" * size for size in widths)).rstrip())
    return "\n".join(lines)


def plain(value: Any) -> Any:
    """Return a value in the terms of JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(part) for name, part in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(key) if key is not None else "null": plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has neither NaN nor infinity
    if isinstance(value, Decimal):
        return plain(float(value))
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def as_json(value: Any) -> str:
    """Return a value as JSON over several lines. It is the same JSON in a terminal, which nothing in it can drive."""
    return _escaped(json.dumps(plain(value), indent=2, ensure_ascii=False))


def as_json_line(value: Any) -> str:
    """Return a value as JSON on one line."""
    return _escaped(json.dumps(plain(value), ensure_ascii=False))


def _escaped(text: str) -> str:
    """Return JSON with the characters escaped that JSON itself lets pass, such as U+009B and U+202E."""
    if text.isascii() and "\x7f" not in text:
        return text
    return re.sub(r"[^\n\x20-\x7e]", _as_escape, text)


def _as_escape(found: re.Match[str]) -> str:
    char = found.group()
    return json.dumps(char)[1:-1] if char == "\x7f" or unicodedata.category(char) in _UNSEEN else char


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as CSV with a header, without the last line break."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def estimate_cells(estimate: Estimate) -> tuple[str, str, int]:
    """Return an estimate's value, its 95 % interval, and n, as a table shows them."""
    if math.isnan(estimate.value):
        return "-", "-", estimate.n
    return f"{estimate.value:.3f}", interval_cell(estimate), estimate.n


def interval_cell(estimate: Estimate) -> str:
    """Return an estimate's 95 % interval as a table shows it, "-" where it has none."""
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return "-"
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def compact(estimate: Estimate) -> str:
    """Return a number in [0, 1] and its 95 % interval in little room: `.859 [.781, .938]`."""
    if math.isnan(estimate.value):
        return "-"
    numbers = [f"{number:.3f}".removeprefix("0") for number in (estimate.value, estimate.low, estimate.high)]
    return numbers[0] if math.isnan(estimate.low) else f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def signed_cells(difference: Estimate) -> tuple[str, str]:
    """Return a difference and its 95 % interval with their signs."""
    if math.isnan(difference.value):
        return "-", "-"
    bounds = f"{difference.low:+.3f} to {difference.high:+.3f}" if not math.isnan(difference.low) else "-"
    return f"{difference.value:+.3f}", bounds


def p_value(value: float) -> str:
    """Return a p value to three digits; below one in a million it is no more precise than that."""
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}" if value >= 1e-6 else "< 1e-6"


def size(count: int) -> str:
    """Return a number of bytes in a handy unit."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def shown_path(path: str) -> str:
    """Return a path as a person would type it here: relative where it lies below the working folder."""
    here = str(Path.cwd()) + "/"
    return path.removeprefix(here)
