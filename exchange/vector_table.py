"""A table of images with vectors: a column of them, or numpy's arrays next to it, in one file or several."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotdex.media.files.places import absolute
from shotdex.media.sources.columns import Roles, find_roles
from shotdex.media.tables.table import Column
from shotdex.store.errors import OptionError, SourceError
from shotdex.store.types import EncoderId, Pooling, Precision

from .selection import ENCODER

ROWS = 4096
"""Rows that are in memory, and committed, together."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows: their cells by column, and their vectors, (N, D) or a list of rows of any length or None."""

    rows: list[dict[str, Any]]
    vectors: Sequence[Any]


class VectorTable:
    """The files of one import."""

    def __init__(self, place: str, vectors_from: str) -> None:
        """Find the files.

        Raises:
            SourceError: there is no table, or it has no such column. OptionError: there is no such array.
        """
        self.files = _tables(place)
        self.root = absolute(place) if len(self.files) == 1 else str(Path(self.files[0]).parent.resolve())
        self._arrays = _arrays(vectors_from, place)
        self._column = vectors_from
        schema = self._open(self.files[0]).schema
        self._metadata = schema.metadata or {}
        self.names = list(schema.names)
        if not self._arrays and vectors_from not in self.names:
            raise SourceError(
                f"{self.files[0]} has no column {vectors_from!r}, and there is no such file",
                f"pass one of its columns or a .npy file: --vectors-from; it has {', '.join(self.names)}",
            )

    def _open(self, file: str) -> Any:
        try:
            if file.endswith((".csv", ".tsv")):
                from pyarrow import csv

                how = csv.ParseOptions(delimiter="\t" if file.endswith(".tsv") else ",")
                return csv.read_csv(file, parse_options=how)
            if file.endswith((".jsonl", ".ndjson")):
                from pyarrow import json as lines

                return lines.read_json(file)
            import pyarrow.parquet as pq

            return _Parquet(pq.ParquetFile(file))
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{file} cannot be read: {str(error).splitlines()[0]}", "pass a Parquet file") from error

    def encoder(self) -> EncoderId | None:
        """Return the encoder that the file itself names, as `export parquet` writes it."""
        text = self._metadata.get(ENCODER)
        if text is None:
            return None
        known = json.loads(text)
        return EncoderId(**known | {"precision": Precision(known["precision"]), "pooling": Pooling(known["pooling"])})

    def dim(self) -> int:
        """Return how many numbers most of the vectors have.

        Raises:
            SourceError: there is no vector.
        """
        lengths: Counter[int] = Counter()
        if self._arrays:
            lengths.update({array.shape[1]: len(array) for array in self._arrays})
        else:
            for part in self._parts():
                column = part.column(self._column)
                if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)) and not (
                    pa.types.is_fixed_size_list(column.type)
                ):
                    raise SourceError(f"the column {self._column} holds no vectors but {column.type}", "choose another")
                lengths.update(length for length in pc.list_value_length(column).to_pylist() if length)
        if not lengths:
            raise SourceError(f"there are no vectors in {self._column}", "choose another column or file")
        return lengths.most_common(1)[0][0]

    def count(self) -> int:
        """Return how many rows there are.

        Raises:
            OptionError: the arrays have another number.
        """
        rows = sum(self._open(file).num_rows for file in self.files)
        if self._arrays and rows != (known := sum(map(len, self._arrays))):
            raise OptionError(
                f"the tables have {rows:,} rows and the arrays {known:,}", "pass arrays and tables with the same rows"
            )
        return int(rows)

    def roles(self, columns: Mapping[str, str]) -> Roles:
        """Return which columns name the images and label them."""
        return find_roles(columns, [Column(name) for name in self.names if name != self._column])

    def parts(self) -> Iterator[Part]:
        """Yield the rows in order, up to `ROWS` at a time."""
        arrays = iter(self._arrays)
        array, used = next(arrays, None), 0
        for table in self._parts():
            rows = table.drop_columns(list(self._vector_columns(table))).to_pylist()
            vectors: list[Any] = []
            if not self._arrays:
                vectors = _numbers(table.column(self._column))
            while self._arrays and len(vectors) < len(rows):
                assert array is not None
                if used == len(array):
                    array, used = next(arrays, None), 0
                    continue
                some = array[used : used + len(rows) - len(vectors)]
                vectors += list(np.asarray(some, dtype=np.float32))
                used += len(some)
            if "vision" in table.column_names and self._column != "vision":
                for row, vision in zip(rows, _numbers(table.column("vision")), strict=True):
                    row["vision"] = vision
            yield Part(rows, vectors)

    def _parts(self) -> Iterator[pa.Table]:
        for file in self.files:
            yield from _batches(self._open(file))

    def _vector_columns(self, table: pa.Table) -> Iterator[str]:
        for field in table.schema:
            if field.name in (self._column, "vision", "joint") and pa.types.is_nested(field.type):
                yield field.name


class _Parquet:
    """A Parquet file that is read in parts."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.schema = file.schema_arrow
        self.num_rows = file.metadata.num_rows

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        yield from self._file.iter_batches(ROWS)


def _batches(opened: Any) -> Iterator[pa.Table]:
    for batch in opened.to_batches():
        for start in range(0, batch.num_rows, ROWS):
            yield pa.Table.from_batches([batch.slice(start, ROWS)])


def _numbers(column: pa.ChunkedArray) -> list[Any]:
    """Return the vectors of a column, None for a row without one."""
    kind = column.type.value_type
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise SourceError(f"the vectors consist of {kind}, not of numbers", "choose another column")
    return [None if row is None or None in row else np.array(row, dtype=np.float32) for row in flat.to_pylist()]


def _tables(place: str) -> list[str]:
    path = Path(place).expanduser()
    if has_magic(place) and not path.exists():
        found = glob(place)  # noqa: PTH207  a pattern may begin anywhere
    elif path.is_dir():
        found = [str(file) for folder in (path, path / "metadata") for file in folder.glob("*.parquet")]
    else:
        found = [str(path)] if path.is_file() else []
    if not found:
        raise SourceError(
            f"there is no table of images at {place}", "pass a Parquet, CSV or JSONL file, or a folder of them"
        )
    return sorted(found, key=_natural)


def _arrays(vectors_from: str, place: str) -> list[Any]:
    near = Path(place).expanduser()
    found: list[str] = []
    for one in (Path(vectors_from).expanduser(), (near if near.is_dir() else near.parent) / vectors_from):
        if not found and one.is_dir():
            found = [str(file) for file in one.glob("*.npy")]
        elif not found and one.suffix == ".npy":
            found = [str(one)] if one.is_file() else glob(str(one))  # noqa: PTH207  a pattern may begin anywhere
    if not found and vectors_from.endswith(".npy"):
        raise OptionError(
            f"there is no array at {vectors_from}", "pass the file of the vectors: --vectors-from FILE.npy"
        )
    arrays = []
    for file in sorted(found, key=_natural):
        try:
            array = np.load(file, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise OptionError(
                f"{file} is not an array of numpy's: {error}", "pass a file that np.save wrote"
            ) from error
        if array.ndim != 2 or array.dtype.kind not in "fiu":
            what = f"{file} has the shape {array.shape} of {array.dtype}"
            raise OptionError(what, "pass an array of one row of numbers for each image")
        arrays.append(array)
    return arrays


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part or 0), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
