"""Vectors of texts in the catalog, so that a text searched again, or a prompt set run again, needs no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .arrow import whole
from .connection import Connection
from .errors import QueryError
from .schema import texts_table
from .types import Vectors

AT_ONCE = 256
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
    for start in range(0, len(new), AT_ONCE):
        some = new[start : start + AT_ONCE]
        con.run(
            f"INSERT INTO {texts_table(encoder_id)} (text, vector) "
            f"SELECT unnest($texts::VARCHAR[]), unnest($vectors::FLOAT[{vectors.shape[1]}][])",
            {"texts": [texts[i] for i in some], "vectors": vectors[some].tolist()},
        )


def forget_texts(con: Connection, encoder_id: int, texts: Sequence[str]) -> None:
    """Forget the vectors of texts, which are encoded again when they are next needed."""
    con.run(f"DELETE FROM {texts_table(encoder_id)} WHERE text IN (SELECT unnest($texts))", {"texts": list(texts)})
