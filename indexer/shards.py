"""Shards: encoded images in a Parquet file, and what a file must be to be taken for one. See docs/shards.md.

A shard is an encoded batch (`store/encoded_batch.py`) with its vectors as bytes of a fixed length, and a JSON object
under `shotdex_shard` in the footer that says of what work it is the result. Who may write a shard may write anything,
so nothing in one is believed that was not looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from shotdex.store.errors import SourceError
from shotdex.store.shard_reader import FOOTER

from .place import Place
from .shard_header import Header, parse_header

ROW_GROUP = 4096

MOST_ROWS, FOOTER_BYTES = 1 << 18, 32 << 20
"""The most rows of a shard, and bytes of what its footer says."""

VECTORS = ("joint", "vision")


@dataclass(frozen=True, slots=True)
class Shard:
    """A file that says that it is a shard; `rows` are as many as it claims."""

    place: Place
    name: str
    header: Header
    rows: int

    def __str__(self) -> str:
        return self.place.named(self.name)


def write_shard(place: Place, name: str, header: Header, batch: pa.Table) -> Header:
    """Write an encoded batch as a shard, and return its header with the digest of the rows."""
    import pyarrow.parquet as pq

    whole = replace(header, sha256=digest(batch))
    table = batch.combine_chunks()
    for space in VECTORS:
        number = table.schema.get_field_index(space)
        table = table.set_column(number, space, _to_bytes(table.column(space)))
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression={column: "none" if column in VECTORS else "zstd" for column in _leaves(table.schema)},
        use_dictionary=["source", "category", "condition", "split"],
        write_statistics=False,
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        writer.write_table(table, ROW_GROUP)
        writer.add_key_value_metadata({FOOTER: whole.as_json()})
    place.write(name, sink.getvalue())
    return whole


def _leaves(schema: pa.Schema) -> list[str]:
    return [
        path
        for column in schema
        for path in (
            [f"{column.name}.{part.name}" for part in column.type] if pa.types.is_struct(column.type) else [column.name]
        )
    ]


def _to_bytes(column: pa.ChunkedArray) -> pa.Array:
    """Return vectors as bytes of a fixed length: the same memory under another type."""
    kind = pa.binary(4 * column.type.list_size)
    chunk = column.combine_chunks()
    chunk = chunk.chunk(0) if isinstance(chunk, pa.ChunkedArray) else chunk
    if chunk.offset:
        chunk = pa.concat_arrays([chunk, chunk.slice(0, 0)])
    return pa.Array.from_buffers(kind, len(chunk), [chunk.buffers()[0], chunk.values.buffers()[1]])


def digest(batch: pa.Table) -> str:
    """Return the SHA-256 over the rows of an encoded batch.

    Each row adds, in order, its address and its content's SHA-256 (empty for a failure), in UTF-8 and each followed by
    a NUL, and its vectors where it has them: joint, then vision, as little-endian float32.
    """
    found = hashlib.sha256()
    vectors = [_rows_of(batch.column(space)) for space in VECTORS]
    contents = batch.column("sha256").to_pylist()
    for row, (address, content) in enumerate(zip(batch.column("address").to_pylist(), contents, strict=True)):
        found.update(f"{address}\0{content or ''}\0".encode())
        for present, values in vectors:
            if present[row]:
                found.update(values[row])
    return found.hexdigest()


def _rows_of(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows (N,) have a vector, and all of them as bytes (N, 4 D)."""
    data, kind = _to_bytes(column), column.type.list_size * 4
    present = np.ones(len(data), dtype=bool)
    if data.null_count:
        present = np.asarray(data.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
    return present, np.frombuffer(data.buffers()[1], dtype=np.uint8, count=len(data) * kind).reshape(len(data), kind)


def find_shards(place: Place, name: str | None = None) -> tuple[list[Shard], list[str]]:
    """Return the shards that lie at a place, or only that of a name, and the names of the other Parquet files.

    Raises:
        SourceError: a file says that it is a shard and cannot be one, or is cut where others are shards.
        StoreError: the place cannot be listed.
    """
    shards, others, broken = [], [], []
    for each in place.tables() if name is None else [name]:
        try:
            found = read_header(place, each)
        except _NotParquet as found_out:
            broken.append((each, str(found_out)))
            continue
        if found is None:
            others.append(each)
        else:
            shards.append(found)
    if shards and broken:
        raise SourceError(
            f"{place.named(broken[0][0])} is damaged: {broken[0][1]}",
            "delete it, and encode the part that is then missing again: shotdex encode SOURCE --part I/N --out PLACE",
        )
    return shards, others + [each for each, _ in broken]


def find_shard(place: Place, name: str) -> Shard | None:
    """Return the shard of a name; None where no file of that name is one that can be used."""
    try:
        return read_header(place, name)
    except (_NotParquet, SourceError):
        return None


class _NotParquet(Exception):
    """A file that cannot be read as Parquet, or is not there."""


def read_header(place: Place, name: str) -> Shard | None:
    """Return the shard that a Parquet file is, by its footer; None where that does not say that it is one.

    Raises:
        SourceError: it says so, and what it says cannot be.
    """
    import pyarrow.parquet as pq

    try:
        with place.reading(name) as file:
            metadata = pq.read_metadata(file)
    except Exception as error:
        raise _NotParquet(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    said = (metadata.metadata or {}).get(FOOTER)
    if said is None:
        return None
    with refused(place, name):
        if len(said) > FOOTER_BYTES:
            raise ValueError("its footer is too long")
        if not 0 < metadata.num_rows <= MOST_ROWS:
            raise ValueError(f"it claims {metadata.num_rows:,} rows; a shard has 1 to {MOST_ROWS:,}")
        return Shard(place, name, parse_header(json.loads(said)), metadata.num_rows)


@contextmanager
def refused(place: Place, name: str) -> Iterator[None]:
    """Turn what is wrong with a shard into one of our errors, whatever type it is of."""
    try:
        yield
    except SourceError:
        raise
    except (MemoryError, RecursionError) as error:
        raise _bad(place, name, type(error).__name__) from error
    except Exception as error:
        raise _bad(place, name, (str(error).splitlines() or [type(error).__name__])[0]) from error


def _bad(place: Place, name: str, why: str) -> SourceError:
    return SourceError(
        f"{place.named(name)} is not a usable shard: {why}",
        "delete it and encode that part again; docs/shards.md describes the format",
    )
