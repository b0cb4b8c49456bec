"""Rows about images: what is known already, what arrives, what moved or went."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from unicodedata import normalize

from .connection import Connection, now
from .ids import renew_images_generation
from .schema import vectors_table


@dataclass(frozen=True, slots=True)
class Labels:
    """What a source says about an image; None where it says nothing."""

    category: str | None = None
    condition: str | None = None
    split: str | None = None

    def one_form(self) -> Labels:
        """Return them with accents in one form, as the catalog keeps all labels."""
        return Labels(*(label and one_form(label) for label in (self.category, self.condition, self.split)))


def one_form(text: str) -> str:
    """Return a text in Unicode's composed form (NFC), as keyboards write it; macOS writes accents as characters."""
    return text if text.isascii() else normalize("NFC", text)


def known_query(encoder_id: int | None) -> str:
    """Return the query for every row of `stored_images` with whether `encoder_id` has encoded it (None: never)."""
    encoded = f"image_id IN (SELECT image_id FROM {vectors_table(encoder_id)})" if encoder_id is not None else "false"
    return (
        "SELECT path, image_id, size_bytes, modified_ns, content_sha256, category, condition, split, source, "
        f"{encoded} AS encoded, removed_at IS NULL AS present, metadata::VARCHAR AS metadata FROM stored_images"
    )


NEXT_ID = "next_image_id"
"""The key in `meta` of an image id that no image ever had, nor any above it."""


def next_image_id(con: Connection) -> int:
    """Return the id after the highest ever given; ids start at 1 and are never used twice."""
    # The rows of the highest may have been pruned since.
    return int(
        con.value(
            "SELECT greatest((SELECT coalesce(max(image_id), 0) + 1 FROM stored_images), "
            "(SELECT max(TRY_CAST(value AS BIGINT)) FROM meta WHERE key = $key))",
            {"key": NEXT_ID},
        )
    )


def remember_next_id(con: Connection) -> None:
    """Keep, in a transaction that takes images out, the id after the highest ever given."""
    known = next_image_id(con)
    con.run("DELETE FROM meta WHERE key = $key", {"key": NEXT_ID})
    con.run("INSERT INTO meta VALUES ($key, $value)", {"key": NEXT_ID, "value": str(known)})


def unlabelled(con: Connection, limit: int, source: str | None = None) -> tuple[int, tuple[str, ...]]:
    """Return how many present images (of a source, of all where None) have no category, and the paths of the first."""
    where = "FROM images WHERE category IS NULL AND coalesce(source = $source, $source IS NULL)"
    count = int(con.value(f"SELECT count(*) {where}", {"source": source}))
    rows = con.rows(f"SELECT path {where} ORDER BY image_id LIMIT {limit}", {"source": source}) if count else []
    return count, tuple(row[0] for row in rows)


def mark_removed(con: Connection, image_ids: Collection[int]) -> None:
    """Take images out of `images` and of every answer; their rows, vectors and predictions stay."""
    if image_ids:
        con.run(
            "UPDATE stored_images SET removed_at = $now WHERE image_id IN (SELECT unnest($ids))",
            {"now": now(), "ids": sorted(image_ids)},
        )
        renew_images_generation(con)


PRIVATE = ("latitude", "longitude")
"""Columns of `images` that say where somebody was: exports leave them out, and GPS tags elsewhere, unless asked."""


def clear_failures(con: Connection, paths: Sequence[str]) -> None:
    """Forget the failures of these paths: the files are gone, or were indexed after all."""
    if paths:
        con.run("DELETE FROM failures WHERE path IN (SELECT unnest($paths))", {"paths": list(paths)})
