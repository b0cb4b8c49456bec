"""Images that stand in the cells of a table: `table.parquet!COLUMN/ROW`, the row counted from 0."""

from __future__ import annotations

import time
import weakref
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import PurePosixPath
from threading import Lock
from typing import Any, BinaryIO

from shotdex.media.files import places

from .csv_records import CsvTable, Record, open_csv
from .data_urls import data_bytes
from .json_lines import JsonTable, json_object, open_jsonl
from .lines import buffered
from .parquet_cells import ParquetCells

KINDS: Mapping[str, str] = {
    ".csv": "CSV", ".tsv": "CSV", ".parquet": "Parquet", ".pq": "Parquet", ".jsonl": "JSONL", ".ndjson": "JSONL",
}  # fmt: skip

OPEN_FILES = 4
CHECK_AFTER = 60.0
"""Seconds for which a URL is taken to be as it was: asking for its facts costs a request."""

CHECKPOINT = 64 * 1024
"""Bytes between the rows of a text file whose place is remembered."""


def table_kind(place: str) -> str | None:
    """Return CSV, Parquet or JSONL by the extension of a path or URL; None where it is another."""
    name = place.partition("?")[0].partition("#")[0] if places.is_url(place) else place
    return KINDS.get(PurePosixPath(name).suffix.lower())


def read_cell(place: str, member: str, limit: int) -> bytes:
    """Return the image in a cell; `member` is `COLUMN/ROW`. Rows may be asked for from several threads.

    Raises:
        KeyError: there is no such column or row.
        TooManyBytes: it has more than `limit` bytes.
        OSError, ValueError, SourceError, pyarrow.ArrowException: it cannot be read.
    """
    column, _, row = member.rpartition("/")
    if not (row.isascii() and row.isdigit() and len(row) < 19):
        raise KeyError(f"{member!r} is not COLUMN/ROW")
    value = _reader(place).cell(column, int(row))
    if isinstance(value, str):
        return data_bytes(value, limit)
    if len(value) > limit:
        raise places.TooManyBytes(f"more than {limit:,} bytes")
    return value


class TextCells:
    """An open CSV or JSONL file. Where some of its rows begin is noted as they are met, so going back is cheap."""

    def __init__(self, table: CsvTable | JsonTable) -> None:
        self._table = table
        self._lock = Lock()
        self._rows, self._offsets, self._lines = array("q"), array("q"), array("q")

    def cell(self, column: str, row: int) -> str:
        """Return what stands in a row, counted from 0.

        Raises:
            KeyError: there is no such column or row.
            ValueError: the row is broken, or no text stands there.
        """
        with self._lock:
            record = self._record(row)
        values = row_values(self._table, record)
        if column not in values:
            raise KeyError(f"there is no column {column!r}")
        value = values[column]
        if not isinstance(value, str):
            raise ValueError("the cell holds no text")
        return value

    def _record(self, row: int) -> Record:
        near = bisect_right(self._rows, row) - 1
        known = self._table.records(self._offsets[near], self._lines[near]) if near >= 0 else self._table.records()
        for number, record in enumerate(known, self._rows[near] if near >= 0 else 0):
            if not self._rows or (number > self._rows[-1] and record.offset >= self._offsets[-1] + CHECKPOINT):
                self._rows.append(number)
                self._offsets.append(record.offset)
                self._lines.append(record.line)
            if number == row:
                return record
        raise KeyError(f"there is no row {row}")


def row_values(table: CsvTable | JsonTable, record: Record) -> Mapping[str, Any]:
    """Return the values of a row by column.

    Raises:
        ValueError: it is broken; the message says how.
    """
    if record.content is None:
        raise ValueError(record.problem)
    if isinstance(record.content, bytes):
        return json_object(record.content)
    assert isinstance(table, CsvTable)
    return dict(zip(table.columns, record.content, strict=True))


def open_text(file: BinaryIO, place: str) -> CsvTable | JsonTable | None:
    """Return an open CSV or JSONL file as a table; None where it is empty.

    Raises:
        SourceError: it is no such file.
    """
    if table_kind(place) == "JSONL":
        return open_jsonl(file)
    return open_csv(file, "\t" if ".tsv" in place.lower() else ",")


_readers: OrderedDict[str, tuple[places.Facts, float, ParquetCells | TextCells]] = OrderedDict()
_readers_lock = Lock()


def _reader(place: str) -> ParquetCells | TextCells:
    with _readers_lock:
        known = _readers.get(place)
        if known is not None and places.is_url(place) and time.monotonic() - known[1] < CHECK_AFTER:
            return known[2]
        facts = places.facts(place)
        reader = known[2] if known is not None and known[0] == facts else _open(place)
        _readers[place] = (facts, time.monotonic(), reader)
        _readers.move_to_end(place)
        if len(_readers) > OPEN_FILES:
            _readers.popitem(last=False)
        return reader


def _open(place: str) -> ParquetCells | TextCells:
    file = buffered(places.open_binary(place))
    try:
        reader: ParquetCells | TextCells
        if table_kind(place) == "Parquet":
            reader = ParquetCells(file)
        else:
            table = open_text(file, place)
            if table is None:
                raise KeyError("the file is empty")
            reader = TextCells(table)
    except BaseException:
        file.close()
        raise
    weakref.finalize(reader, file.close)  # another thread may still read when its turn here is over
    return reader
