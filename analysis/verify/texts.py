"""Remembered text vectors: one a text, finite, of length 1."""

from __future__ import annotations

from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.schema import texts_table
from shotdex.store.words import EncoderId

from .check import REPAIR, Check, Fault, verdict
from .vectors import UNIT, length


def unusable_text(encoder: EncoderId) -> str:
    """Return the SQL condition for a remembered text whose vector is not finite or not of length 1, or without text."""
    return f"NOT coalesce(abs({length('vector', encoder.dim)} - 1) <= {UNIT} AND text IS NOT NULL, false)"


def text_vectors(con: Connection) -> list[Check]:
    """Check for every encoder the vectors of the texts that it has met."""
    return [_texts(con, number, encoder) for number, encoder in list_encoders(con).items()]


def _texts(con: Connection, number: int, encoder: EncoderId) -> Check:
    rows, twice, broken = con.rows(
        f"SELECT count(*), count(text) - count(DISTINCT text), count(*) FILTER ({unusable_text(encoder)}) "
        f"FROM {texts_table(number)}"
    )[0]
    return verdict(
        f"texts of encoder {number}",
        f"{rows:,} remembered, each once; vectors finite, of length 1 within {UNIT:g}, {encoder.dim} numbers long",
        [
            Fault("texts remembered more than once", twice, REPAIR),
            Fault(f"texts whose vector is not finite, or not of length 1 within {UNIT:g}", broken, REPAIR),
        ],
    )
