"""Rows about images: every image has an id and a path of its own, and vectors that answer for it."""

from __future__ import annotations

from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.schema import vectors_table

from .check import LOST, REPAIR, Check, Fault, index_again, sources_of, verdict

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
                Fault("rows with an id that another has", twice, LOST),
                Fault("rows without an id from 1", bad_ids, LOST),
                Fault("rows without a path", no_path, LOST),
                Fault("rows without a SHA-256 of their content", bad_hash, LOST),
                Fault("present rows whose path has a newer one", older, REPAIR),
            ],
        )
    ]


def failures(con: Connection) -> list[Check]:
    """Check that a path failed once at most, as its newest try."""
    rows, twice = con.rows("SELECT count(*), count(*) - count(DISTINCT path) FROM failures")[0]
    again = [row[0] for row in con.rows("SELECT source FROM failures GROUP BY source ORDER BY count(*) DESC, source")]
    holds = f"{rows:,}, at most one a path"
    return [verdict("failures", holds, [Fault("rows whose path has another", twice, index_again(again))])]


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
