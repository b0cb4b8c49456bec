"""What a table of images is, in whatever format: columns, and rows one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shotdex.store.errors import SourceError

COLUMN_LIMIT = 10_000
"""Columns that a table may have."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, and whether images or labels may stand in it by its type.

    `names_classes`: the file itself says that it labels the images, and with which names (a ClassLabel).
    """

    name: str
    images: bool = True
    labels: bool = True
    names_classes: bool = False


@dataclass(frozen=True, slots=True)
class InCell:
    """The image's bytes stand in the cell, which was not read; `name` is the file's name stored with them, or empty."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its number from 0, its line (from 1) in a text file, and its values by column.

    Where it cannot be read, `problem` says why and `values` is empty.
    """

    number: int
    values: Mapping[str, Any]
    problem: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        """Return where a person finds it."""
        return f"line {self.line}" if self.line else f"row {self.number}, counted from 0"


class Table(Protocol):
    """A file with rows."""

    def columns(self) -> list[Column]:
        """Return its columns; empty where it has no rows that could tell."""

    def rows(self, image: str) -> Iterator[Row]:
        """Yield its rows. In the column `image`, bytes are `InCell`."""

    def note(self) -> str:
        """Return what a user should know of how it was read, after the rows were; often nothing."""


def check_columns(columns: Sequence[str]) -> None:
    """Raise an error if two columns have the same name; several columns may have none.

    Raises:
        SourceError: two have one name, or there are too many.
    """
    if len(columns) > COLUMN_LIMIT:
        raise SourceError(f"it has more than {COLUMN_LIMIT:,} columns", "keep the columns that you need")
    repeated = [column for column, times in Counter(columns).items() if column and times > 1]
    if repeated:
        raise SourceError(f"it has the column {repeated[0][:60]!r} twice", "rename one of the two")


def image_name(value: Any) -> str | None:
    """Return the path in an image as the datasets library writes it, `{"path": ...}`, or None."""
    path = value.get("path") if isinstance(value, dict) else None
    return path if isinstance(path, str) and path else None
