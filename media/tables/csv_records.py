"""The records of a CSV file by Python's `csv`, with bounds, and going on after a broken one.

By itself, a quote that is never closed makes Python's reader swallow the rest of the file. Here such a row is reported,
and reading goes on with the next line.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from shotdex.store.errors import SourceError

from .lines import LINE_LIMIT, Lines
from .table import COLUMN_LIMIT, check_columns

DELIMITERS = (",", ";", "\t", "|")

QUOTED_LIMIT = 256 * 1024
"""Characters that a row may have where line breaks stand between its quotes: a longer one is a quote never closed."""

RESCUED = 4 * 1024 * 1024
"""Characters read again, after quotes that are never closed, beyond which a file is given up: some seconds of work."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written.

    `first` is the delimiter that is taken where nothing else decides, `known` are names of columns that the reader can
    use, and with `spaced` the spaces after a delimiter are not part of a cell, so that `a, "b, c"` has two cells.
    """

    first: str = ","
    known: Collection[str] = ()
    spaced: bool = False


class _Broken(ValueError):
    """A row that is not CSV. Never leaves shotdex: it becomes a failure."""


class CsvRecords:
    """The records of a file, from the line on at which `lines` stand; the first that is not empty is its header."""

    def __init__(self, lines: Lines, delimiter: str, spaced: bool) -> None:
        self.delimiter = delimiter
        self._lines, self._spaced = lines, spaced
        csv.field_size_limit(max(csv.field_size_limit(), LINE_LIMIT))  # one for the whole process, so it is only raised
        self._reader = csv.reader(self, delimiter=delimiter, skipinitialspace=spaced, strict=True)
        self._taken: list[tuple[int, str | None]] = []
        self._again: deque[tuple[int, str | None]] = deque()
        self._size = self._wasted = 0
        header = self.read()
        self.problem = header[2] if header else ""
        self.names = tuple(cell.strip() for cell in (header[1] if header and header[1] else ()))

    def read(self) -> tuple[int, list[str] | None, str] | None:
        """Return the line, from 1, that the next record begins on, its cells, or None and what is wrong with it.

        Records without any value are left out; None at the end of the file.

        Raises:
            SourceError: quotes are broken everywhere.
        """
        while True:
            self._taken.clear()
            self._size = 0
            try:
                cells = next(self._reader)
            except StopIteration:
                return None
            except (_Broken, csv.Error) as error:
                return self._give_up(_said(error))
            if any(map(str.strip, cells) if self._spaced else cells):
                return self._taken[0][0], cells, ""

    def values(self, cells: list[str]) -> Mapping[str, str]:
        """Return a record's cells by column.

        Raises:
            ValueError: there are more or fewer than columns.
        """
        if len(cells) != len(self.names):
            raise ValueError(f"{len(cells)} values where the header has {len(self.names)}")
        return dict(zip(self.names, cells, strict=True))

    def at_line(self) -> bool:
        """Tell whether the next record begins with the next line of the file."""
        return not self._again

    def go_on(self) -> None:
        """Read from where `lines` were moved to."""
        self._again.clear()
        self._wasted = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next line to Python's reader."""
        if self._size > QUOTED_LIMIT:
            raise _Broken("a quote is opened and never closed")
        number, line = self._again.popleft() if self._again else (self._lines.number, self._lines.read())
        if line == "":
            raise StopIteration
        self._taken.append((number, line))
        if line is None:
            raise _Broken(f"longer than {LINE_LIMIT:,} characters")
        self._size += len(line)
        if "\0" in line:
            raise _Broken("it has a NUL byte")
        if line.count(self.delimiter) > COLUMN_LIMIT:
            outside = line.split('"')[len(self._taken) > 1 :: 2]  # a further line begins within quotes
            if sum(part.count(self.delimiter) for part in outside) > COLUMN_LIMIT:
                raise _Broken(f"more than {COLUMN_LIMIT:,} values")
        return line

    def _give_up(self, problem: str) -> tuple[int, None, str]:
        (number, _), *rest = self._taken
        self._again.extendleft(reversed(rest))  # the lines behind the first may be rows of their own
        self._wasted += sum(len(line or "") for _, line in rest)
        if self._wasted > RESCUED:
            raise SourceError(
                f"too many quotes are opened and never closed, the last one in line {number}",
                "check the quotes, or save the table as JSONL or Parquet",
            )
        return number, None, problem


def _said(error: Exception) -> str:
    text = str(error)
    if text == "unexpected end of data":
        return "a quote is opened and never closed"
    return (
        "after a closing quote stands neither a separator nor the end of the line" if "expected after" in text else text
    )


def find_records(lines: Lines, dialect: Dialect) -> CsvRecords | None:
    """Return the records below the header; None where the file is empty.

    The delimiter is the one that makes most names in the header known ones; then one that divides it at all; then one
    that makes the row below it as long; then the one that makes most columns.

    Raises:
        SourceError: the header cannot be read, or names a column twice.
    """
    best: CsvRecords | None = None
    most: tuple[int, bool, bool, int] = (-1, False, False, 0)
    problem = ""
    for delimiter in sorted(DELIMITERS, key=lambda delimiter: delimiter != dialect.first):
        lines.go_to()
        records = CsvRecords(lines, delimiter, dialect.spaced)
        problem = problem or records.problem
        likelihood = _likelihood(records, dialect.known)
        if records.names and likelihood > most:
            best, most = records, likelihood
    if problem and not most[1]:
        hint = "check its first line: names of columns, divided by commas"
        raise SourceError(f"its header cannot be read: {problem}", hint)
    if best is None:
        return None
    check_columns(best.names)
    lines.go_to()
    return CsvRecords(lines, best.delimiter, dialect.spaced)


def _likelihood(records: CsvRecords, known: Collection[str]) -> tuple[int, bool, bool, int]:
    try:
        below = records.read() if records.names else None
    except SourceError:
        below = None
    fits = below is None or below[1] is None or len(below[1]) == len(records.names)
    used = sum("_".join(name.casefold().split()) in known for name in records.names)
    return used, len(records.names) > 1, fits, len(records.names)
