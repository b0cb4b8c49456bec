"""CSV as it is found in the wild, row by row, with where each row begins.

The module `csv` of Python is not used: its bound on a cell is one for the whole process, it does not tell where a row
begins, and one quote that is never closed makes it swallow the rest of the file. Here such a row is reported, and
reading goes on with the next line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from shotdex.store.errors import SourceError

from .lines import LINE_LIMIT, Lines

DELIMITERS = (",", ";", "\t", "|")

QUOTED_LIMIT = 256 * 1024
"""Bytes that a row may have where line breaks stand between its quotes: a longer one is a quote never closed."""

RESCUED_BYTES = 4 * 1024 * 1024
"""Bytes read again, after quotes that are never closed, beyond which a file is given up: some seconds of work."""

COLUMN_LIMIT = 10_000
"""Columns that a table may have."""

_TOO_MANY = f"more than {COLUMN_LIMIT:,} values"
_QUOTE = '"'
_INSIDE = re.compile(r'[^"]*+(?:""[^"]*+)*+')
_ENDS = ("", "\n", "\r\n", "\r")


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a text file: where it begins, the number (from 1) of its first line, and what it holds.

    `content` is a list of cells (CSV) or a line (JSONL), None where the row is bad; `problem` then says how.
    """

    offset: int
    line: int
    content: list[str] | bytes | None
    problem: str = ""


class Malformed(ValueError):
    """A row that is no CSV. Never leaves shotdex: it becomes a failure."""


@dataclass(frozen=True, slots=True)
class CsvTable:
    """An open CSV file: its delimiter, the names in its header, and where the first row after that begins."""

    file: BinaryIO
    delimiter: str
    columns: tuple[str, ...]
    offset: int
    line: int

    def records(self, offset: int | None = None, line: int = 0) -> Iterator[Record]:
        """Yield the rows from the first one on, or from one at a known place. Rows without any value are left out.

        Raises:
            SourceError: the file is not UTF-8, or quotes are broken everywhere.
        """
        lines = Lines(self.file, self.offset, self.line) if offset is None else Lines(self.file, offset, line)
        swallowed = 0
        while (record := self._record(lines)) is not None:
            if record.problem and lines.number > record.line + 1:
                after = Lines(self.file, record.offset, record.line)
                after.read()  # the lines behind the first may be rows of their own
                swallowed += lines.offset - after.offset
                if swallowed > RESCUED_BYTES:
                    raise SourceError(
                        f"too many quotes are opened and never closed, the last one in line {record.line}",
                        "check the quotes, or save the table as JSONL or Parquet",
                    )
                lines.back_to(after.offset, after.number)
            if record.problem or any(record.content or ()):
                yield record

    def _record(self, lines: Lines) -> Record | None:
        offset, number = lines.offset, lines.number
        try:
            cells = read_cells(lines, self.delimiter)
        except Malformed as error:
            return Record(offset, number, None, str(error))
        if cells is None:
            return None
        if len(cells) != len(self.columns) and any(cells):
            wanted = len(self.columns)
            return Record(offset, number, None, f"{len(cells)} values where the header has {wanted}")
        return Record(offset, number, cells)


def open_csv(file: BinaryIO, first: str = ",") -> CsvTable | None:
    """Find out how a CSV file is written; None where it is empty. `first` is the delimiter that is tried first.

    Raises:
        SourceError: the header cannot be read, or names a column twice.
    """
    start = _start(file)
    tables, problem = [], ""
    for delimiter in sorted(DELIMITERS, key=lambda delimiter: delimiter != first):
        try:
            tables.append(_table(file, start, delimiter))
        except Malformed as error:
            problem = str(error)
    found = [table for table in tables if table is not None]
    if problem and all(len(table.columns) == 1 for table in found):
        hint = "check its first line: names of columns, divided by commas"
        raise SourceError(f"its header cannot be read: {problem}", hint)
    if not found:
        return None
    several = [table for table in found if len(table.columns) > 1] or found[:1]
    table = max(several, key=_likelihood) if len(several) > 1 else several[0]
    if any("\r" in column for column in table.columns):
        raise SourceError("its lines end in CR alone", "convert it: tr '\\r' '\\n' < IN > OUT")
    check_columns(table.columns)
    return table


