"""Vectors of images in the catalog, in both spaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .columns import to_arrow, to_numpy, vectors_from_arrow, vectors_to_arrow
from .connection import Connection
from .schema import vectors_table
from .words import EncoderId, Ids, ImageVectors, Space, Vectors


def add_vectors(con: Connection, encoder_id: int, image_ids: Sequence[int], vectors: ImageVectors) -> None:
    """Add the vectors of images, row for row with `image_ids`."""
    if not image_ids:
        return
    import pyarrow as pa

    table = pa.table(
        {
            "image_id": to_arrow(np.asarray(image_ids, dtype=np.int64)),
            "joint": vectors_to_arrow(vectors.joint),
            "vision": vectors_to_arrow(vectors.vision),
        }
    )
    con.append(vectors_table(encoder_id), table)


def copy_vectors(con: Connection, encoder_id: int, copies: Sequence[tuple[int, int]]) -> None:
    """Give images (new id, id to copy from) the vectors of others with the same content."""
    if not copies:
        return
    new, old = np.array(copies, dtype=np.int64).T
    table = vectors_table(encoder_id)
    with con.holding("copies", {"new_id": new, "old_id": old}):
        con.run(
            f"INSERT INTO {table} SELECT c.new_id, v.joint, v.vision FROM copies c JOIN {table} v "
            "ON v.image_id = c.old_id ORDER BY c.new_id"
        )


def owners_query(encoder_id: int) -> str:
    """Return the query for each content that this encoder has encoded: its lowest image id and its size in pixels."""
    return (
        "SELECT content_sha256, min(image_id) AS image_id, min(width) AS width, min(height) AS height "
        f"FROM stored_images SEMI JOIN {vectors_table(encoder_id)} USING (image_id) "
        "WHERE len(content_sha256) = 64 GROUP BY content_sha256"
    )


READ_ROWS = 32_768
"""Rows of vectors read at a time: what is read beside the array that they go to."""

SPARSE = 4
"""Ids of which fewer than one in four is wanted are looked up one by one; else their whole range is read."""


def load_vectors(
    con: Connection, encoder_id: int, encoder: EncoderId, space: Space, ids: Ids | None = None
) -> tuple[Ids, Vectors]:
    """Return ids (rising) and vectors (N, D) of this encoder: all it ever encoded, or only `ids`.

    Besides the result it takes the memory of `READ_ROWS` vectors.
    """
    dim = encoder.dim if space is Space.JOINT else encoder.vision_dim
    source = vectors_table(encoder_id)
    if ids is None:
        return _read(con, source, space, dim)
    wanted = ids if _rising(ids) else np.unique(ids)
    if len(wanted) == 0:
        return wanted, np.empty((0, dim), dtype=np.float32)
    # Rows lie by rising id, so DuckDB reads of a range only what is in it.
    source += f" WHERE image_id BETWEEN {wanted[0]} AND {wanted[-1]}"
    if wanted[-1] - wanted[0] < SPARSE * len(wanted):
        return _read(con, source, space, dim, wanted)
    with con.holding("wanted", {"image_id": wanted}):
        return _read(con, f"{source} AND image_id IN (SELECT image_id FROM wanted)", space, dim)


def _read(con: Connection, source: str, space: Space, dim: int, wanted: Ids | None = None) -> tuple[Ids, Vectors]:
    """Return ids, rising, and vectors of a source, but for those that are not `wanted`."""
    parts = _parts(con, f"SELECT image_id, {space.value} AS vector FROM {source}", dim, wanted)
    if wanted is not None and len(wanted) <= READ_ROWS:
        found = list(parts)
        ids = np.concatenate([part[0] for part in found]) if found else np.empty(0, dtype=np.int64)
        rows = [part[1] for part in found] or [np.empty((0, dim), dtype=np.float32)]
        vectors = rows[0] if len(rows) == 1 else np.concatenate(rows)
    else:  # so many are copied to their place at once, not first collected
        count = int(con.value(f"SELECT count(*) FROM {source}"))
        ids, vectors, end = np.empty(count, dtype=np.int64), np.empty((count, dim), dtype=np.float32), 0
        for some, own in parts:
            ids[end : end + len(some)], vectors[end : end + len(some)] = some, own
            end += len(some)
        ids, vectors = ids[:end], vectors[:end]
    if not _rising(ids):  # they were written by rising id, but a catalog need not stay as it was written
        order = np.argsort(ids, kind="stable")
        ids, vectors = ids[order], vectors[order]
    return ids, vectors


def _parts(con: Connection, query: str, dim: int, wanted: Ids | None) -> Iterator[tuple[Ids, Vectors]]:
    for part in con.batches(query, rows=READ_ROWS):
        ids, vectors = to_numpy(part.column("image_id")), vectors_from_arrow(part.column("vector"), dim)
        if wanted is not None:
            kept = wanted[np.searchsorted(wanted[:-1], ids)] == ids
            if not kept.all():
                ids, vectors = ids[kept], vectors[kept]
        yield ids, vectors


def _rising(ids: Ids) -> bool:
    return bool((ids[1:] > ids[:-1]).all())


def load_in_chunks(
    con: Connection, encoder_id: int, encoder: EncoderId, ids: Ids, rows: int
) -> Iterator[tuple[Ids, Vectors]]:
    """Yield ids (rising) and joint vectors, at most `rows` at a time, so that memory stays bounded."""
    for start in range(0, len(ids), rows):
        yield load_vectors(con, encoder_id, encoder, Space.JOINT, ids[start : start + rows])
