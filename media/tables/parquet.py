"""Parquet: rows without the images' bytes, and those bytes when their turn comes; a row group is never held whole."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from threading import Lock
from typing import Any, BinaryIO

from shotdex.store.errors import SourceError

from .table import Column, InCell, Row, check_columns, image_name

BUFFER = 1024 * 1024
"""Bytes read from the file at once; without it pyarrow would hold a row group's whole column."""

BATCH = 256
"""Rows that are decoded at once, without images."""

SAMPLE = 16
"""Rows whose bytes are read at the start of each row group. Where all have some, the others are taken to have some;
one that has none after all fails when it is read. Where not, the scan reads the bytes of that row group."""

IMAGES = 4
"""Images that are decoded at once, whatever the size of a row group."""

KEPT_ROWS = 256
KEPT_BYTES = 256 * 1024 * 1024
"""What is kept of rows that were passed over: other threads are about to read them."""

THREADS = 64
"""Rows that the slowest of several threads may be behind the fastest."""

_BYTES = ("binary", "large_binary", "binary_view", "fixed_size_binary")
_TEXT = ("string", "large_string", "string_view")

Cell = bytes | str | None


class ParquetTable:
    """An open Parquet file."""

    def __init__(self, file: BinaryIO) -> None:
        """Read its schema.

        Raises:
            SourceError: it is not a Parquet file, or two of its columns have one name.
        """
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(file, buffer_size=BUFFER)
            self._schema = self._file.schema_arrow
            self._names = _class_names(self._schema.metadata or {})
        except Exception as error:
            raise _broken(error) from error
        if b"shotdex_shard" in (self._file.metadata.metadata or {}):
            raise SourceError("it is a shard, not a manifest", "pass the folder of all shards: shotdex index PLACE/")
        check_columns(self._schema.names)

    def columns(self) -> list[Column]:
        """Return its columns, by their types."""
        kinds = [(field.name, _plain_type(field.type)) for field in self._schema]
        return [
            Column(
                name,
                _is(kind, *_BYTES, *_TEXT) or _is_image_struct(kind),
                not _is(kind, *_BYTES, "nested"),
                name in self._names,
            )
            for name, kind in kinds
        ]

    def rows(self, image: str) -> Iterator[Row]:
        """Yield its rows. In the column `image`, bytes are `InCell`.

        Raises:
            SourceError: the file is broken further on.
        """
        number = 0
        for group in range(self._file.metadata.num_row_groups if self._schema.names else 0):
            for values in self._group(group, image):
                problem = next((value for value in values.values() if isinstance(value, _Unreadable)), "")
                yield Row(number, values, problem)
                number += 1

    def note(self) -> str:
        """Return nothing."""
        return ""

    def _group(self, group: int, image: str) -> Iterator[Mapping[str, Any]]:
        kind = _plain_type(self._schema.field(image).type)
        leaf = f"{image}.bytes" if _is_image_struct(kind) else image
        has_bytes = leaf != image or _is(kind, *_BYTES)
        try:
            in_cells = has_bytes and self._starts_with_bytes(group, leaf)
            with_bytes = has_bytes and not in_cells
            leaves, size = ([*self._leaves(), leaf], SAMPLE) if with_bytes else (self._leaves(), BATCH)
            for batch in self._batches(size, group, leaves):
                columns = {name: self._values(name, batch.column(name)) for name in batch.schema.names}
                for i in range(batch.num_rows):
                    values = {name: column[i] for name, column in columns.items()}
                    yield {**values, image: _image(values.get(image), in_cells)}
        except Exception as error:
            raise _broken(error) from error

    def _starts_with_bytes(self, group: int, leaf: str) -> bool:
        # The file's own count of empty cells would tell it of all rows, but pyarrow ends the whole process (abort)
        # where a broken file has nonsense there.
        first = next(self._batches(SAMPLE, group, [leaf]), None)
        return first is not None and all(_has_bytes(value) for value in first.column(0).to_pylist())

    def _batches(self, size: int, group: int, leaves: Sequence[str]) -> Iterator[Any]:
        return iter(self._file.iter_batches(size, row_groups=[group], columns=leaves, use_threads=False))

    def _leaves(self) -> list[str]:
        schema = self._file.schema
        columns = (schema.column(i) for i in range(len(schema.names)))
        return [column.path for column in columns if not _holds_bytes(column)]

    def _values(self, name: str, column: Any) -> Sequence[Any]:
        values = _to_python(column)
        names = self._names.get(name)
        return values if names is None else [_class_name(value, names) for value in values]


