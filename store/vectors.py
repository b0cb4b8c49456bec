"""Vectors in the catalog: of images in both spaces, and of texts, so that a question asked again needs no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from .asking import QUERY_SECONDS, check_condition, sql_errors
from .connection import Connection, vectors_from_arrow, vectors_to_arrow
from .errors import BadSql
from .schema import texts_table, vectors_table
from .words import EncoderId, Ids, ImageVectors, Space, Vectors


def add_vectors(con: Connection, encoder_id: int, image_ids: Sequence[int], vectors: ImageVectors) -> None:
    """Add the vectors of images, row for row with `image_ids`."""
    if not image_ids:
        return
    table = pa.table(
        {
            "image_id": pa.array(image_ids, pa.int64()),
            "joint": vectors_to_arrow(vectors.joint),
            "vision": vectors_to_arrow(vectors.vision),
        }
    )
    con.append(vectors_table(encoder_id), table)


def copy_vectors(con: Connection, encoder_id: int, copies: Sequence[tuple[int, int]]) -> None:
    """Give images (new id, id to copy from) the vectors of others with the same content."""
    if not copies:
        return
    pairs = pa.table({"new_id": pa.array([c[0] for c in copies]), "old_id": pa.array([c[1] for c in copies])})
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
        return np.unique(_ids(con.watched(lambda: con.table(query), QUERY_SECONDS)))


def _ids(table: pa.Table) -> Ids:
    return np.asarray(table.column("image_id").to_numpy(), dtype=np.int64)


def load_vectors(
    con: Connection, encoder_id: int, encoder: EncoderId, space: Space, ids: Ids | None = None
) -> tuple[Ids, Vectors]:
    """Return ids (rising) and vectors (N, D) of this encoder: all it ever encoded, or only `ids`."""
    dim = encoder.dim if space is Space.JOINT else encoder.vision_dim
    query = f"SELECT image_id, {space.value} AS vector FROM {vectors_table(encoder_id)}"
    if ids is None:
        found = con.table(f"{query} ORDER BY image_id")
    else:
        with con.holding("wanted", pa.table({"image_id": pa.array(ids)})):
            found = con.table(f"{query} SEMI JOIN wanted USING (image_id) ORDER BY image_id")
    return _ids(found), vectors_from_arrow(found.column("vector"), dim)


def load_in_chunks(
    con: Connection, encoder_id: int, encoder: EncoderId, ids: Ids, rows: int
) -> Iterator[tuple[Ids, Vectors]]:
    """Yield ids (rising) and joint vectors, at most `rows` at a time, so that memory stays bounded."""
    for start in range(0, len(ids), rows):
        yield load_vectors(con, encoder_id, encoder, Space.JOINT, ids[start : start + rows])


def remembered_texts(con: Connection, encoder_id: int, texts: Sequence[str]) -> dict[str, Vectors]:
    """Return the vectors (D,) of those texts that this encoder has met."""
    rows = con.table(
        f"SELECT text, vector FROM {texts_table(encoder_id)} WHERE text IN (SELECT unnest($texts))",
        {"texts": list(texts)},
    )
    return {
        text: np.asarray(vector, dtype=np.float32)
        for text, vector in zip(rows.column("text").to_pylist(), rows.column("vector").to_pylist(), strict=True)
    }


def remember_texts(con: Connection, encoder_id: int, texts: Sequence[str], vectors: Vectors) -> None:
    """Keep text vectors (N, D) for the next time, leaving out those already kept."""
    known = remembered_texts(con, encoder_id, texts)
    new = [i for i, text in enumerate(texts) if text not in known]
    if new:
        table = pa.table({"text": [texts[i] for i in new], "vector": vectors_to_arrow(vectors[new])})
        con.append(texts_table(encoder_id), table)
