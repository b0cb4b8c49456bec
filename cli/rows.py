"""Rows in every form that commands print: one list of formats for all that have rows to show."""

from __future__ import annotations

import csv
import difflib
import io
import re
import shutil
import sys
from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING, Any

import click

from shotdex.formatting import cell, cut, plain, visible, width, with_content
from shotdex.formatting import table as aligned_table
from shotdex.store.errors import OptionError
from shotdex.store.file_names import local

from .render import as_json, as_json_line, coloured, note, out, out_bytes, out_styled

if TYPE_CHECKING:
    from shotdex.tabular import Tabular

FORMATS = ("table", "json", "jsonl", "csv", "tsv", "markdown")
"""What `print_rows` and `rows_text` know."""

PATHS = "paths"
"""A further format of commands whose rows are images: one path a line, or between NULs."""

LEAST = 8
"""Columns of a terminal that a cell keeps at least."""

LONG = 6
"""Numbers from which on a list is shown by its first ones and its length."""

PLACES = ("path", "image", "source", "store", "model")
"""Columns whose cells are cut at their beginning: a path ends with what tells it from others."""

DRAWN = ("explain_key", "explain_value")
"""The columns of what DuckDB draws for EXPLAIN."""

DIM, PLAIN = "\x1b[2m", "\x1b[22m"

Row = Sequence[Any]


def print_rows(
    columns: Sequence[str],
    rows: Sequence[Row],
    form: str,
    *,
    headings: Sequence[str] | None = None,
    wide: bool = False,
) -> None:
    """Print rows; a table in a terminal is fitted to its width, unless `wide`.

    Names in `columns` are unique, as JSON needs them; `headings` are what the other forms show instead.
    """
    headings = columns if headings is None else headings
    if form == "table":
        if tuple(headings) == DRAWN:
            out(rows_text(columns, rows, form))
            return
        terminal = sys.stdout.isatty()
        most = shutil.get_terminal_size().columns if terminal and not wide else None
        text, hidden = terminal_table(headings, rows, most, dim=terminal and coloured())
        out_styled(text)
        if hidden:
            note(f"{hidden} columns do not fit and are not shown; --wide shows them")
    elif rows or form != "jsonl":
        out(rows_text(columns, rows, form, headings), exact=form in ("csv", "tsv"))


format_option = click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="How to print the rows; json also has the text around them.  [default: table]",
)


def rows_printed(found: Tabular[Any], form: str | None) -> bool:
    """Print the rows of a result as CSV, TSV, Markdown or JSON lines; tell whether `form` is one of these."""
    if form in (None, "table", "json"):
        return False
    rows = [[plain(value) for value in record.values()] for record in found.to_dicts()]
    if found.columns:
        print_rows(found.columns, rows, str(form))
    return True


def chosen_fields(fields: str | None, known: Sequence[str]) -> list[str]:
    """Return the names that `--fields` lists, in its order; all that are known where it was not used.

    Raises:
        OptionError: one of them is not known, or there is none.
    """
    names = list(known) if fields is None else [name.strip() for name in fields.split(",")]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise OptionError(f"there is no field {name!r}", f"{hint}the fields: {', '.join(known)}")
    return names


def print_paths(paths: Sequence[str], *, nul: bool) -> None:
    """Print paths as the bytes that they have in the file system, whatever the locale; each ends a line, or in NUL.

    In a terminal what could drive it is escaped.
    """
    end = b"\0" if nul else b"\n"
    seen = map(visible, paths) if sys.stdout.isatty() else paths
    out_bytes(b"".join(local(path).encode("utf-8", "surrogateescape") + end for path in seen))


def rows_text(columns: Sequence[str], rows: Sequence[Row], form: str, headings: Sequence[str] | None = None) -> str:
    """Return rows in one of `FORMATS`, without the last line break; a table is not cut to any width."""
    headings = columns if headings is None else headings
    if form in ("csv", "tsv"):
        return delimited(headings, rows, "," if form == "csv" else "\t")
    if form == "markdown":
        return _markdown(headings, rows)
    if form == "table" and tuple(headings) == DRAWN:
        return "\n".join(str(row[1]).rstrip("\n") for row in rows)
    if form == "table":
        return terminal_table(headings, rows, None)[0]
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    return as_json(records) if form == "json" else "\n".join(map(as_json_line, records))


