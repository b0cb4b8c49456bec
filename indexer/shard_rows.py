"""The rows of a shard, read as an encoded batch, after a look at everything that they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from shotdex.store.arrow import fixed_lists, vectors_from_arrow
from shotdex.store.connection import Connection
from shotdex.store.encoded_batch import batch_schema
from shotdex.store.types import EncoderId, Reason

from .shards import ROW_GROUP, VECTORS, Shard, digest, refused

TEXT_BYTES, SLACK_BYTES = 64 << 20, 512 << 20
"""What the texts of a row group may take, and a whole shard in memory beyond eight times the bytes of its file."""

UNIT = 1e-3
"""How far the length of a joint vector may be from 1."""

_NEEDED = ("address", "sha256", "width", "height", "size_bytes", "modified_ns", *VECTORS, "failure")


def read_rows(shard: Shard, con: Connection) -> pa.Table:
    """Return a shard's rows without their vectors, looked at with the help of a scratch database.

    Raises:
        SourceError: a row is not what a row of a shard is.
    """
    with refused(shard.place, shard.name):
        table = _read(shard, vectors=False)
        _check_rows(table, con)
        return table


def read_batch(shard: Shard, con: Connection) -> pa.Table:
    """Return a shard as an encoded batch, after looking at its rows and vectors and comparing its digest.

    Raises:
        SourceError: they are not those of a shard.
    """
    encoder = shard.header.encoder
    with refused(shard.place, shard.name):
        batch = _read(shard, vectors=True).combine_chunks()
        _check_rows(_without_vectors(batch), con)
        for space, dim in (("joint", encoder.dim), ("vision", encoder.vision_dim)):
            values = vectors_from_arrow(batch.column(space).drop_null(), dim)
            if not np.isfinite(values).all():
                raise ValueError(f"its vectors in {space} hold NaN or infinity")
            if space == "joint" and len(values):
                lengths = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
                if np.abs(lengths - 1).max() > UNIT:
                    raise ValueError("its vectors in joint are not of length 1")
        if digest(batch) != shard.header.sha256:
            raise ValueError("its rows do not match its sha256")
    return batch


def _check_rows(table: pa.Table, con: Connection) -> None:
    with con.holding("shard_rows", table):
        counts = ", ".join(f"count(*) FILTER ({sql})" for sql in _WRONG.values())
        wrong = con.rows(f"SELECT {counts}, count(*) - count(DISTINCT address) FROM shard_rows")[0]
    for what, count in zip((*_WRONG, "have the address of another row"), wrong, strict=True):
        if count:
            raise ValueError(f"{count:,} of its rows {what}")


def _without_vectors(batch: pa.Table) -> pa.Table:
    """Return a batch with `encoded` and `vision`, which tell whether a row has vectors, in their place."""
    present = {"encoded": batch.column("joint").is_valid(), "vision": batch.column("vision").is_valid()}
    light = batch.drop_columns(list(VECTORS))
    for name, column in present.items():
        light = light.append_column(name, column)
    return light


_REASONS = ", ".join(f"'{reason.value}'" for reason in Reason)

# What no row of a shard may be, as the end of a sentence.
_WRONG = {
    "have no address": "coalesce(address, '') = ''",
    "have an address with a NUL, or of more than 32,768 characters": (
        "contains(address, chr(0)) OR length(address) > 32768"
    ),
    "have no size or time, or a negative size": "coalesce(size_bytes, -1) < 0 OR modified_ns IS NULL",
    "have neither a failure nor the SHA-256 of their content": (
        "failure IS NULL AND NOT coalesce(regexp_full_match(sha256, '[0-9a-f]{64}'), false)"
    ),
    "are failures with vectors": "failure IS NOT NULL AND encoded",
    # Which content the model could not answer is known, so that copies of it are not expected to have vectors.
    "are failures with a SHA-256 that is not one, or that were not encoded": (
        "failure IS NOT NULL AND sha256 IS NOT NULL AND NOT (coalesce(failure.stage, '') = 'encode'"
        " AND regexp_full_match(sha256, '[0-9a-f]{64}'))"
    ),
    "have no width or height": "encoded AND NOT coalesce(width > 0 AND height > 0, false)",
    "have a width or height below 1": "width < 1 OR height < 1",
    "have vectors in one space only": "encoded <> vision",
    "are failures without a known reason, stage and detail": (
        f"failure IS NOT NULL AND NOT coalesce(failure.reason IN ({_REASONS}) AND failure.detail IS NOT NULL"
        " AND failure.stage IN ('scan', 'read', 'decode', 'encode'), false)"
    ),
    **{
        f"have {name} that is not a JSON object": (
            f"{name} IS NOT NULL AND NOT coalesce(json_valid({name}) AND json_type({name}) = 'OBJECT', false)"
        )
        for name in ("metadata", "exif")
    },
    "have a latitude or longitude that is not on Earth, or one without the other": (
        "(latitude IS NULL) <> (longitude IS NULL) OR NOT coalesce(abs(latitude) <= 90 AND abs(longitude) <= 180, true)"
    ),
}


def _read(shard: Shard, vectors: bool) -> pa.Table:
    """Return an encoded batch; without `vectors` as `_without_vectors` does, and never all of them at once."""
    import pyarrow.parquet as pq

    header = shard.header
    schema = batch_schema(header.encoder, header.decoder)
    with shard.place.reading(shard.name) as file:
        table = pq.ParquetFile(file, page_checksum_verification=True)
        _check_sizes(table, header.encoder, file.size())
        names = [name for name in schema.names if name in table.schema_arrow.names]
        step = max(1, min(ROW_GROUP, (32 << 20) // (4 * (header.encoder.dim + header.encoder.vision_dim))))
        parts = []
        for batch in table.iter_batches(step, columns=names, use_threads=False):
            parts.append(_as_batch(pa.Table.from_batches([batch]), schema, header.origin.root, vectors))
    found = pa.concat_tables(parts)
    found.validate(full=True)
    if len(found) != shard.rows:
        raise ValueError(f"it has {len(found):,} rows and claims {shard.rows:,}")
    return found


def _check_sizes(table: Any, encoder: EncoderId, file_bytes: int) -> None:
    schema, metadata = table.schema_arrow, table.metadata
    missing = [name for name in _NEEDED if name not in schema.names]
    if missing or len(set(schema.names)) < len(schema.names):
        raise ValueError(f"it has no column {missing[0]}" if missing else "two of its columns have one name")
    if metadata.num_rows * 4 * (encoder.dim + encoder.vision_dim) > SLACK_BYTES + 8 * file_bytes:
        raise ValueError("it claims more vectors than its file can hold")
    for number in range(metadata.num_row_groups):
        # What the columns say of themselves is not asked for: pyarrow ends the process where that is nonsense.
        group = metadata.row_group(number)
        if group.total_byte_size > TEXT_BYTES + group.num_rows * 8 * (encoder.dim + encoder.vision_dim):
            raise ValueError("the texts of a row group take too many bytes")


def _as_batch(table: pa.Table, schema: pa.Schema, root: str, vectors: bool) -> pa.Table:
    columns = {}
    for column in schema:
        if column.name == "source":
            columns["source"] = pa.array([root] * len(table), pa.string())
        elif column.name not in table.schema.names:
            columns[column.name] = pa.nulls(len(table), column.type)
        elif column.name in VECTORS:
            columns[column.name] = fixed_lists(table.column(column.name), column.name, column.type)
        elif column.name == "failure":
            columns["failure"] = _struct(table.column("failure"), column.type)
        else:
            columns[column.name] = _plain(table.column(column.name), column)
    batch = pa.table(columns, schema)
    return batch if vectors else _without_vectors(batch)


def _plain(column: pa.ChunkedArray, wanted: pa.Field) -> pa.ChunkedArray:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    fits = (pa.types.is_floating(kind) and pa.types.is_floating(wanted.type)) or (
        pa.types.is_timestamp(kind) and kind.tz is None and pa.types.is_timestamp(wanted.type)
    )
    fits = (
        fits
        or (pa.types.is_integer(kind) and pa.types.is_integer(wanted.type))
        or ((pa.types.is_string(kind) or pa.types.is_large_string(kind)) and pa.types.is_string(wanted.type))
    )
    if not fits:
        raise TypeError(f"its column {wanted.name} is {kind}, not {wanted.type}")
    return column.cast(wanted.type)


def _struct(column: pa.ChunkedArray, kind: pa.StructType) -> pa.Array:
    found = column.combine_chunks()
    found = found.chunk(0) if isinstance(found, pa.ChunkedArray) else found
    if not pa.types.is_struct(found.type) or {part.name for part in found.type} != {part.name for part in kind}:
        raise TypeError(f"its column failure is {found.type}, not {kind}")
    parts = [_plain(pa.chunked_array([found.field(part.name)]), part).combine_chunks() for part in kind]
    return pa.StructArray.from_arrays(parts, fields=list(kind), mask=found.is_null())
