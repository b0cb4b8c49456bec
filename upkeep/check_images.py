"""Images and their vectors: ids and paths of their own, one row of finite numbers each, copies of an image alike."""

from __future__ import annotations

from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.schema import short_hash, vectors_table
from shotdex.store.types import EncoderId

from .check import LOST, REPAIR, Check, Fault, index_again, of_each_encoder, sources_of, verdict

PRESENT = "(SELECT * FROM stored_images WHERE removed_at IS NULL)"
"""The present images, also where the view `images` is not as it should be."""

OLDER_ROWS = f"""
    SELECT image_id FROM {PRESENT}
    QUALIFY row_number() OVER (PARTITION BY path ORDER BY image_id DESC) > 1
"""
"""Present rows whose path has a newer present row. Indexing goes by the newest, so it would never look at them again.
"""


def images(con: Connection) -> list[Check]:
    """Check ids, paths and content hashes."""
    rows, present, twice, bad_ids, no_path, bad_hash = con.rows(
        "SELECT count(*), count(*) FILTER (removed_at IS NULL), count(image_id) - count(DISTINCT image_id), "
        "count(*) FILTER (coalesce(image_id, 0) < 1), count(*) FILTER (coalesce(path, '') = ''), "
        "count(*) FILTER (NOT regexp_full_match(coalesce(content_sha256, ''), '[0-9a-f]{64}')) FROM stored_images"
    )[0]
    older = int(con.value(f"SELECT count(*) FROM ({OLDER_ROWS})"))
    return [
        verdict(
            "images",
            f"{present:,} present, {rows - present:,} removed; ids unique and from 1, paths of present ones unique",
            [
                Fault("rows with duplicate ids", twice, LOST),
                Fault("rows without a valid id", bad_ids, LOST),
                Fault("rows without a path", no_path, LOST),
                Fault("rows without a SHA-256 of their content", bad_hash, LOST),
                Fault("present rows with a newer row for the same path", older, REPAIR),
            ],
        )
    ]


def failures(con: Connection) -> list[Check]:
    """Check that a path failed once at most, as its newest try."""
    rows, twice = con.rows("SELECT count(*), count(*) - count(DISTINCT path) FROM failures")[0]
    again = [row[0] for row in con.rows("SELECT source FROM failures GROUP BY source ORDER BY count(*) DESC, source")]
    holds = f"{rows:,}, at most one per path"
    return [verdict("failures", holds, [Fault("rows with duplicate paths", twice, index_again(again))])]


def coverage(con: Connection) -> list[Check]:
    """Check that every present image can be found: that at least one encoder has vectors of it."""
    encoders = list_encoders(con)
    present = int(con.value(f"SELECT count(*) FROM {PRESENT}"))
    lacking = {
        number: int(con.value(f"SELECT count(*) FROM {PRESENT} ANTI JOIN {vectors_table(number)} USING (image_id)"))
        for number in encoders
    }
    anti = " ".join(f"ANTI JOIN {vectors_table(number)} USING (image_id)" for number in encoders)
    without = f"SELECT image_id FROM {PRESENT} {anti}"
    unseen = int(con.value(f"SELECT count(*) FROM ({without})"))
    counted = "; ".join(
        f"encoder {number} has all" if not n else f"encoder {number} lacks {n:,}" for number, n in lacking.items()
    )
    # With several encoders `index` asks which; the first has been there longest.
    model = next(iter(encoders.values())).name if len(encoders) > 1 else ""
    hint = index_again(sources_of(con, without), model) if unseen else ""
    holds = f"every one of {present:,} present images has vectors" + (f"; {counted}" if counted else "")
    return [verdict("coverage", holds, [Fault("present images without vectors of any encoder", unseen, hint)])]


UNIT = 1e-5
"""How far a joint row's length may be from 1. Rounding to float32 leaves less than 1e-6."""

DOUBTFUL = (
    "shotdex verify --repair removes them if the image still exists, so that shotdex index encodes it again; if it is "
    "gone (shotdex verify --files), restore it first"
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


_HASH = short_hash("s.content_sha256")
OF_ANOTHER = f"({_HASH} IS NOT NULL AND v.content_hash IS DISTINCT FROM {_HASH})"
"""The SQL condition for a row of vectors `v` that was encoded from another content than its image `s` has."""


@of_each_encoder
def vector_rows(con: Connection, number: int, encoder: EncoderId) -> Check:
    """Check that an image has one row of vectors at most, made of its own content, and that the catalog knows it."""
    table = vectors_table(number)
    rows, twice = con.rows(f"SELECT count(*), count(image_id) - count(DISTINCT image_id) FROM {table}")[0]
    # NULL is in no table, so rows without an id count as unknown.
    unknown = int(con.value(f"SELECT count(*) FROM {table} ANTI JOIN stored_images USING (image_id)"))
    foreign = int(con.value(f"SELECT count(*) FROM {table} v JOIN stored_images s USING (image_id) WHERE {OF_ANOTHER}"))
    return verdict(
        f"vectors of encoder {number}",
        f"{rows:,} rows, one per image, of known images, {encoder.dim} and {encoder.vision_dim} numbers long",
        [
            Fault("duplicate rows of an image", twice, REPAIR),
            Fault("rows of images that are not in the catalog", unknown, REPAIR),
            Fault("rows encoded from content that differs from their image's", foreign, DOUBTFUL),
        ],
    )


@of_each_encoder
def vector_values(con: Connection, number: int, encoder: EncoderId) -> Check:
    """Check that vectors can be used: finite, and joint ones of length 1."""
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


@of_each_encoder
def copies(con: Connection, number: int, encoder: EncoderId) -> Check:
    """Check that images with the same content have the same vectors."""
    several, differing = con.rows(
        f"SELECT (SELECT count(*) FROM (SELECT content_sha256 FROM stored_images SEMI JOIN {vectors_table(number)} "
        f"USING (image_id) GROUP BY ALL HAVING count(*) > 1)), (SELECT count(*) FROM ({unlike(number, encoder)}))"
    )[0]
    return verdict(
        f"copies in encoder {number}",
        f"{several:,} contents occur more than once, always with the same vectors",
        [Fault("contents whose copies have different vectors", differing, DOUBTFUL)],
    )
