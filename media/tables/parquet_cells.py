"""Images in a column of a Parquet file, read in about the order of its rows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from threading import Lock
from typing import Any, BinaryIO

BATCH = 4
"""Rows that are decoded at once: four images, whatever the size of a row group."""

KEPT_ROWS = 256
KEPT_BYTES = 256 * 1024 * 1024
"""What is kept of rows that were passed over: other threads are about to ask for them."""

THREADS = 64
"""Rows that the slowest of several threads may be behind the fastest."""

BUFFER = 1024 * 1024
"""Bytes read from the file at once; without it pyarrow would hold a row group's whole column."""

Cell = bytes | str | None


class ParquetCells:
    """An open Parquet file. Going forward is cheap; going back decodes a row group again up to the row."""

    def __init__(self, file: BinaryIO) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(file, buffer_size=BUFFER)
        metadata = self._file.metadata
        self._ends = list(accumulate(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)))
        self._lock = Lock()
        self._kept: dict[int, Cell] = {}
        self._rows: Iterator[tuple[int, Cell]] = iter(())
        self._at = ("", -1, 0)
        self._broken: dict[tuple[str, int], int] = {}

    def cell(self, column: str, row: int) -> bytes | str:
        """Return what stands in a row, counted from 0.

        Raises:
            KeyError: there is no such column or row.
            ValueError: the cell is empty.
            OSError, pyarrow.ArrowException: the file is broken there.
        """
        if not 0 <= row < (self._ends[-1] if self._ends else 0):
            raise KeyError(f"there is no row {row}")
        with self._lock:
            value = self._find(column, row)
        if value is None:
            raise ValueError("the cell is empty")
        return value

    def _find(self, column: str, row: int) -> Cell:
        if column != self._at[0]:
            self._kept.clear()
        if row in self._kept:
            return self._kept.pop(row)
        group = bisect_right(self._ends, row)
        if row >= self._broken.get((column, group), row + 1):
            raise ValueError("the file is broken before that row")
        if self._at[:2] == (column, group - 1) and self._start(group) - self._at[2] <= THREADS:
            for number, value in self._rows:  # threads that are behind are about to ask for the last group's end
                self._keep(number, value)
        if self._at[:2] != (column, group) or row < self._at[2]:
            self._rows = self._decode(column, group)
            self._at = (column, group, self._start(group))
        try:
            for number, value in self._rows:
                self._at = (column, group, number + 1)
                if number == row:
                    return value
                self._keep(number, value)
            raise ValueError("the file has fewer rows than it says")
        except Exception:
            # Each further row would be looked for from the start of the row group, only to meet the same fault.
            self._broken[column, group] = self._at[2]
            self._at = ("", -1, 0)
            raise

    def _start(self, group: int) -> int:
        return self._ends[group - 1] if group else 0

    def _keep(self, row: int, value: Cell) -> None:
        self._kept[row] = value
        while len(self._kept) > KEPT_ROWS or sum(map(_size, self._kept.values())) > KEPT_BYTES:
            del self._kept[next(iter(self._kept))]

    def _decode(self, column: str, group: int) -> Iterator[tuple[int, Cell]]:
        row = self._start(group)
        leaf = self._leaf(column)
        for batch in self._file.iter_batches(BATCH, row_groups=[group], columns=[leaf], use_threads=False):
            for item in batch.column(column):
                yield row, _value(item.as_py())
                row += 1

    def _leaf(self, column: str) -> str:
        schema = self._file.schema_arrow
        if schema.names.count(column) != 1:
            raise KeyError(f"there is no column {column!r}")
        return f"{column}.bytes" if is_image_struct(schema.field(column).type) else column


def is_image_struct(kind: Any) -> bool:
    """Tell whether an Arrow type is an image as the datasets library stores it: a struct with `bytes` and `path`."""
    import pyarrow as pa

    return bool(pa.types.is_struct(kind)) and any(kind.field(i).name == "bytes" for i in range(kind.num_fields))


def _value(value: Any) -> Cell:
    if isinstance(value, dict):
        value = value.get("bytes")
    return value if isinstance(value, (bytes, str)) else None


def _size(value: Cell) -> int:
    return len(value) if value is not None else 0
