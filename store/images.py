"""Rows about pictures: what is known already, what arrives, what moved or went."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from .connection import Connection
from .schema import vectors_table
from .words import ImageRecord, Rejection


@dataclass(frozen=True, slots=True)
class Labels:
    """What a source says about a picture; None where it says nothing."""

    category: str | None = None
    condition: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class KnownImage:
    """What the catalog remembers of one file, enough to tell whether it changed."""

    image_id: int
    path: str
    size_bytes: int
    modified_ns: int
    content_sha256: str
    labels: Labels
    source: str
    encoded: bool
    present: bool


def now() -> datetime:
    """Return the time in UTC without a zone, the form of the catalog's TIMESTAMP columns."""
    return datetime.now(UTC).replace(tzinfo=None)


def known_images(con: Connection, encoder_id: int | None) -> dict[str, KnownImage]:
    """Return every picture by path, with whether `encoder_id` has encoded it (False for all where it is None).

    A path that came back after it was removed is listed once, as its newest row.
    """
    encoded = f"image_id IN (SELECT image_id FROM {vectors_table(encoder_id)})" if encoder_id is not None else "false"
    rows = con.rows(
        f"SELECT path, image_id, size_bytes, modified_ns, content_sha256, category, condition, split, source, "
        f"{encoded}, removed_at IS NULL FROM stored_images ORDER BY image_id"
    )
    return {row[0]: KnownImage(row[1], row[0], row[2], row[3], row[4], Labels(*row[5:8]), *row[8:11]) for row in rows}


def next_image_id(con: Connection) -> int:
    """Return the id after the highest ever given; ids start at 1 and are never used twice."""
    return int(con.value("SELECT coalesce(max(image_id), 0) + 1 FROM stored_images"))


def add_images(con: Connection, records: Sequence[ImageRecord]) -> None:
    """Add pictures."""
    if not records:
        return
    columns = ImageRecord.__dataclass_fields__
    table = pa.table({name: [getattr(record, name) for record in records] for name in columns}, schema=_IMAGES)
    added_at = pa.array([now()] * len(records), pa.timestamp("us"))
    con.append("stored_images", table.append_column("added_at", added_at))


_IMAGES = pa.schema(
    [
        ("image_id", pa.int64()),
        *((name, pa.string()) for name in ("path", "source", "category", "condition", "split", "content_sha256")),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("size_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
    ]
)


def mark_removed(con: Connection, image_ids: Collection[int]) -> None:
    """Take pictures out of `images` and of every answer; their rows, vectors and predictions stay."""
    if image_ids:
        con.run(
            "UPDATE stored_images SET removed_at = $now WHERE image_id IN (SELECT unnest($ids))",
            {"now": now(), "ids": sorted(image_ids)},
        )


@dataclass(frozen=True, slots=True)
class NewPlace:
    """Where a picture whose content is known is now."""

    path: str
    source: str
    size_bytes: int
    modified_ns: int
    labels: Labels


def move_images(con: Connection, places: Mapping[int, NewPlace]) -> None:
    """Give known pictures (image_id -> place) their present path, times and labels, and bring removed ones back."""
    for image_id, place in places.items():
        con.run(
            "UPDATE stored_images SET path = $path, source = $source, size_bytes = $size, modified_ns = $modified, "
            "category = $category, condition = $condition, split = $split, removed_at = NULL WHERE image_id = $id",
            {
                "id": image_id,
                "path": place.path,
                "source": place.source,
                "size": place.size_bytes,
                "modified": place.modified_ns,
                "category": place.labels.category,
                "condition": place.labels.condition,
                "split": place.labels.split,
            },
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A rejection with what is needed to see later whether the file changed."""

    rejection: Rejection
    source: str
    size_bytes: int
    modified_ns: int


def add_failures(con: Connection, failures: Sequence[Failure]) -> None:
    """Record failures; a path has at most one row, its newest."""
    if not failures:
        return
    table = pa.table(
        {
            "path": [f.rejection.path for f in failures],
            "source": [f.source for f in failures],
            "stage": [f.rejection.stage for f in failures],
            "reason": [f.rejection.reason.value for f in failures],
            "detail": [f.rejection.detail for f in failures],
            "size_bytes": pa.array([f.size_bytes for f in failures], pa.int64()),
            "modified_ns": pa.array([f.modified_ns for f in failures], pa.int64()),
            "failed_at": pa.array([now()] * len(failures), pa.timestamp("us")),
        }
    )
    clear_failures(con, table.column("path").to_pylist())
    con.append("failures", table)


def clear_failures(con: Connection, paths: Sequence[str]) -> None:
    """Forget the failures of these paths: the files are gone, or were indexed after all."""
    if paths:
        con.run("DELETE FROM failures WHERE path IN (SELECT unnest($paths))", {"paths": list(paths)})


def failed_paths(con: Connection, source: str) -> set[str]:
    """Return the paths of a source that have a failure on record."""
    return {row[0] for row in con.rows("SELECT path FROM failures WHERE source = $source", {"source": source})}
