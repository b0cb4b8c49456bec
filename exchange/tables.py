"""Exports that are one table: Parquet, CSV, JSON lines, numpy's arrays, and Parquet for Embedding Atlas."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shotdex.store.arrow import vectors_from_arrow
from shotdex.store.file_names import ODD, local
from shotdex.store.types import Ids, Vectors

from .selection import Selected

NEIGHBOURS = 15
"""Nearest images that Embedding Atlas gets for each."""

BLOCK = 512
"""Images that are compared with all others at a time."""


def write_parquet(selected: Selected, target: Path) -> None:
    """Write one row an image, vectors as lists of a fixed length."""
    write_tables(selected.tables(), target)


def write_tables(tables: Iterator[pa.Table], target: Path) -> None:
    """Write tables of one schema, of which there is at least one, to a Parquet file."""
    first = next(tables)
    with pq.ParquetWriter(target, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table.cast(first.schema))


def write_csv(selected: Selected, target: Path) -> None:
    """Write a header and one line an image; what is missing is empty, truth values are true and false."""
    with target.open("w", encoding="utf-8", newline="") as file:
        writer: Any = None
        for table in selected.tables():
            if writer is None:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(table.column_names)
            columns = [column.to_pylist() for column in table.columns]
            writer.writerows([_in_csv(value) for value in row] for row in zip(*columns, strict=True))


def _in_csv(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def write_jsonl(selected: Selected, target: Path) -> None:
    """Write one JSON object an image and line; metadata is an object in it, times are ISO 8601."""
    with target.open("w", encoding="utf-8") as file:
        for table in selected.tables():
            for row in table.to_pylist():
                if row.get("metadata") is not None:
                    row["metadata"] = json.loads(row["metadata"])
                file.write(_json_line(row) + "\n")


def _json_line(row: dict[str, Any]) -> str:
    line = json.dumps(row, ensure_ascii=False, default=lambda value: value.isoformat())
    if ODD.search(line) is None:
        return line
    named = {name: local(value) if isinstance(value, str) else value for name, value in row.items()}
    return json.dumps(named, default=lambda value: value.isoformat())  # a byte that is not UTF-8 as `\udce9`


def write_numpy(selected: Selected, target: Path) -> None:
    """Write a folder with vectors.npy (N, D), ids.npy (N,) and images.csv in one order; vision.npy if selected."""
    target.mkdir()
    np.save(target / "ids.npy", selected.ids)
    write_csv(_Without(selected), target / "images.csv")  # type: ignore[arg-type]
    arrays: dict[str, Any] = {}
    done = 0
    for table in selected.tables():
        for name, file in (("joint", "vectors.npy"), ("vision", "vision.npy")):
            if name not in table.column_names:
                continue
            dim = table.schema.field(name).type.list_size
            if name not in arrays:
                shape = (len(selected.ids), dim)
                arrays[name] = np.lib.format.open_memmap(target / file, mode="w+", dtype=np.float32, shape=shape)
            arrays[name][done : done + len(table)] = vectors_from_arrow(table.column(name), dim)
        done += len(table)
    for array in arrays.values():
        array.flush()


class _Without:
    """The same rows without vectors."""

    def __init__(self, selected: Selected) -> None:
        self._selected = selected

    def tables(self) -> Iterator[pa.Table]:
        with closing(self._selected.tables()) as tables:  # type: ignore[type-var]
            for table in tables:
                yield table.drop_columns([name for name in ("joint", "vision") if name in table.column_names])


def write_atlas(selected: Selected, target: Path, ids: Ids, xy: Any, vectors: Vectors) -> None:
    """Write what Embedding Atlas reads: places in the plane, and the nearest images by the numbers of their rows.

    `ids` (N,) are those of the places `xy` (N, 2) and unit vectors (N, D), rising; the selection has no others.
    """
    near, distances = neighbours(vectors, min(NEIGHBOURS, len(ids) - 1))
    done = 0

    def tables() -> Iterator[pa.Table]:
        nonlocal done
        for table in _Without(selected).tables():
            rows = slice(done, done + len(table))
            done += len(table)
            table = table.append_column("projection_x", pa.array(xy[rows, 0]))
            table = table.append_column("projection_y", pa.array(xy[rows, 1]))
            lists = [pa.array(list(near[rows])), pa.array(list(distances[rows]))]
            yield table.append_column("neighbors", pa.StructArray.from_arrays(lists, ["ids", "distances"]))

    write_tables(tables(), target)


def neighbours(vectors: Vectors, count: int) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the rows (N, count) of the nearest other vectors, nearest first, and the distances 1 - cosine."""
    places = np.empty((len(vectors), count), np.int64)
    distances = np.empty((len(vectors), count), np.float64)
    for start in range(0, len(vectors), BLOCK):
        some = np.arange(start, min(start + BLOCK, len(vectors)))
        cosines = vectors[some] @ vectors.T
        cosines[np.arange(len(some)), some] = -np.inf
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        places[some] = best
        distances[some] = np.clip(1 - np.take_along_axis(cosines, best, axis=1), 0, 2)
    return places, distances  # type: ignore[return-value]