def check_columns(columns: Sequence[str]) -> None:
    """Refuse a table whose columns cannot be told apart; columns without a name may be many.

    Raises:
        SourceError: two have one name, or there are too many.
    """
    if len(columns) > COLUMN_LIMIT:
        raise SourceError(f"it has more than {COLUMN_LIMIT:,} columns", "keep the columns that you need")
    repeated = [column for column, times in Counter(columns).items() if column and times > 1]
    if repeated:
        raise SourceError(f"it has the column {repeated[0][:60]!r} twice", "rename one of the two")


def _start(file: BinaryIO) -> int:
    file.seek(0)
    mark = file.read(4)
    if mark.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SourceError("it is written in UTF-16, not in UTF-8", "convert it: iconv -f UTF-16 -t UTF-8 IN > OUT")
    return 3 if mark.startswith(b"\xef\xbb\xbf") else 0


def _table(file: BinaryIO, start: int, delimiter: str) -> CsvTable | None:
    lines = Lines(file, start)
    header = read_cells(lines, delimiter)
    while header is not None and not any(header):  # empty lines before it
        header = read_cells(lines, delimiter)
    if header is None:
        return None
    return CsvTable(file, delimiter, tuple(name.strip() for name in header), lines.offset, lines.number)


def _likelihood(table: CsvTable) -> tuple[bool, int]:
    try:
        row: Sequence[str] | None = read_cells(Lines(table.file, table.offset, table.line), table.delimiter)
    except (Malformed, SourceError):
        row = None
    return row is None or len(row) == len(table.columns), len(table.columns)


def read_cells(lines: Lines, delimiter: str) -> list[str] | None:
    """Return the cells of the next row, which may go over several lines where it has quotes; None at the end.

    Raises:
        Malformed: it is too long, has a NUL byte, or a quote that is never closed or that text follows.
        SourceError: it is not UTF-8.
    """
    text = _next_line(lines)
    if text is None or _QUOTE not in text:
        return None if text is None else _split(_bare(text), delimiter)
    cells: list[str] = []
    position, start = 0, lines.offset
    while True:
        if len(cells) > COLUMN_LIMIT:
            raise Malformed(_TOO_MANY)
        if not text.startswith(_QUOTE, position):
            end = text.find(delimiter, position)
            if end < 0:
                return [*cells, _bare(text[position:])]
            cells.append(text[position:end])
            position = end + 1
            continue
        cell, text, position = _quoted(text, position + 1, lines, start)
        cells.append(cell)
        if text[position : position + 3] in _ENDS:
            return cells
        if text[position] != delimiter:
            raise Malformed("after a closing quote stands neither a separator nor the end of the line")
        position += 1


def _quoted(text: str, position: int, lines: Lines, start: int) -> tuple[str, str, int]:
    """Return a cell whose quote was opened before `position`, the line that it ends in, and the position after it."""
    parts: list[str] = []
    while True:
        found = _INSIDE.match(text, position)
        end = found.end() if found else position
        parts.append(text[position:end])
        if end < len(text):
            return "".join(parts).replace('""', _QUOTE), text, end + 1
        further = _next_line(lines) if lines.offset - start <= QUOTED_LIMIT else None
        if further is None:
            raise Malformed("a quote is opened and never closed")
        text, position = further, 0


def _split(text: str, delimiter: str) -> list[str]:
    if text.count(delimiter) > COLUMN_LIMIT:
        raise Malformed(_TOO_MANY)
    return text.split(delimiter)


def _bare(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _next_line(lines: Lines) -> str | None:
    line = lines.read()
    if line is None:
        return None
    if line.data is None:
        raise Malformed(f"longer than {LINE_LIMIT:,} bytes")
    if b"\0" in line.data:
        raise Malformed("it has a NUL byte")
    try:
        return line.data.decode()
    except UnicodeDecodeError as error:
        raise SourceError(
            f"line {line.number} is not UTF-8", "convert the file: iconv -f LATIN1 -t UTF-8 IN > OUT"
        ) from error
