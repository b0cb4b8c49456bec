"""Rows of `stored_images` that arrive as Arrow columns: what cameras wrote, and where images are now."""

from __future__ import annotations

import pyarrow as pa

from .connection import Connection
from .ids import renew_images_generation
from .runs import recount, runs_of_relabelled

PHOTO = pa.schema(
    [
        ("taken_at", pa.timestamp("us")),
        ("camera", pa.string()),
        ("lens", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
        ("exif", pa.string()),
    ]
)
"""What a camera wrote into a file, the fields of a `Photo`; all are null where the file has not been looked at."""

PLACES = pa.schema(
    [
        ("image_id", pa.int64()),
        ("path", pa.string()),
        ("source", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        *((name, pa.string()) for name in ("category", "condition", "split", "metadata")),
    ]
)


def move_table(con: Connection, places: pa.Table) -> None:
    """Give images their present path, times, labels and metadata, and bring removed ones back.

    `places` is a table with the columns of `PLACES`.
    """
    settings = ", ".join(f"{name} = places.{name}" for name in PLACES.names if name != "image_id")
    with con.holding("places", places):
        counted = runs_of_relabelled(con, "places")
        con.run(
            f"UPDATE stored_images SET {settings}, removed_at = NULL FROM places "
            "WHERE stored_images.image_id = places.image_id"
        )
    recount(con, counted)
    renew_images_generation(con)


def photo_table(con: Connection, photos: pa.Table) -> int:
    """Give images what was read from their files again, a table with `image_id` and the columns of `PHOTO`.

    Return of how many images that says something else than before; the others are not written.
    """
    settings = ", ".join(f"{name} = p.{name}" for name in PHOTO.names)
    other = " OR ".join(f"s.{name}::VARCHAR IS DISTINCT FROM p.{name}::VARCHAR" for name in PHOTO.names)
    with con.holding("photos", photos):
        con.run(
            f"CREATE TEMP TABLE others AS SELECT p.* FROM photos p JOIN stored_images s USING (image_id) WHERE {other}"
        )
        changed = int(con.value("SELECT count(*) FROM others"))
        con.run(f"UPDATE stored_images SET {settings} FROM others p WHERE stored_images.image_id = p.image_id")
        con.run("DROP TABLE others")
    if changed:
        renew_images_generation(con)
    return changed
