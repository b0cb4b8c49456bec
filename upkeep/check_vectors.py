"""Image vectors: one row an image, finite numbers, joint rows of length 1, and copies of an image alike."""

from __future__ import annotations

from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.schema import vectors_table
from shotdex.store.types import EncoderId

from .check import REPAIR, Check, Fault, verdict

UNIT = 1e-5
"""How far a joint row's length may be from 1. Rounding to float32 leaves less than 1e-6."""

DOUBTFUL = (
    "shotdex verify --repair takes them away where the image is still there, so that shotdex index encodes it again; "
    "where it is gone (shotdex verify --files), bring it back first"
)


def length(vector: str, dim: int) -> str:
    """Return the SQL for a vector's length; NULL where a number is missing, not finite where one is NaN or too large.

    The inner product refuses vectors with a NULL inside, and only CASE keeps those away from it.
    """
    return f"CASE WHEN list_count({vector}::FLOAT[]) = {dim} THEN sqrt(array_inner_product({vector}, {vector})) END"


def unusable(encoder: EncoderId) -> str:
    """Return the SQL condition for a row of vectors that holds a NULL, NaN, infinity, or numbers too large to use."""
    finite = [
        f"isfinite({length(name, dim)})" for name, dim in (("joint", encoder.dim), ("vision", encoder.vision_dim))
    ]
    return f"(NOT coalesce({' AND '.join(finite)}, false))"


def not_unit(encoder: EncoderId) -> str:
    """Return the SQL condition for a joint row that is finite and not of length 1."""
    joint = length("joint", encoder.dim)
    return f"coalesce(isfinite({joint}) AND abs({joint} - 1) > {UNIT}, false)"


def unlike(number: int, encoder: EncoderId) -> str:
    """Return the query for the contents whose copies have different vectors: every copy was given the first one's.

    Rows that are wrong by themselves are left out.
    """
    return (
        f"SELECT content_sha256 FROM stored_images JOIN {vectors_table(number)} v USING (image_id) "
        f"WHERE NOT {unusable(encoder)} AND NOT {not_unit(encoder)} "
        "GROUP BY content_sha256 HAVING min(hash(v.joint)) <> max(hash(v.joint)) "
        "OR min(hash(v.vision)) <> max(hash(v.vision))"
    )


def vector_rows(con: Connection) -> list[Check]:
    """Check for every encoder that an image has one row of vectors at most, and that the catalog knows the image."""
    return [_rows(con, number, encoder) for number, encoder in list_encoders(con).items()]


def _rows(con: Connection, number: int, encoder: EncoderId) -> Check:
    table = vectors_table(number)
    rows, twice = con.rows(f"SELECT count(*), count(image_id) - count(DISTINCT image_id) FROM {table}")[0]
    # NULL is in no table, so rows without an id count as unknown.
    unknown = int(con.value(f"SELECT count(*) FROM {table} ANTI JOIN stored_images USING (image_id)"))
    return verdict(
        f"vectors of encoder {number}",
        f"{rows:,} rows, one an image, of known images, {encoder.dim} and {encoder.vision_dim} numbers long",
        [
            Fault("rows of an image that has another", twice, REPAIR),
            Fault("rows of images that the catalog does not know", unknown, REPAIR),
        ],
    )


def vector_values(con: Connection) -> list[Check]:
    """Check for every encoder that vectors can be used: finite, and joint ones of length 1."""
    return [_values(con, number, encoder) for number, encoder in list_encoders(con).items()]


def _values(con: Connection, number: int, encoder: EncoderId) -> Check:
    broken, long = con.rows(
        f"SELECT count(*) FILTER ({unusable(encoder)}), count(*) FILTER ({not_unit(encoder)}) "
        f"FROM {vectors_table(number)}"
    )[0]
    return verdict(
        f"numbers of encoder {number}",
        f"all finite; joint rows of length 1 within {UNIT:g}",
        [
            Fault("rows with NaN, infinity, or numbers missing or too large", broken, REPAIR),
            Fault(f"joint rows whose length is not 1 within {UNIT:g}", long, DOUBTFUL),
        ],
    )


def copies(con: Connection) -> list[Check]:
    """Check for every encoder that images with the same content have the same vectors."""
    return [_copies(con, number, encoder) for number, encoder in list_encoders(con).items()]


def _copies(con: Connection, number: int, encoder: EncoderId) -> Check:
    several, differing = con.rows(
        f"SELECT (SELECT count(*) FROM (SELECT content_sha256 FROM stored_images SEMI JOIN {vectors_table(number)} "
        f"USING (image_id) GROUP BY ALL HAVING count(*) > 1)), (SELECT count(*) FROM ({unlike(number, encoder)}))"
    )[0]
    return verdict(
        f"copies in encoder {number}",
        f"{several:,} contents are there more than once, with the same vectors each time",
        [Fault("contents whose copies have different vectors", differing, DOUBTFUL)],
    )
