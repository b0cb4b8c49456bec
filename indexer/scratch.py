"""The tables of the scratch database: one place says what each holds and how it is made.

A walk over a source (`inventory`) fills the first ones; comparing it with the catalog (`plan`) makes the others from
them, in this order. All of it is in DuckDB, so that memory does not grow with the source or the catalog.
"""

from __future__ import annotations

import os

import pyarrow as pa

from shotdex.media.sources.address import SEPARATOR
from shotdex.store.types import Reason

from .decoders import KILLED

_TEXTS = ("category", "condition", "split", "metadata")

ARRIVING = {
    # What the walk met that may be an image, in its order; an address may come twice. `given`: the source labels it.
    "found": pa.schema(
        [
            ("position", pa.int64()),
            ("address", pa.string()),
            ("relative", pa.string()),
            ("size_bytes", pa.int64()),
            ("modified_ns", pa.int64()),
            *((name, pa.string()) for name in _TEXTS),
            ("given", pa.bool_()),
        ]
    ),
    # What the walk itself could not use.
    "scan_failures": pa.schema([(name, pa.string()) for name in ("path", "stage", "reason", "detail")]),
    # Folders and archives that could not be entered, and files that could not be looked at.
    "not_entered": pa.schema([("path", pa.string())]),
    # Images that the user leaves out.
    "excluded": pa.schema([("address", pa.string())]),
    # The labels that the user, the source or the layout gives to each step of `ordered`; merged into `candidates`.
    "labelled": pa.schema([("step", pa.int64()), *((name, pa.string()) for name in _TEXTS[:3])]),
    # Images that have turned up again during this run, elsewhere than where they were.
    "taken": pa.schema([("image_id", pa.int64())]),
}
"""The tables that rows are added to, with their columns."""

CONCERNED = "(source = $source OR starts_with(path, $prefix) OR hash(path) IN (FROM elsewhere))"
"""Rows of the catalog that a source may say something about: its own, those at or below its root, and those at other
places that it names, by their hashes."""

COPIES = {
    # Rows of `stored_images`, concerned or of lost sources, with whether this encoder has encoded them.
    "known": f"FROM ({{known}}) WHERE {CONCERNED} OR present AND source IN (SELECT unnest($lost::VARCHAR[]))",
    # The categories of all present images.
    "categories": "SELECT DISTINCT category FROM images WHERE category IS NOT NULL",
    # Which kind each source is.
    "kinds": "SELECT source, kind FROM sources",
    # What failed in earlier runs.
    "failed": f"FROM failures WHERE {CONCERNED}",
}
"""The tables that are copied from the catalog, with the query there. A source costs what it has, not what the catalog
has of others."""

ELSEWHERE = """
    SELECT hash(place) AS place FROM (SELECT address AS place FROM ordered UNION ALL SELECT path FROM scan_failures)
    WHERE NOT starts_with(place, $prefix)
"""
"""The hashes of the places that a scan named and that are not below its source's root: of the entries of lists."""

# A folder or archive that could not be entered hides its images, and a file that could not be looked at itself; that
# does not make them gone.
HIDDEN = "{path} IN (SELECT path FROM not_entered) OR " + " OR ".join(
    f"EXISTS (FROM not_entered h WHERE starts_with({{path}}, h.path || '{separator}'))"
    for separator in dict.fromkeys((os.sep, "/", SEPARATOR))
)

# What this source brought, or, where it is a folder, another folder in it.
OURS = f"""
    {{row}}.source = $source
    OR starts_with({{row}}.path, $below) AND NOT contains({{row}}.path, '{SEPARATOR}')
        AND coalesce(kind, 'folder') = 'folder'
"""

_LABELS = f"struct_pack({', '.join(f'{name} := {name}' for name in _TEXTS)})"

# The walk's images in the order of the work, each address once: what came last counts.
ORDERED = """
    CREATE TABLE ordered AS SELECT row_number() OVER (ORDER BY {order}) - 1 AS step, * EXCLUDE (position)
    FROM (FROM found QUALIFY row_number() OVER (PARTITION BY address ORDER BY position DESC) = 1)
"""

# The same with their labels.
CANDIDATES = """
    CREATE TABLE candidates AS
    SELECT o.* EXCLUDE (category, condition, split), l.category, l.condition, l.split
    FROM ordered o JOIN labelled l USING (step) ORDER BY step
"""

# The newest image that the catalog has at each path.
NEWEST = """
    CREATE TABLE newest AS FROM known QUALIFY row_number() OVER (PARTITION BY path ORDER BY image_id DESC) = 1
"""

