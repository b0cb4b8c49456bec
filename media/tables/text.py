"""CSV and JSON lines as tables, row by row, and again by a row's number.

Rows are numbered from 0. Bad ones count; those without any value do not.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Protocol

from shotdex.store.errors import SourceError
from shotdex.store.file_names import stored

from .csv_records import Dialect, find_records
from .lines import LINE_LIMIT, Lines
from .table import Column, Row, image_name

SAMPLE_ROWS = 1000
SAMPLE_CHARACTERS = 4 * 1024 * 1024
"""How much of a JSONL file is read to learn its columns."""

CHECKPOINT = 64 * 1024
CHECKPOINTS = 10_000
"""Characters between rows whose place is remembered, and how many are; beyond that, every second is forgotten."""


class _Records(Protocol):
    def read(self) -> tuple[int, Any, str] | None:
        """Return the next record: its first line, what it holds or None, and then what is wrong; None at the end."""

    def values(self, content: Any) -> Mapping[str, Any]:
        """Return what a record holds by column, or raise ValueError with what is wrong with it."""

    def at_line(self) -> bool:
        """Tell whether the next record begins with the next line of the file."""

    def go_on(self) -> None:
        """Read from where the lines were moved to."""


class TextTable:
    """An open CSV or JSONL file, for one thread at a time. Closing it closes the file."""

    def __init__(self, lines: Lines, records: _Records, names: tuple[str, ...] = (), delimiter: str = "") -> None:
        self.names, self.delimiter = names, delimiter
        """The names in a CSV's header, and what divides them; empty for JSONL."""
        self._lines, self._records = lines, records
        self._marks = [(0, lines.place())]
        self._apart = CHECKPOINT

    def columns(self) -> list[Column]:
        """Return the header's columns; for JSONL, what the first thousand objects have between them."""
        if self.names:
            return [Column(name) for name in self.names]
        found: dict[str, Column] = {}
        for row in self._from(0):
            if row.number >= SAMPLE_ROWS or self._lines.characters > SAMPLE_CHARACTERS:
                break
            for name, value in row.values.items():
                known = found.get(name, Column(name))
                is_label = not isinstance(value, (dict, list))
                is_image = value is None or isinstance(value, str) or image_name(value) is not None
                found[name] = Column(name, known.images and is_image, known.labels and is_label)
        return list(found.values())

    def rows(self, image: str = "") -> Iterator[Row]:
        """Yield the rows; bytes never stand in them, whatever the column `image`.

        Raises:
            SourceError: quotes are broken everywhere.
        """
        return self._from(0)

    def row(self, number: int) -> Row:
        """Return one row.

        Raises:
            KeyError: there are fewer.
        """
        row = next(self._from(number), None)
        if row is None:
            raise KeyError(f"there is no row {number}")
        return row

    def note(self) -> str:
        """Return what a user should know of how the rows were read, or nothing."""
        line = self._lines.not_utf8
        return f"line {line} is not UTF-8; such lines were read as Windows-1252" if line else ""

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _from(self, wanted: int) -> Iterator[Row]:
        """Yield the rows from a number on, starting to read at the nearest known place."""
        number, place = self._marks[bisect_right(self._marks, wanted, key=lambda mark: mark[0]) - 1]
        self._lines.go_to(place)
        self._records.go_on()
        while True:
            if self._lines.characters >= self._apart and number > self._marks[-1][0] and self._records.at_line():
                self._mark(number)
            record = self._records.read()
            if record is None:
                return
            if number >= wanted:
                yield self._row(number, *record)
            number += 1

    def _mark(self, number: int) -> None:
        self._marks.append((number, self._lines.place()))
        self._lines.characters = 0
        if len(self._marks) > CHECKPOINTS:
            del self._marks[1::2]
            self._apart *= 2

    def _row(self, number: int, line: int, content: Any, problem: str) -> Row:
        if content is None:
            return Row(number, {}, problem, line)
        try:
            return Row(number, self._records.values(content), "", line)
        except ValueError as error:
            return Row(number, {}, str(error), line)


def open_csv(file: BinaryIO, dialect: Dialect | None = None) -> TextTable | None:
    """Return a CSV file as a table, which closes it when it is closed; None where it is empty.

    Raises:
        SourceError: the header cannot be read, or names a column twice.
    """
    lines = Lines(file, "")
    records = find_records(lines, dialect or Dialect())
    return None if records is None else TextTable(lines, records, records.names, records.delimiter)


def open_jsonl(file: BinaryIO) -> TextTable:
    """Return a JSONL file as a table, which closes it when it is closed.

    Raises:
        SourceError: it is one JSON array, as a .json file is.
    """
    lines = Lines(file, "\n")
    if lines.start(1024).lstrip().startswith("["):
        raise SourceError("it is one JSON list, not one JSON object per line", "convert it: jq -c '.[]' IN > OUT.jsonl")
    return TextTable(lines, _JsonRecords(lines))


class _JsonRecords:
    """The lines of a JSONL file that are not empty."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def read(self) -> tuple[int, str | None, str] | None:
        while True:
            number, line = self._lines.number, self._lines.read()
            if line is None:
                return number, None, f"longer than {LINE_LIMIT:,} characters"
            if not line:
                return None
            if line.strip(" \t\n\r\v\f"):
                return number, line, ""

    def values(self, content: str) -> Mapping[str, Any]:
        return json_object(content)

    def at_line(self) -> bool:
        return True

    def go_on(self) -> None:
        """Do nothing: no line is ever read ahead."""


def json_object(line: str) -> Mapping[str, Any]:
    """Return the object that a line holds. NaN and infinity, which Python writes and JSON lacks, are None.

    Raises:
        ValueError: it is not a JSON object, or has text that is not Unicode.
    """
    try:
        value = json.loads(line, parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("not JSON that can be read: nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    if "\\ud" in line or "\\uD" in line:  # half of a pair of surrogates is JSON, but not text that can be stored
        try:  # but for a byte of a file name that is not UTF-8, which Python and our own --format jsonl write so
            value = {name: stored(text) if isinstance(text, str) else text for name, text in value.items()}
            json.dumps(value, ensure_ascii=False).encode()
        except (UnicodeEncodeError, RecursionError) as error:
            raise ValueError("it has text that is not Unicode") from error
    return value
