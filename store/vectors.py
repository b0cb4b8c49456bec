"""Vectors in the catalog: of images, in both spaces, and of texts, so that one searched again needs no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np

from .arrow import to_numpy, vectors_from_arrow, whole
from .connection import Connection
from .errors import QueryError, StoreCorrupt
from .schema import texts_table, vectors_table
from .types import EncoderId, Ids, Space, Vectors


def owners_query(encoder_id: int) -> str:
    """Return the query for each content that this encoder has encoded: its lowest image id and its size in pixels."""
    return (
        "SELECT content_sha256, min(image_id) AS image_id, coalesce(min(width), 0) AS width, "
        f"coalesce(min(height), 0) AS height FROM stored_images SEMI JOIN {vectors_table(encoder_id)} USING (image_id) "
        "WHERE len(content_sha256) = 64 GROUP BY content_sha256"
    )


READ_ROWS = 4096
"""Rows of vectors that come out of the catalog at a time: 8 MB, which stay in the processor's cache."""

FEW_ROWS = 32_768
"""Up to so many rows are collected and joined; of more the place is made first, and they are copied to it."""

SPARSE = 4
"""Ids of which fewer than one in four is wanted are looked up one by one; else their whole range is read."""


def load_vectors(
    con: Connection, encoder_id: int, encoder: EncoderId, space: Space, ids: Ids | None = None
) -> tuple[Ids, Vectors]:
    """Return ids (rising) and vectors (N, D) of this encoder: all it ever encoded, or only `ids`.

    In addition to the result it takes the memory of `READ_ROWS` vectors, and of few as much again.

    Raises:
        StoreCorrupt: a vector holds NaN or infinity.
    """
    found, vectors = _load(con, encoder_id, encoder, space, ids)
    check_finite(found, vectors)
    return found, vectors


def check_finite(ids: Ids, vectors: Vectors) -> None:
    """Make sure that the vectors (N, D) of images (N,) are finite, so that nothing is computed from damaged ones.

    Raises:
        StoreCorrupt: a vector holds NaN or infinity.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)  # not finite where a number is not; needs no second matrix
    odd = np.flatnonzero(~np.isfinite(squares))
    if len(odd):
        raise StoreCorrupt(
            f"the vectors of {len(odd):,} images hold NaN, infinity or numbers too large (the first: image_id "
            f"{ids[odd[0]]})",
            "delete them and encode these images again: shotdex verify --repair, then shotdex index SOURCE",
        )


def _load(con: Connection, encoder_id: int, encoder: EncoderId, space: Space, ids: Ids | None) -> tuple[Ids, Vectors]:
    dim = encoder.dim if space is Space.JOINT else encoder.vision_dim
    if ids is not None and len(ids) <= FEW_ROWS:
        parts = [(np.empty(0, dtype=np.int64), np.empty((0, dim), dtype=np.float32))]
        parts += stream_vectors(con, encoder_id, encoder, space, ids)
        found, vectors = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    else:
        with _source(con, encoder_id, ids) as source:
            count = int(con.value(f"SELECT count(*) FROM {source}"))
        found, vectors, end = np.empty(count, dtype=np.int64), np.empty((count, dim), dtype=np.float32), 0
        for some, own in stream_vectors(con, encoder_id, encoder, space, ids):
            found[end : end + len(some)], vectors[end : end + len(some)] = some, own
            end += len(some)
        found, vectors = found[:end], vectors[:end]
    if (found[1:] <= found[:-1]).any():  # they were written by rising id, but a catalog need not stay as it was written
        order = np.argsort(found, kind="stable")
        found, vectors = found[order], vectors[order]
    return found, vectors


def stream_vectors(
    con: Connection, encoder_id: int, encoder: EncoderId, space: Space, ids: Ids | None = None
) -> Iterator[tuple[Ids, Vectors]]:
    """Yield what `load_vectors` returns in parts of up to `READ_ROWS` rows, as they lie in the catalog.

    They rise but for what was repaired there. Run nothing else on the connection before the last one.
    """
    dim = encoder.dim if space is Space.JOINT else encoder.vision_dim
    wanted = ids if ids is None or (ids[1:] > ids[:-1]).all() else np.unique(ids)
    if wanted is not None and len(wanted) == 0:
        return
    with _source(con, encoder_id, wanted) as source:
        for part in con.batches(f"SELECT image_id, {space.value} AS vector FROM {source}", rows=READ_ROWS):
            found, vectors = to_numpy(part.column("image_id")), vectors_from_arrow(part.column("vector"), dim)
            if wanted is not None:
                kept = wanted[np.searchsorted(wanted[:-1], found)] == found
                if not kept.all():
                    found, vectors = found[kept], vectors[kept]
            yield found, vectors


@contextmanager
def _source(con: Connection, encoder_id: int, ids: Ids | None) -> Iterator[str]:
    """Give what stands after FROM for all rows that have these ids, and perhaps some more."""
    if ids is None or len(ids) == 0:
        yield vectors_table(encoder_id)
        return
    # Rows lie by rising id, so DuckDB reads of a range only what is in it.
    low, high = int(ids.min()), int(ids.max())
    condition = f"image_id BETWEEN {low} AND {high}"
    with ExitStack() as held:
        if high - low >= SPARSE * len(ids):
            held.enter_context(con.holding("wanted", {"image_id": ids}))
            condition += " AND image_id IN (SELECT image_id FROM wanted)"
        if (parts := con.vector_parts.get(encoder_id)) is None:
            yield f"{vectors_table(encoder_id)} WHERE {condition}"
        else:  # in a condition on the view DuckDB would look at it only after reading every vector from its shard
            yield f"({' UNION ALL '.join(f'{part} AND {condition}' for part in parts)})"


def load_in_chunks(
    con: Connection, encoder_id: int, encoder: EncoderId, ids: Ids, rows: int
) -> Iterator[tuple[Ids, Vectors]]:
    """Yield ids (rising) and joint vectors as they are, damaged ones too, at most `rows` at a time."""
    for start in range(0, len(ids), rows):
        yield _load(con, encoder_id, encoder, Space.JOINT, ids[start : start + rows])


TEXTS_AT_ONCE = 256
"""Texts written at a time: their vectors go through Python's numbers, which take eight times the memory."""


