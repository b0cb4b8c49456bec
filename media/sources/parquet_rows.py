"""The rows of a Parquet file, a few at a time, without the images' bytes: those are read when their turn comes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from shotdex.media.tables.parquet_cells import BUFFER, is_image_struct
from shotdex.media.tables.table import Column, InCell, Row, check_columns, image_name
from shotdex.store.errors import SourceError

BATCH = 256
"""Rows that are decoded at once."""

SAMPLE = 16
"""Rows whose bytes are read at the start of each row group. Where all have some, the others are taken to have some;
one that has none after all is refused when it is read. Where not, the scan reads the bytes of that row group."""


class ParquetTable:
    """An open Parquet file."""

    def __init__(self, file: BinaryIO) -> None:
        """Read its schema.

        Raises:
            SourceError: it is no Parquet file, or two of its columns have one name.
        """
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(file, buffer_size=BUFFER)
            self._schema = self._file.schema_arrow
            self._names = class_names(self._schema.metadata or {})
        except Exception as error:
            raise _broken(error) from error
        check_columns(self._schema.names)

    def columns(self) -> list[Column]:
        """Return its columns, by their types."""
        import pyarrow as pa

        found = []
        for field in self._schema:
            kind = _plain_type(field.type)
            is_bytes = _is_bytes(kind)
            images = is_bytes or _is_text(kind) or is_image_struct(kind)
            labels = not (is_bytes or pa.types.is_nested(kind))
            found.append(Column(field.name, images, labels))
        return found

    def rows(self, image: str) -> Iterator[Row]:
        """Yield its rows. In the column `image`, bytes are `InCell`.

        Raises:
            SourceError: the file is broken further on.
        """
        number = 0
        for group in range(self._file.metadata.num_row_groups if self._schema.names else 0):
            for values in self._group(group, image):
                problem = next((str(value) for value in values.values() if isinstance(value, _Unreadable)), "")
                yield Row(number, values, problem)
                number += 1

    def note(self) -> str:
        """Return nothing."""
        return ""

    def _group(self, group: int, image: str) -> Iterator[Mapping[str, Any]]:
        kind = _plain_type(self._schema.field(image).type)
        leaf = f"{image}.bytes" if is_image_struct(kind) else image
        has_bytes = leaf != image or _is_bytes(kind)
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
        batches: Iterator[Any] = self._file.iter_batches(size, row_groups=[group], columns=leaves, use_threads=False)
        return batches

    def _leaves(self) -> list[str]:
        schema = self._file.schema
        columns = (schema.column(i) for i in range(len(schema.names)))
        return [column.path for column in columns if not _holds_bytes(column)]

    def _values(self, name: str, column: Any) -> Sequence[Any]:
        values = _to_python(column)
        names = self._names.get(name)
        if names is None:
            return values
        return [_class_name(value, names) if isinstance(value, int) else value for value in values]


@dataclass(frozen=True, slots=True)
class _Unreadable:
    error: str

    def __str__(self) -> str:
        return f"a value cannot be read: {self.error}"


def class_names(metadata: Mapping[bytes, bytes]) -> Mapping[str, Sequence[str]]:
    """Return the names of classes by column that the datasets library writes into a file's schema."""
    features: Any = {}
    with suppress(ValueError, RecursionError, KeyError, TypeError):
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    if not isinstance(features, dict):
        return {}
    return {
        column: feature["names"]
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and _are_names(feature.get("names"))
    }


def _are_names(names: Any) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _class_name(number: int, names: Sequence[str]) -> str | int | None:
    if number == -1:  # how the datasets library writes that a label is not known
        return None
    return names[number] if 0 <= number < len(names) else number


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
        values: Sequence[Any] = column.to_pylist()
    except Exception:  # text that is not UTF-8, years after 9999: of many types
        values = [_one(item) for item in column]
    return values


def _one(item: Any) -> Any:
    try:
        return item.as_py()
    except Exception as error:
        return _Unreadable(f"{type(error).__name__}: {error}")


def _plain_type(kind: Any) -> Any:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(check(kind) for check in checks)


def _holds_bytes(column: Any) -> bool:
    if column.physical_type not in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"):
        return False
    return bool(column.logical_type.type == "NONE" and column.converted_type == "NONE")


def _broken(error: Exception) -> SourceError:
    if isinstance(error, SourceError):
        return error
    return SourceError(f"it cannot be read as Parquet: {error}", "write or download the file again")
