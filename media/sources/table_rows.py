"""The rows of a CSV or JSONL file, one by one, as values by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from shotdex.media.tables.csv_records import CsvTable, Record
from shotdex.media.tables.json_lines import JsonTable
from shotdex.media.tables.manifest_rows import open_text, row_values

from .columns import Column

SAMPLE_ROWS = 1000
SAMPLE_BYTES = 4 * 1024 * 1024
"""How much of a JSONL file is read to learn its columns."""


@dataclass(frozen=True, slots=True)
class InCell:
    """The image's bytes stand in the cell, which was not read; `name` is the file's name beside them, or empty."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its number from 0, where a person finds it, and its values; or `problem`, where it cannot be read."""

    number: int
    place: str
    values: Mapping[str, Any]
    problem: str = ""


class Table(Protocol):
    """A file with rows."""

    def columns(self) -> list[Column]:
        """Return its columns; empty where it has no rows that could tell."""

    def rows(self, image: str) -> Iterator[Row]:
        """Yield its rows. In the column `image`, bytes are `InCell`."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """The rows of a CSV or JSONL file."""

    table: CsvTable | JsonTable | None

    @classmethod
    def open(cls, file: BinaryIO, place: str) -> TextTable:
        """Find out how the file is written.

        Raises:
            SourceError: its start cannot be read.
        """
        return cls(open_text(file, place))

    def columns(self) -> list[Column]:
        """Return the header's columns; for JSONL, what the first thousand objects have between them."""
        if isinstance(self.table, CsvTable):
            return [Column(name) for name in self.table.columns]
        found: dict[str, Column] = {}
        for row in self._sample():
            for name, value in row.values.items():
                known = found.get(name, Column(name))
                is_label = not isinstance(value, (dict, list))
                is_image = value is None or isinstance(value, str) or image_name(value) is not None
                found[name] = Column(name, known.images and is_image, known.labels and is_label)
        return list(found.values())

    def _sample(self) -> Iterator[Row]:
        for number, record in enumerate(self.table.records() if self.table else ()):
            if number >= SAMPLE_ROWS or record.offset > SAMPLE_BYTES:
                return
            yield self._row(number, record)

    def rows(self, image: str) -> Iterator[Row]:
        """Yield the rows; bytes never stand in them."""
        for number, record in enumerate(self.table.records() if self.table else ()):
            yield self._row(number, record)

    def _row(self, number: int, record: Record) -> Row:
        place = f"line {record.line}"
        try:
            assert self.table is not None
            return Row(number, place, row_values(self.table, record))
        except ValueError as error:
            return Row(number, place, {}, str(error))


def image_name(value: Any) -> str | None:
    """Return the path in an image as the datasets library writes it, `{"path": ...}`; None where it is no such."""
    path = value.get("path") if isinstance(value, dict) else None
    return path if isinstance(path, str) and path else None
