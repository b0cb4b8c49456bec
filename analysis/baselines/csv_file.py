"""A baseline's CSV file: the rows of a table that must be whole, or an error with its line."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shotdex.media.tables.csv_records import Dialect
from shotdex.media.tables.text import TextTable, open_csv
from shotdex.store.errors import OptionError, SourceError

HINTS = {
    "values where": "fill in all cells of every row, and put a text that holds the separator in double quotes",
    "quote": "check that every quote on it is closed",
}
RESAVE = "save it again as CSV"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line it begins on, from 1, and its cells by column, without the spaces around them."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A file's rows. `columns` are lower-case; `decimal_comma` says that numbers may be written like 0,5."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    decimal_comma: bool
    sha256: str
    note: str

    def error(self, line: int, what: str, hint: str) -> OptionError:
        """Return the error for something wrong on a line."""
        return OptionError(f"{self.path}, line {line}: {what}", hint)


def read_csv(path: Path, known: Collection[str]) -> CsvFile:
    """Read a CSV file with a header.

    Encoding and delimiter are found out as for manifests. Names are compared without case, and with `_` for spaces.
    Rows without any text, and the header repeated (as where files were put one after the other), are passed over.

    Args:
        path: the file.
        known: the names of columns that the caller can use.

    Raises:
        OptionError: it cannot be read, is empty, or a row is broken; with the line and what to do.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}", "pass a CSV file") from error
    try:
        table = open_csv(io.BytesIO(data), Dialect(known=known, spaced=True))
    except SourceError as error:
        raise OptionError(f"{path} cannot be used: {error}", error.hint) from error
    if table is None or not any(table.names):
        raise OptionError(f"{path} is empty", "it needs a header and at least one row")
    columns = _tidy(table.names)
    doubled = next((name for i, name in enumerate(columns) if name and name in columns[:i]), None)
    if doubled is not None:
        raise OptionError(f"{path}: the column {doubled!r} appears twice", "leave one of them out")
    rows = _rows(path, table)
    if not rows:
        raise OptionError(f"{path} has a header and nothing below it", "a baseline needs at least one row")
    return CsvFile(path, columns, rows, table.delimiter != ",", hashlib.sha256(data).hexdigest(), table.note())


def _tidy(cells: Iterable[str]) -> tuple[str, ...]:
    return tuple("_".join(cell.casefold().split()) for cell in cells)


def _rows(path: Path, table: TextTable) -> tuple[Row, ...]:
    rows = []
    try:
        for row in table.rows():
            if row.problem:
                hint = next((hint for part, hint in HINTS.items() if part in row.problem), RESAVE)
                raise OptionError(f"{path}, line {row.line}: {row.problem}", hint)
            cells = {_tidy([name])[0]: cell.strip() for name, cell in row.values.items()}
            if any(cells.values()) and _tidy(row.values.values()) != _tidy(row.values):
                rows.append(Row(row.line, cells))
    except SourceError as error:
        raise OptionError(f"{path} cannot be used: {error}", error.hint) from error
    return tuple(rows)
