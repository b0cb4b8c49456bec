"""Vectors in the catalog: of images in both spaces, and of texts, so that a question asked again needs no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from .asking import QUERY_SECONDS, check_condition, sql_errors
from .columns import texts as text_column
from .columns import to_arrow, to_numpy, vectors_from_arrow, vectors_to_arrow
from .connection import Connection
from .errors import BadSql
from .schema import texts_table, vectors_table
from .words import EncoderId, Ids, ImageVectors, Space, Vectors


def add_vectors(con: Connection, encoder_id: int, image_ids: Sequence[int], vectors: ImageVectors) -> None:
    """Add the vectors of images, row for row with `image_ids`."""
    if not image_ids:
        return
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
    pairs = pa.table({"new_id": to_arrow(new), "old_id": to_arrow(old)})
    table = vectors_table(encoder_id)
    with con.holding("copies", pairs):
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


def encoded_ids(con: Connection, encoder_id: int, where: str | None = None) -> Ids:
    """Return the ids of present images with vectors of this encoder, rising, optionally only those a filter keeps.

    Raises:
        BadSql: the filter is not a condition on the columns of `images`.
    """
    table = vectors_table(encoder_id)
    present = con.table(f"SELECT image_id FROM images SEMI JOIN {table} USING (image_id) ORDER BY image_id")
    ids = _ids(present)
    # A filter is run by itself and intersected, so whatever it says it can only take images away.
    return ids if where is None else np.intersect1d(ids, filtered_ids(con, where), assume_unique=True)


def filtered_ids(con: Connection, where: str) -> Ids:
    """Return the ids of the images that a filter keeps, rising.

    Raises:
        BadSql: the filter is not a condition on the columns of `images`.
    """
    if not where.strip():
        raise BadSql("the filter is empty", "give a condition such as --where \"condition = 'realistic'\"")
    query = f"SELECT image_id FROM images WHERE ({where}\n)"  # the line break ends a comment at the filter's end
    with sql_errors(f"the filter {where!r} does not work"):
        check_condition(con, where)
        return _in_order(_ids(con.watched(lambda: con.table(query), QUERY_SECONDS)))


def _in_order(ids: Ids) -> Ids:
    # A million ids that rise already, as they mostly do, are sorted and compared in a second; looked at in a moment.
    return ids if bool((ids[1:] > ids[:-1]).all()) else np.unique(ids)


def _ids(table: pa.Table) -> Ids:
    return np.asarray(to_numpy(table.column("image_id")), dtype=np.int64)


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
    with con.holding("wanted", pa.table({"image_id": to_arrow(wanted)})):
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
        ids, vectors = _ids(part), vectors_from_arrow(part.column("vector"), dim)
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


def remembered_texts(con: Connection, encoder_id: int, texts: Sequence[str]) -> dict[str, Vectors]:
    """Return the vectors (D,) of those texts that this encoder has met."""
    if not texts:
        return {}
    with con.holding("asked", pa.table({"text": text_column(texts)})):
        rows = con.table(f"SELECT text, vector FROM {texts_table(encoder_id)} SEMI JOIN asked USING (text)")
    if len(rows) == 0:
        return {}
    dim = rows.schema.field("vector").type.list_size
    return dict(zip(rows.column("text").to_pylist(), vectors_from_arrow(rows.column("vector"), dim), strict=True))


def remember_texts(con: Connection, encoder_id: int, texts: Sequence[str], vectors: Vectors) -> None:
    """Keep text vectors (N, D) for the next time, leaving out those already kept."""
    known = remembered_texts(con, encoder_id, texts)
    new = [i for i, text in enumerate(texts) if text not in known]
    if new:
        kept = pa.table({"text": text_column([texts[i] for i in new]), "vector": vectors_to_arrow(vectors[new])})
        con.append(texts_table(encoder_id), kept)