# Each candidate next to what the catalog has at its address, and whether that is still so. An image that was gone and
# is back, as one on a disk that was not mounted, is as recorded, too: it is taken up again without being read.
# A label is never erased by silence: it goes only where the same source, or the user in this run, says otherwise.
# What another source has brought stays its own.
COMPARED = f"""
    CREATE TABLE compared AS
    SELECT * EXCLUDE (old), {_LABELS} IS DISTINCT FROM old AS relabelled,
        {", ".join(f"old.{name} AS old_{name}" for name in _TEXTS[:3])}
    FROM (
        SELECT c.* REPLACE ({", ".join(f"coalesce(c.{name}, kept.{name}) AS {name}" for name in _TEXTS)}),
            k.image_id, k.content_sha256, k.encoded, k.present, k.source AS known_source,
            struct_pack({", ".join(f"{name} := k.{name}" for name in _TEXTS)}) AS old,
            coalesce(k.size_bytes = c.size_bytes AND k.modified_ns = c.modified_ns, false) AS same_file,
            coalesce(k.encoded AND same_file, false) AS as_recorded
        FROM candidates c
        LEFT JOIN newest k ON k.path = c.address
        LEFT JOIN newest kept ON kept.path = c.address AND (kept.source <> $source OR NOT c.given AND NOT $explicit)
    )
"""

# What failed before and would fail again.
# Any image is too slow for a machine that is busy or was stopped meanwhile, and any process may be the one that is
# killed where memory is short, so both are tried again.
SETTLED = f"""
    CREATE TABLE settled AS
    SELECT c.step, f.path, f.stage, f.reason, f.detail FROM compared c JOIN failed f ON f.path = c.address
    WHERE f.stage = 'decode' AND f.decoder = $decoder AND f.reason <> '{Reason.TOO_SLOW.value}'
        AND f.detail <> '{KILLED}' AND NOT c.as_recorded
        AND NOT coalesce(c.present, false) AND f.size_bytes = c.size_bytes AND f.modified_ns = c.modified_ns
    ORDER BY c.step
"""

# What has to be read.
WORK = """
    CREATE TABLE work AS
    SELECT * EXCLUDE (step), row_number() OVER (ORDER BY step) - 1 AS step
    FROM compared WHERE NOT as_recorded AND step NOT IN (SELECT step FROM settled)
"""

# Gone: present images of this source that the scan did not meet; also those that another folder brought, where this
# folder holds them; older rows of a path that has a newer one; and what a list names that is not there.
VANISHED = f"""
    CREATE TABLE vanished AS SELECT k.* FROM known k LEFT JOIN kinds USING (source) WHERE
    k.present AND k.image_id NOT IN (SELECT image_id FROM compared WHERE image_id IS NOT NULL) AND (
        k.path IN (SELECT address FROM candidates)
        OR k.path IN (SELECT path FROM scan_failures WHERE starts_with(detail, 'no such file'))
        OR $complete AND NOT ({HIDDEN.format(path="k.path")}) AND ({OURS.format(row="k")})
    )
"""

# Present images of sources that are not there at all any more: they may have been renamed.
LOST = """
    CREATE TABLE lost AS SELECT k.* FROM known k WHERE k.present
        AND k.source IN (SELECT unnest($lost::VARCHAR[])) AND k.image_id NOT IN (SELECT image_id FROM vanished)
        AND k.image_id NOT IN (SELECT image_id FROM compared WHERE image_id IS NOT NULL)
"""

# What the scan could not use and the catalog does not have like that.
NEW_FAILURES = """
    CREATE TABLE new_failures AS SELECT path, stage, reason, detail FROM scan_failures r
    WHERE NOT EXISTS (FROM failed f WHERE f.path = r.path AND f.reason = r.reason AND f.detail = r.detail)
"""

# What failed once and is not at the source any more, or is there as it is on record.
PAST_FAILURES = f"""
    CREATE TABLE past_failures AS
    SELECT f.path FROM failed f LEFT JOIN kinds USING (source) LEFT JOIN compared c ON c.address = f.path
    WHERE c.as_recorded AND f.stage IN ('scan', 'read')
        OR c.address IS NULL AND $complete AND ({OURS.format(row="f")})
        AND NOT EXISTS (FROM scan_failures r WHERE r.path = f.path) AND NOT ({HIDDEN.format(path="f.path")})
"""

COUNTS = """
    SELECT (SELECT count(*) FROM work), (SELECT count(*) FROM work WHERE image_id IS NULL),
        (SELECT count(*) FROM work WHERE present AND same_file), count(*) FILTER (as_recorded),
        count(*) FILTER (category IS NULL), (SELECT count(*) FROM settled), (SELECT count(*) FROM vanished),
        count(*) FILTER (as_recorded AND relabelled), count(*) FILTER (as_recorded AND NOT present),
        (SELECT count(*) FROM new_failures), count(DISTINCT category)
    FROM compared
"""
"""What there is to do, in numbers: the counts of a `Plan`, in their order."""