def remembered_texts(con: Connection, encoder_id: int, texts: Sequence[str]) -> dict[str, Vectors]:
    """Return the vectors (D,) of those texts that this encoder has met.

    Raises:
        StoreCorrupt: a vector, or a number in one, is missing.
        QueryError: a text has bytes in it that are not UTF-8.
    """
    if not texts:
        return {}
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        wrong = next(text for text in texts if text.encode(errors="ignore") != text.encode(errors="replace"))
        raise QueryError(
            f"{wrong!r} is not text in UTF-8", "set the terminal to UTF-8, or save the file as UTF-8"
        ) from error
    query = f"SELECT text, vector FROM {texts_table(encoder_id)} WHERE text IN (SELECT unnest($texts::VARCHAR[]))"
    found = con.arrays(query, {"texts": list(texts)})
    return dict(zip(found["text"].tolist(), whole(found["vector"]), strict=True))


def remember_texts(con: Connection, encoder_id: int, texts: Sequence[str], vectors: Vectors) -> None:
    """Keep text vectors (N, D) for the next time, leaving out those already kept, and any with NaN or infinity."""
    known = remembered_texts(con, encoder_id, texts)
    new = [i for i, text in enumerate(texts) if text not in known and np.isfinite(vectors[i]).all()]
    for start in range(0, len(new), TEXTS_AT_ONCE):
        some = new[start : start + TEXTS_AT_ONCE]
        con.run(
            f"INSERT INTO {texts_table(encoder_id)} (text, vector) "
            f"SELECT unnest($texts::VARCHAR[]), unnest($vectors::FLOAT[{vectors.shape[1]}][])",
            {"texts": [texts[i] for i in some], "vectors": vectors[some].tolist()},
        )


def forget_texts(con: Connection, encoder_id: int, texts: Sequence[str]) -> None:
    """Forget the vectors of texts, which are encoded again when they are next needed."""
    con.run(f"DELETE FROM {texts_table(encoder_id)} WHERE text IN (SELECT unnest($texts))", {"texts": list(texts)})
