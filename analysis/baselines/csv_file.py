"""CSV files as people really have them: byte-order marks, semicolons, tabs, odd headers; or an error with its line."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shotdex.store.errors import OptionError

DELIMITERS = ",;\t"
RESAVE = "save it again as CSV, in UTF-8"


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

    def error(self, line: int, what: str, hint: str) -> OptionError:
        """Return the error for something wrong on a line."""
        return OptionError(f"{self.path}, line {line}: {what}", hint)


def read_csv(path: Path, known: Collection[str]) -> CsvFile:
    """Read a CSV file with a header.

    The delimiter is the one of comma, semicolon and tab that makes most of the header's names known ones. Names are
    compared without case, and with `_` for spaces. Rows without any text, and the header repeated (as where files were
    put one after the other), are passed over.

    Args:
        path: the file.
        known: the names of columns that the caller can use.

    Raises:
        OptionError: it cannot be read, is not UTF-8, is empty, or a row is broken; with the line and what to do.
    """
    data = _bytes(path)
    text = _decoded(path, data)
    header = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(DELIMITERS, key=lambda mark: len(set(_names(header, mark)) & set(known)))
    records = _records(path, text, delimiter)
    columns = _checked(path, records)
    rows = [_row(path, columns, line, cells) for line, cells in records if _tidy(cells) != columns]
    if not rows:
        raise OptionError(f"{path} has a header and nothing below it", "a baseline needs at least one row")
    return CsvFile(path, columns, tuple(rows), delimiter != ",", hashlib.sha256(data).hexdigest())


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}", "name a CSV file") from error


def _decoded(path: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise OptionError(f"{path}, line {line}: this is not UTF-8 text", RESAVE) from error
    if "\0" in text:
        raise OptionError(f"{path} is not a text file, or not in UTF-8", RESAVE)
    return text


def _names(header: str, delimiter: str) -> tuple[str, ...]:
    try:
        return _tidy(next(csv.reader([header], delimiter=delimiter, skipinitialspace=True)))
    except csv.Error:  # longer than a field may be
        return ()


def _tidy(cells: Sequence[str]) -> tuple[str, ...]:
    return tuple("_".join(cell.casefold().split()) for cell in cells)


def _records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that holds some text, with the line that it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise OptionError(
                f"{path}, line {line}: the row is broken ({error})", "see that every quote on it is closed"
            ) from error
        if any(cell.strip() for cell in cells):
            yield line, cells


def _checked(path: Path, records: Iterator[tuple[int, list[str]]]) -> tuple[str, ...]:
    line, cells = next(records, (0, []))
    if not cells:
        raise OptionError(f"{path} is empty", "it needs a header and at least one row")
    columns = _tidy(cells)
    doubled = next((name for i, name in enumerate(columns) if name and name in columns[:i]), None)
    if doubled is not None:
        raise OptionError(f"{path}, line {line}: the column {doubled!r} is there twice", "leave one of them out")
    return columns


def _row(path: Path, columns: tuple[str, ...], line: int, cells: Sequence[str]) -> Row:
    if len(cells) != len(columns):
        raise OptionError(
            f"{path}, line {line}: the row has {len(cells)} cells, the header has {len(columns)}",
            "give every row all its cells, and put a text that holds the separator in double quotes",
        )
    return Row(line, {name: cell.strip() for name, cell in zip(columns, cells, strict=True)})