def delimited(headings: Sequence[str], rows: Sequence[Row], delimiter: str = ",") -> str:
    """Return rows as CSV or TSV with a header, without the last line break; lists and structs in it are JSON."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows([_delimited_value(value) for value in row] for row in rows)
    return text.getvalue().removesuffix("\n")


def _delimited_value(value: Any) -> Any:
    if isinstance(value, (list, tuple, dict)):
        return as_json_line(value)
    if isinstance(value, bool):
        return str(value).lower()
    return plain(value) if isinstance(value, bytes) else value


def _markdown(headings: Sequence[str], rows: Sequence[Row]) -> str:
    def escaped(text: str) -> str:
        return visible(text.replace("\\", "\\\\").replace("|", "\\|").replace("\r\n", "<br>").replace("\n", "<br>"))

    right = _numeric(headings, rows)
    cells = [[escaped(name) for name in headings], *([escaped(shown(value)) for value in row] for row in rows)]
    widths = [max(3, *(width(row[i]) for row in cells)) for i in range(len(headings))]
    rule = ["-" * (size - 1) + (":" if number else "-") for size, number in zip(widths, right, strict=True)]
    lines = []
    for row in [cells[0], rule, *cells[1:]]:
        blanks = [" " * (size - width(text)) for text, size in zip(row, widths, strict=True)]
        parts = [b + text if number else text + b for text, b, number in zip(row, blanks, right, strict=True)]
        lines.append(f"| {' | '.join(parts)} |")
    return "\n".join(lines)


def terminal_table(
    headings: Sequence[str], rows: Sequence[Row], columns: int | None, *, dim: bool = False
) -> tuple[str, int]:
    """Return an aligned table, and how many columns are left out of it because they do not fit.

    With `columns`, the width of a terminal, no line is longer: cells are cut, paths at their beginning, vectors are
    shown by their first numbers and their length, and where even that is too much, columns in the middle are left out.
    `dim` marks NULL.
    """
    form: Callable[[Any], str] = shown if columns is None else short
    cells = [[visible(name) for name in headings], *([visible(form(value)) for value in row] for row in rows)]
    nulls = {(n, i) for n, row in enumerate(rows, 1) for i, value in enumerate(row) if value is None} if dim else set()
    return _aligned(cells, _numeric(headings, rows), columns, [True] * len(headings), nulls)


def table(columns: Sequence[str], rows: Sequence[Row], indent: str = "") -> str:
    """Return a table for people as `formatting.table` does, fitted to the terminal if it goes there.

    Texts are cut, numbers never; columns in the middle that do not fit are left out, and a last line says so.
    """
    text = aligned_table(columns, rows, indent)
    most = shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or max(map(width, text.split("\n"))) <= most:
        return text
    columns, rows = with_content(columns, rows)
    cells = [[visible(name) for name in columns], *([cell(value) for value in row] for row in rows)]
    words = [any(re.match(r"[^\W\d]|[/~…]|\.(?!\d)", row[i]) for row in cells[1:]) for i in range(len(columns))]
    fitted, hidden = _aligned(cells, _numeric(columns, rows), most - len(indent), words, frozenset())
    lines = fitted.split("\n") + [f"({hidden} columns do not fit and are not shown)"] * bool(hidden)
    return "\n".join(indent + line for line in lines)


def _aligned(
    cells: Sequence[Sequence[str]],
    right: Sequence[bool],
    columns: int | None,
    words: Sequence[bool],
    nulls: Set[tuple[int, int]],
) -> tuple[str, int]:
    """Return cells as a table, the first row as its headings, and how many columns are left out.

    In `columns`, only those of `words` are cut as long as all others fit. `nulls` are dim, by row and column.
    """
    widths = [max(width(row[i]) for row in cells) for i in range(len(right))]
    kept: list[int | None] = [*range(len(widths))]
    if columns is not None:
        least = [min(size, LEAST) if may else size for size, may in zip(widths, words, strict=True)]
        kept = _kept(least, columns)
        pairs = [(1, 1) if i is None else (widths[i], least[i]) for i in kept]
        widths = _fitted([size for size, _ in pairs], [size for _, size in pairs], columns)
    lines = []
    for number, row in enumerate(cells):
        parts = []
        for i, size in zip(kept, widths, strict=True):
            text = "…" if i is None else cut(row[i], size, start=cells[0][i] in PLACES)
            blank = " " * (size - width(text))
            if (number, i) in nulls:
                text = f"{DIM}{text}{PLAIN}"
            parts.append(blank + text if i is not None and right[i] else text + blank)
        lines.append("  ".join(parts).rstrip())
    lines.insert(1, "  ".join("-" * size for size in widths))
    return "\n".join(lines), len(right) - sum(i is not None for i in kept)


def _kept(least: Sequence[int], columns: int) -> list[int | None]:
    """Return which columns fit at their least width: all, or the first and the last ones around a gap, None."""
    if sum(least) + 2 * (len(least) - 1) <= columns:
        return [*range(len(least))]
    room = columns + 2 - 3  # the gap and two blanks
    first: list[int] = []
    last: list[int] = []
    while True:
        after = len(first) > len(last)
        take = len(least) - 1 - len(last) if after else len(first)
        room -= least[take] + 2
        if room < 0:
            return [*(first or [0]), None, *last]
        if after:
            last.insert(0, take)
        else:
            first.append(take)


def _fitted(widths: Sequence[int], least: Sequence[int], columns: int) -> list[int]:
    """Return widths whose line fits: the widest columns give way, as if water stood in them, to their least width."""
    room = columns - 2 * (len(widths) - 1)
    if sum(widths) <= room:
        return list(widths)
    least = least if sum(least) <= room else [1] * len(widths)

    def at(level: int) -> list[int]:
        return [max(low, min(size, level)) for size, low in zip(widths, least, strict=True)]

    fitted = at(next((level for level in range(max(widths), 0, -1) if sum(at(level)) <= room), 1))
    for i in sorted(range(len(widths)), key=lambda i: -widths[i]):  # what is left over
        if widths[i] > fitted[i] and sum(fitted) < room:
            fitted[i] += 1
    return fitted


def _numeric(headings: Sequence[str], rows: Sequence[Row]) -> list[bool]:
    """Tell which columns hold numbers, which stand to the right."""
    columns = zip(*rows, strict=True) if rows else [()] * len(headings)
    return [
        any(value is not None for value in column)
        and all(value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) for value in column)
        for column in columns
    ]


def shown(value: Any) -> str:
    """Return a value as a table shows it: as DuckDB writes it, numbers to four places."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {shown(part)}" for key, part in value.items()) + "}"
    return cell(plain(value) if isinstance(value, bytes) else value)


def short(value: Any) -> str:
    """Return the same with long lists of numbers, such as vectors, by their first numbers and their length."""
    if isinstance(value, (list, tuple)) and len(value) > LONG and all(isinstance(one, float) for one in value[:2]):
        return f"[{value[0]:.2f}, {value[1]:.2f}, … {len(value)}]"
    return shown(value)
