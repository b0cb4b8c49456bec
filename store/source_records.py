"""What the catalog remembers of each source: how its images were labelled, so that the next time needs no options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from .connection import Connection, now
from .images import Labels


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One source and the options that label its images. `layout` is the pattern as typed, None where none was given.

    `columns` maps a role (image, category, condition, split) to the name of a manifest's column.
    """

    source: str
    kind: str
    layout: str | None = None
    categories: tuple[str, ...] = ()
    fixed: Labels = field(default_factory=Labels)
    columns: Mapping[str, str] = field(default_factory=dict)

    def is_labelled(self) -> bool:
        """Tell whether any option says how to label."""
        return bool(self.layout or self.categories or self.columns) or self.fixed != Labels()


def source_record(con: Connection, source: str) -> SourceRecord | None:
    """Return what is known of a source, or None where it was never indexed."""
    try:
        source.encode()
    except UnicodeEncodeError:  # a path that is not UTF-8: such a one is never indexed
        return None
    rows = con.rows(
        "SELECT source, kind, layout, categories, category, condition, split, columns FROM sources "
        "WHERE source = $source",
        {"source": source},
    )
    if not rows:
        return None
    name, kind, layout, categories, *labels, columns = rows[0]
    return SourceRecord(name, kind, layout, tuple(categories or ()), Labels(*labels), json.loads(columns or "{}"))


def record_source(con: Connection, record: SourceRecord) -> None:
    """Take the place of what was known of a source."""
    con.run("DELETE FROM sources WHERE source = $source", {"source": record.source})
    con.run(
        "INSERT INTO sources VALUES ($source, $kind, $layout, $categories, $category, $condition, $split, $columns, "
        "$added_at)",
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
        },
    )
