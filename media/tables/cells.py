"""Images that stand in the cells of a table: `table.parquet!COLUMN/ROW`, the row counted from 0."""

from __future__ import annotations

import base64
import re
import time
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import PurePosixPath
from threading import Lock
from typing import BinaryIO

from shotdex.media.files import places

from .csv_records import Dialect
from .lines import buffered
from .parquet import ParquetCells
from .text import TextTable, open_csv, open_jsonl

KINDS: Mapping[str, str] = {
    ".csv": "CSV", ".tsv": "CSV", ".parquet": "Parquet", ".pq": "Parquet", ".jsonl": "JSONL", ".ndjson": "JSONL",
}  # fmt: skip

OPEN_FILES = 4
CHECK_AFTER = 60.0
"""Seconds for which a URL is taken to be as it was: asking for its facts costs a request."""

_DATA_URL = re.compile(r"data:image/[\w.+-]*(;[\w.+=-]*)*;base64,", re.IGNORECASE | re.ASCII)
_START_LIMIT = 200


def table_kind(place: str) -> str | None:
    """Return CSV, Parquet or JSONL by the extension of a path or URL; None where it is another."""
    name = place.partition("?")[0].partition("#")[0] if places.is_url(place) else place
    return KINDS.get(PurePosixPath(name).suffix.lower())


def is_data_url(text: str) -> bool:
    """Tell whether a text is an image in base64: `data:image/png;base64,...`."""
    return _DATA_URL.match(text[:_START_LIMIT]) is not None


def data_size(text: str) -> int:
    """Return how many bytes a data URL holds, if it is whole, without decoding it."""
    return (len(text) - text.find(",") - 1) * 3 // 4 - text[-2:].count("=")


def data_bytes(text: str, limit: int) -> bytes:
    """Return the bytes of a data URL.

    Raises:
        ValueError: it is not one, or broken.
        TooManyBytes: it holds more than `limit` bytes.
    """
    if not is_data_url(text):
        raise ValueError("not an image in base64")
    if data_size(text) > limit:
        raise places.TooManyBytes(f"more than {limit:,} bytes")
    return base64.b64decode(text[text.find(",") + 1 :], validate=True)


def read_cell(place: str, member: str, limit: int) -> bytes:
    """Return the image in a cell; `member` is `COLUMN/ROW`. Rows may be read from several threads.

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
    """The cells of an open CSV or JSONL file, for several threads."""

    def __init__(self, table: TextTable) -> None:
        self._table = table
        self._lock = Lock()

    def cell(self, column: str, number: int) -> str:
        """Return what stands in a row, counted from 0.

        Raises:
            KeyError: there is no such column or row.
            ValueError: the row is broken, or no text stands there.
        """
        with self._lock:
            row = self._table.row(number)
        if row.problem:
            raise ValueError(row.problem)
        if column not in row.values:
            raise KeyError(f"there is no column {column!r}")
        value = row.values[column]
        if not isinstance(value, str):
            raise ValueError("the cell has no text")
        return value


def open_text(file: BinaryIO, place: str) -> TextTable | None:
    """Return an open CSV or JSONL file as a table; None where it is empty.

    Raises:
        SourceError: it is not such a file.
    """
    if table_kind(place) == "JSONL":
        return open_jsonl(file)
    return open_csv(file, Dialect("\t" if ".tsv" in place.lower() else ","))


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