class ParquetCells:
    """An open Parquet file. Going forward is cheap; going back decodes a row group again up to the row."""

    def __init__(self, file: BinaryIO) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(file, buffer_size=BUFFER)
        metadata = self._file.metadata
        counts = (metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
        self._starts = list(accumulate(counts, initial=0))
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
        if not 0 <= row < self._starts[-1]:
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
        group = bisect_right(self._starts, row) - 1
        if row >= self._broken.get((column, group), row + 1):
            raise ValueError("the file is broken before that row")
        if self._at[:2] == (column, group - 1) and self._starts[group] - self._at[2] <= THREADS:
            for number, value in self._rows:  # threads that are behind are about to ask for the last group's end
                self._keep(number, value)
        if self._at[:2] != (column, group) or row < self._at[2]:
            self._rows = self._decode(column, group)
            self._at = (column, group, self._starts[group])
        try:
            for number, value in self._rows:
                self._at = (column, group, number + 1)
                if number == row:
                    return value
                self._keep(number, value)
            raise ValueError("the file has fewer rows than it claims")
        except Exception:
            # Each further row would be looked for from the start of the row group, only to meet the same fault.
            self._broken[column, group] = self._at[2]
            self._at = ("", -1, 0)
            raise

    def _keep(self, row: int, value: Cell) -> None:
        self._kept[row] = value
        while len(self._kept) > KEPT_ROWS or sum(len(value or "") for value in self._kept.values()) > KEPT_BYTES:
            del self._kept[next(iter(self._kept))]

    def _decode(self, column: str, group: int) -> Iterator[tuple[int, Cell]]:
        row, leaf = self._starts[group], self._leaf(column)
        for batch in self._file.iter_batches(IMAGES, row_groups=[group], columns=[leaf], use_threads=False):
            for item in batch.column(column):
                yield row, _value(item.as_py())
                row += 1

    def _leaf(self, column: str) -> str:
        schema = self._file.schema_arrow
        if schema.names.count(column) != 1:
            raise KeyError(f"there is no column {column!r}")
        return f"{column}.bytes" if _is_image_struct(schema.field(column).type) else column


class _Unreadable(str):
    """Why a value cannot be read, in its place."""


def _class_names(metadata: Mapping[bytes, bytes]) -> Mapping[str, Sequence[str]]:
    """Return the names of classes by column that the datasets library writes into a file's schema."""
    features: Any = {}
    with suppress(ValueError, RecursionError, KeyError, TypeError):
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    if not isinstance(features, dict):
        return {}
    return {
        column: names
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        if isinstance(names := feature.get("names"), list) and all(isinstance(name, str) for name in names)
    }


def _class_name(label: Any, names: Sequence[str]) -> Any:
    if label == -1:  # how the datasets library writes that a label is not known
        return None
    return names[label] if isinstance(label, int) and 0 <= label < len(names) else label


def _image(value: Any, in_cell: bool) -> Any:
    if in_cell or _has_bytes(value):
        return InCell(image_name(value) or "")
    return image_name(value) if isinstance(value, dict) else value


def _has_bytes(value: Any) -> bool:
    return isinstance(value.get("bytes") if isinstance(value, dict) else value, bytes)


def _to_python(column: Any) -> Sequence[Any]:
    """Return a column's values; nanoseconds, which Python's times lack, are cut off, and times are in UTC."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind):  # a zone's name may be one that this machine does not know
        column = column.cast(pa.timestamp("us", "UTC" if kind.tz else None), safe=False)
    elif pa.types.is_time64(kind):
        column = column.cast(pa.time64("us"), safe=False)
    elif pa.types.is_duration(kind):
        column = column.cast(pa.duration("us"), safe=False)
    try:
        return list(column.to_pylist())
    except Exception:  # text that is not UTF-8, years after 9999: of many types
        return [_one(item) for item in column]


def _one(item: Any) -> Any:
    try:
        return item.as_py()
    except Exception as error:
        return _Unreadable(f"a value cannot be read: {type(error).__name__}: {error}")


def _plain_type(kind: Any) -> Any:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is(kind: Any, *names: str) -> bool:
    import pyarrow as pa

    return any(getattr(pa.types, f"is_{name}")(kind) for name in names)


def _holds_bytes(column: Any) -> bool:
    if column.physical_type not in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"):
        return False
    return bool(column.logical_type.type == "NONE" and column.converted_type == "NONE")


def _broken(error: Exception) -> SourceError:
    if isinstance(error, SourceError):
        return error
    return SourceError(f"it cannot be read as Parquet: {error}", "write or download the file again")


def _is_image_struct(kind: Any) -> bool:
    """Tell whether an Arrow type is an image as the datasets library stores it: a struct with `bytes` and `path`."""
    import pyarrow as pa

    return bool(pa.types.is_struct(kind)) and any(kind.field(i).name == "bytes" for i in range(kind.num_fields))


def _value(value: Any) -> Cell:
    value = value.get("bytes") if isinstance(value, dict) else value
    return value if isinstance(value, (bytes, str)) else None
