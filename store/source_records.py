"""What the catalog remembers of each source: how its images were labelled, so that the next time needs no options."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .connection import Connection, now
from .file_names import stored
from .images import Labels
from .types import LeftOut


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One source and the options that label its images. `layout` is the pattern as typed, None where none was given.

    `columns` maps a role (image, category, condition, split) to the name of a manifest's column. `reading` has
    the further options that say how the source is read: labels_as_written, all_folders, zip_names.
    """

    source: str
    kind: str
    layout: str | None = None
    categories: tuple[str, ...] = ()
    fixed: Labels = field(default_factory=Labels)
    columns: Mapping[str, str] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)

    def is_labelled(self) -> bool:
        """Tell whether any option says how to label."""
        return bool(self.layout or self.categories or self.columns) or self.fixed != Labels()


def source_record(con: Connection, source: str) -> SourceRecord | None:
    """Return what is known of a source, or None where it was never indexed."""
    rows = con.rows(
        "SELECT source, kind, layout, categories, category, condition, split, columns, reading FROM sources "
        "WHERE source = $source",
        {"source": stored(source)},
    )
    if not rows:
        return None
    name, kind, layout, categories, *labels, columns, reading = rows[0]
    fixed = Labels(*labels)
    known = (json.loads(columns or "{}"), json.loads(reading or "{}"))
    return SourceRecord(name, kind, layout, tuple(categories or ()), fixed, *known)


def record_source(con: Connection, record: SourceRecord) -> None:
    """Take the place of what was known of a source."""
    con.run("DELETE FROM sources WHERE source = $source", {"source": record.source})
    con.run(
        "INSERT INTO sources VALUES ($source, $kind, $layout, $categories, $category, $condition, $split, $columns, "
        "$added_at, $reading)",
        {
            "source": record.source,
            "kind": record.kind,
            "layout": record.layout,
            "categories": list(record.categories),
            "category": record.fixed.category,
            "condition": record.fixed.condition,
            "split": record.fixed.split,
            "columns": json.dumps(dict(record.columns), sort_keys=True),
            "added_at": now(),
            "reading": json.dumps(dict(record.reading), sort_keys=True),
        },
    )


def left_out(con: Connection, source: str | None = None) -> list[LeftOut]:
    """Return what the last indexing of a source, or of each where it is None, left out."""
    rows = con.rows(
        "SELECT kind, count, paths, extensions FROM left_out WHERE coalesce(source = $source, $source IS NULL) "
        "ORDER BY source, position",
        {"source": source},
    )
    return [LeftOut(kind, count, paths, json.loads(extensions)) for kind, count, paths, extensions in rows]


def record_left_out(con: Connection, source: str, found: Sequence[LeftOut]) -> None:
    """Take the place of what was known to be left out of a source."""
    con.run("DELETE FROM left_out WHERE source = $source", {"source": source})
    for position, left in enumerate(found):
        values = {
            "source": source,
            "position": position,
            "kind": left.kind,
            "count": left.count,
            "paths": left.paths,
            "extensions": json.dumps(left.extensions),
        }
        con.run("INSERT INTO left_out VALUES ($source, $position, $kind, $count, $paths, $extensions)", values)
