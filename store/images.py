"""Rows about images: what is known already, what arrives, what moved or went."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from .connection import Connection, now
from .ids import renew_images_generation
from .schema import vectors_table
from .types import Failure, ImageRecord


@dataclass(frozen=True, slots=True)
class Labels:
    """What a source says about an image; None where it says nothing."""

    category: str | None = None
    condition: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class KnownImage:
    """What the catalog remembers of the image at one address, enough to tell what has become of it.

    `same_file`: its size and time are as they were when it was read.
    """

    image_id: int
    content_sha256: str
    encoded: bool
    present: bool
    same_file: bool = False


def known_query(encoder_id: int | None) -> str:
    """Return the query for every row of `stored_images` with whether `encoder_id` has encoded it (None: never)."""
    encoded = f"image_id IN (SELECT image_id FROM {vectors_table(encoder_id)})" if encoder_id is not None else "false"
    return (
        "SELECT path, image_id, size_bytes, modified_ns, content_sha256, category, condition, split, source, "
        f"{encoded} AS encoded, removed_at IS NULL AS present, metadata::VARCHAR AS metadata FROM stored_images"
    )


def next_image_id(con: Connection) -> int:
    """Return the id after the highest ever given; ids start at 1 and are never used twice."""
    # The rows of the highest may have been pruned since.
    return int(
        con.value(
            "SELECT greatest((SELECT coalesce(max(image_id), 0) + 1 FROM stored_images), "
            "(SELECT max(TRY_CAST(value AS BIGINT)) FROM meta WHERE key = 'next_image_id'))"
        )
    )


def add_images(con: Connection, records: Sequence[ImageRecord]) -> None:
    """Add images."""
    if records:
        table = pa.table({name: [getattr(record, name) for record in records] for name in _IMAGES.names}, _IMAGES)
        con.append("stored_images", table.append_column("added_at", _times(len(records))))
        renew_images_generation(con)


def _times(rows: int) -> pa.Array:
    return pa.array([now()] * rows, pa.timestamp("us"))


_IMAGES = pa.schema(
    [
        ("image_id", pa.int64()),
        *((name, pa.string()) for name in ("path", "source", "category", "condition", "split", "content_sha256")),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("size_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        ("metadata", pa.string()),
    ]
)


def count_unlabelled(con: Connection, source: str) -> int:
    """Return how many present images of a source have no category."""
    query = "SELECT count(*) FROM images WHERE source = $source AND category IS NULL"
    return int(con.value(query, {"source": source}))


def mark_removed(con: Connection, image_ids: Collection[int]) -> None:
    """Take images out of `images` and of every answer; their rows, vectors and predictions stay."""
    if image_ids:
        con.run(
            "UPDATE stored_images SET removed_at = $now WHERE image_id IN (SELECT unnest($ids))",
            {"now": now(), "ids": sorted(image_ids)},
        )
        renew_images_generation(con)


@dataclass(frozen=True, slots=True)
class NewPlace:
    """Where an image whose content is known is now, and what its source says about it."""

    path: str
    source: str
    size_bytes: int
    modified_ns: int
    labels: Labels
    metadata: str | None = None


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


def move_images(con: Connection, places: Mapping[int, NewPlace]) -> None:
    """Give known images (image_id -> place) their present path, times and labels, and bring removed ones back."""
    rows = [
        (image_id, p.path, p.source, p.size_bytes, p.modified_ns, *_values(p.labels), p.metadata)
        for image_id, p in places.items()
    ]
    if rows:
        columns = dict(zip(PLACES.names, map(list, zip(*rows, strict=True)), strict=True))
        move_table(con, pa.table(columns, PLACES))


def move_table(con: Connection, places: pa.Table) -> None:
    """Do what `move_images` does for the rows of a table with the columns of `PLACES`."""
    settings = ", ".join(f"{name} = places.{name}" for name in PLACES.names if name != "image_id")
    with con.holding("places", places):
        con.run(
            f"UPDATE stored_images SET {settings}, removed_at = NULL FROM places "
            "WHERE stored_images.image_id = places.image_id"
        )
    renew_images_generation(con)


def _values(labels: Labels) -> tuple[str | None, str | None, str | None]:
    return labels.category, labels.condition, labels.split


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """A failure with what is needed to see later whether the file changed, and whether to try it again.

    `decoder` describes what tried to decode it, with its limits: the same file need not be tried by the same again.
    """

    failure: Failure
    source: str
    size_bytes: int
    modified_ns: int
    decoder: str = ""


def add_failures(con: Connection, failures: Sequence[FailureRecord]) -> None:
    """Record failures; a path has at most one row, its newest."""
    newest = list({failure.failure.path: failure for failure in failures}.values())
    if not newest:
        return
    table = pa.table(
        {
            "path": [f.failure.path for f in newest],
            "source": [f.source for f in newest],
            "stage": [f.failure.stage for f in newest],
            "reason": [f.failure.reason.value for f in newest],
            "detail": [f.failure.detail for f in newest],
            "size_bytes": pa.array([f.size_bytes for f in newest], pa.int64()),
            "modified_ns": pa.array([f.modified_ns for f in newest], pa.int64()),
            "failed_at": _times(len(newest)),
            "decoder": [f.decoder for f in newest],
        }
    )
    clear_failures(con, table.column("path").to_pylist())
    con.append("failures", table)


def clear_failures(con: Connection, paths: Sequence[str]) -> None:
    """Forget the failures of these paths: the files are gone, or were indexed after all."""
    if paths:
        con.run("DELETE FROM failures WHERE path IN (SELECT unnest($paths))", {"paths": list(paths)})
