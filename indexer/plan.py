"""Comparing a source with the catalog: what is new, changed, unchanged, failed as before, or gone.

All of it in the scan's scratch database, so that memory does not grow with the source or the catalog.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from shotdex.media.sources import Candidate, is_gone
from shotdex.media.sources.address import SEPARATOR
from shotdex.store.connection import Connection
from shotdex.store.images import KnownImage, Labels, known_query
from shotdex.store.types import Failure, Reason

from .contents import ContentTable, Owner
from .decoder_processes import KILLED
from .inventory import Inventory
from .layout import Labelling, Layout

ROWS = 65_536
"""Rows of a table that are in memory at once."""


@dataclass(frozen=True, slots=True)
class Planned:
    """An image that has to be read. `known` is what the catalog has at its address, if anything."""

    candidate: Candidate
    labels: Labels
    metadata: str | None
    known: KnownImage | None

    @property
    def address(self) -> str:
        """Where its bytes are."""
        return self.candidate.address


@dataclass(slots=True)
class Plan:
    """What an indexing has to do; counts in images. Made by `make_plan`.

    `settled` failed before and would again; `unencoded` are as they were, and have no vectors of this encoder yet.
    """

    inventory: Inventory
    source: str
    work: int = 0
    new: int = 0
    unencoded: int = 0
    unchanged: int = 0
    unlabelled: int = 0
    settled: int = 0
    vanished: int = 0
    relabelled: int = 0
    new_failures: int = 0

    def items(self) -> Iterator[Planned]:
        """Yield what has to be read, in the source's order."""
        for rows in self.inventory.chunks("work"):
            yield from map(_planned, rows)

    def examples(self, number: int) -> list[tuple[str, Labels]]:
        """Return the first images' paths within the source with their labels."""
        rows = self.inventory.con.rows(
            f"SELECT relative, category, condition, split FROM candidates ORDER BY step LIMIT {number}"
        )
        return [(row[0], Labels(*row[1:])) for row in rows]

    def settled_failures(self, limit: int) -> list[Failure]:
        """Return those that failed before and would again, the first of each reason first."""
        rows = self.inventory.con.rows(
            "SELECT path, stage, reason, detail FROM settled "
            f"ORDER BY row_number() OVER (PARTITION BY reason ORDER BY step) > 1, step LIMIT {limit}"
        )
        return [Failure(row[0], row[1], Reason(row[2]), row[3]) for row in rows]

    def reasons(self) -> list[tuple[Reason, int]]:
        """Return how often the scan, or an earlier run that would fail again, gave each reason."""
        rows = self.inventory.con.rows(
            "SELECT reason, count(*) FROM (SELECT reason FROM rejections UNION ALL SELECT reason FROM settled) "
            "GROUP BY reason ORDER BY reason"
        )
        return [(Reason(row[0]), row[1]) for row in rows]

    def new_failure_tables(self) -> Iterator[pa.Table]:
        """Yield path, stage, reason and detail of what the scan refused and the catalog does not have like that."""
        yield from self.inventory.con.batches(
            f"SELECT path, stage, reason, detail FROM rejections r WHERE {_NEWS}", rows=ROWS
        )

    def relabelled_places(self) -> Iterator[pa.Table]:
        """Yield tables for `move_table`: images that are as they were, under labels or metadata that are not."""
        yield from self.inventory.con.batches(
            "SELECT image_id, address AS path, known_source AS source, size_bytes, modified_ns, category, condition, "
            "split, metadata FROM compared WHERE as_recorded AND relabelled",
            rows=ROWS,
        )

    def take(self, image_ids: Sequence[int]) -> None:
        """Say that images have been found again, so that they are not gone."""
        if image_ids:
            self.inventory.con.append("taken", pa.table({"image_id": pa.array(image_ids, pa.int64())}))

    def leaves_anything(self) -> bool:
        """Tell whether something is gone, or failed once and is gone, or has other labels now."""
        gone = "SELECT count(*) FROM vanished ANTI JOIN taken USING (image_id)"
        past = f"SELECT count(*) FROM ({self._past()})"
        return bool(
            self.relabelled or self.inventory.con.value(gone) or self.inventory.con.value(past, _place(self.source))
        )

    def gone(self) -> Iterator[list[int]]:
        """Yield ids of present images that are not at the source any more."""
        for table in self.inventory.con.batches("FROM vanished ANTI JOIN taken USING (image_id)", rows=ROWS):
            yield table.column("image_id").to_pylist()

    def past_failures(self) -> Iterator[list[str]]:
        """Yield paths that failed once and are not at the source any more, or are there as they are on record."""
        for table in self.inventory.con.batches(self._past(), _place(self.source), ROWS):
            yield table.column("path").to_pylist()

    def _past(self) -> str:
        complete = "true" if self.inventory.source.complete else "false"
        return (
            "SELECT f.path FROM failed f LEFT JOIN kinds USING (source) LEFT JOIN compared c ON c.address = f.path "
            "WHERE c.as_recorded AND f.stage IN ('scan', 'read') "
            f"OR c.address IS NULL AND {complete} AND ({_OURS.format(row='f')}) "
            f"AND NOT EXISTS (FROM rejections r WHERE r.path = f.path) AND NOT ({_HIDDEN.format(path='f.path')})"
        )

    def vanished_contents(self) -> ContentTable:
        """Return the contents of encoded images that are gone: where they turn up, they have moved.

        Those of sources that are not there at all any more are among them: a folder or archive may have been renamed.
        """
        contents = ContentTable()
        query = (
            "SELECT content_sha256, image_id FROM (FROM vanished UNION ALL FROM lost) "
            "WHERE encoded AND len(content_sha256) = 64"
        )
        for table in self.inventory.con.batches(query, rows=ROWS):
            ids = table.column("image_id").to_pylist()
            contents.extend(table.column("content_sha256").to_pylist(), [Owner(image_id) for image_id in ids])
        return contents


_NEWS = """
    NOT EXISTS (FROM failed f WHERE f.path = r.path AND f.reason = r.reason AND f.detail = r.detail)
"""

# A folder or archive that could not be entered hides its images, and a file that could not be looked at itself; that
# does not make them gone.
_HIDDEN = "{path} IN (SELECT path FROM not_entered) OR " + " OR ".join(
    f"EXISTS (FROM not_entered h WHERE starts_with({{path}}, h.path || '{separator}'))"
    for separator in dict.fromkeys((os.sep, "/", SEPARATOR))
)

# What this source brought, or, where it is a folder, another folder in it.
_OURS = f"""
    {{row}}.source = $source
    OR starts_with({{row}}.path, $below) AND NOT contains({{row}}.path, '{SEPARATOR}')
        AND coalesce(kind, 'folder') = 'folder'
"""


def _place(source: str) -> dict[str, str]:
    return {"source": source, "below": source.rstrip("/") + "/"}


def make_plan(
    inventory: Inventory, catalog: Connection, encoder_id: int | None, labelling: Labelling, decoder: str
) -> Plan:
    """Return what is to be done. A file whose size and time are as on record is unchanged and costs no read.

    `decoder` says what decodes, with which limits: what it refused before, and did not change, is not tried again.
    """
    plan = Plan(inventory, inventory.source.root)
    _copy(inventory.con, "known", catalog, known_query(encoder_id))
    _copy(inventory.con, "kinds", catalog, "SELECT source, kind FROM sources")
    _copy(inventory.con, "failed", catalog, "FROM failures")
    _label(inventory, labelling.layout)
    inventory.con.run(
        "CREATE TABLE newest AS FROM known QUALIFY row_number() OVER (PARTITION BY path ORDER BY image_id DESC) = 1"
    )
    inventory.con.run(_COMPARED, {"source": plan.source, "explicit": labelling.explicit})
    inventory.con.run(_SETTLED, {"decoder": decoder})
    inventory.con.run(_WORK)
    inventory.con.run(
        f"CREATE TABLE vanished AS SELECT k.* FROM known k LEFT JOIN kinds USING (source) WHERE {_VANISHED}",
        {**_place(plan.source), "complete": inventory.source.complete},
    )
    lost = [row[0] for row in inventory.con.rows("SELECT DISTINCT source FROM known WHERE present") if is_gone(row[0])]
    inventory.con.run(
        "CREATE TABLE lost AS SELECT k.* FROM known k WHERE k.present "
        "AND k.source IN (SELECT unnest($lost::VARCHAR[])) AND k.image_id NOT IN (SELECT image_id FROM vanished) "
        "AND k.image_id NOT IN (SELECT image_id FROM compared WHERE image_id IS NOT NULL)",
        {"lost": lost},
    )
    inventory.con.run("CREATE TABLE taken (image_id BIGINT)")
    return _count(plan)


_NEWEST = """
    CREATE TABLE newest AS FROM known QUALIFY row_number() OVER (PARTITION BY path ORDER BY image_id DESC) = 1
"""

_NAMES = ("category", "condition", "split", "metadata")
_LABELS = f"struct_pack({', '.join(f'{name} := {name}' for name in _NAMES)})"

# A label is never erased by silence: it goes only where the same source, or the user in this run, says otherwise.
# What another source has brought stays its own.
_COMPARED = f"""
    CREATE TABLE compared AS
    SELECT * EXCLUDE (old), {_LABELS} IS DISTINCT FROM old AS relabelled
    FROM (
        SELECT c.* REPLACE ({", ".join(f"coalesce(c.{name}, kept.{name}) AS {name}" for name in _NAMES)}),
            k.image_id, k.content_sha256, k.encoded, k.present, k.source AS known_source,
            struct_pack({", ".join(f"{name} := k.{name}" for name in _NAMES)}) AS old,
            coalesce(k.size_bytes = c.size_bytes AND k.modified_ns = c.modified_ns, false) AS same_file,
            coalesce(k.present AND k.encoded AND same_file, false) AS as_recorded
        FROM candidates c
        LEFT JOIN newest k ON k.path = c.address
        LEFT JOIN newest kept ON kept.path = c.address AND (kept.source <> $source OR NOT c.told AND NOT $explicit)
    )
"""

# Any image is too slow for a machine that is busy or was stopped meanwhile, and any process may be the one that is
# killed where memory is short, so both are tried again.
_SETTLED = f"""
    CREATE TABLE settled AS
    SELECT c.step, f.path, f.stage, f.reason, f.detail FROM compared c JOIN failed f ON f.path = c.address
    WHERE f.stage = 'decode' AND f.decoder = $decoder AND f.reason <> '{Reason.TOO_SLOW.value}'
        AND f.detail <> '{KILLED}' AND NOT c.as_recorded
        AND NOT coalesce(c.present, false) AND f.size_bytes = c.size_bytes AND f.modified_ns = c.modified_ns
"""

_WORK = """
    CREATE TABLE work AS
    SELECT * EXCLUDE (step), row_number() OVER (ORDER BY step) - 1 AS step
    FROM compared WHERE NOT as_recorded AND step NOT IN (SELECT step FROM settled)
"""

# Gone: present images of this source that the scan did not meet; also those that another folder brought, where this
# folder holds them; older rows of a path that has a newer one; and what a list names that is not there.
_VANISHED = f"""
    k.present AND k.image_id NOT IN (SELECT image_id FROM compared WHERE image_id IS NOT NULL) AND (
        k.path IN (SELECT address FROM candidates)
        OR k.path IN (SELECT path FROM rejections WHERE starts_with(detail, 'no such file'))
        OR $complete AND NOT ({_HIDDEN.format(path="k.path")}) AND ({_OURS.format(row="k")})
    )
"""


def _copy(scratch: Connection, name: str, catalog: Connection, query: str) -> None:
    made = False
    for rows in catalog.batches(query):
        if made:
            scratch.append(name, rows)
        else:
            with scratch.holding("arrived", rows):
                scratch.run(f"CREATE TABLE {name} AS FROM arrived")
        made = True
    if not made:
        with scratch.holding("arrived", catalog.table(f"FROM ({query}) LIMIT 0")):
            scratch.run(f"CREATE TABLE {name} AS FROM arrived")


def _label(inventory: Inventory, layout: Layout) -> None:
    """Make the table of candidates with the labels that the user, the source or the layout gives, in this order."""
    names = ("step", "category", "condition", "split")
    schema = pa.schema([("step", pa.int64()), *((name, pa.string()) for name in names[1:])])
    with inventory.con.holding("arrived", schema.empty_table()):
        inventory.con.run("CREATE TABLE labelled AS FROM arrived")
    for rows in inventory.chunks("ordered", "step, relative, category, condition, split"):
        labels = [
            layout.applied(row["relative"], Labels(row["category"], row["condition"], row["split"])) for row in rows
        ]
        columns = {"step": [row["step"] for row in rows]} | {
            name: [getattr(label, name) for label in labels] for name in names[1:]
        }
        inventory.con.append("labelled", pa.table(columns, schema))
    inventory.con.run(
        "CREATE TABLE candidates AS SELECT o.* EXCLUDE (category, condition, split), l.category, l.condition, "
        "l.split FROM ordered o JOIN labelled l USING (step) ORDER BY step"
    )
    inventory.con.run("DROP TABLE labelled")


def _count(plan: Plan) -> Plan:
    row = plan.inventory.con.rows(
        "SELECT (SELECT count(*) FROM work), (SELECT count(*) FROM work WHERE image_id IS NULL), "
        "(SELECT count(*) FROM work WHERE present AND same_file), "
        "count(*) FILTER (as_recorded), count(*) FILTER (category IS NULL), (SELECT count(*) FROM settled), "
        "(SELECT count(*) FROM vanished), count(*) FILTER (as_recorded AND relabelled), "
        f"(SELECT count(*) FROM rejections r WHERE {_NEWS}) FROM compared"
    )[0]
    plan.work, plan.new, plan.unencoded, plan.unchanged, plan.unlabelled, plan.settled, *rest = row
    plan.vanished, plan.relabelled, plan.new_failures = rest
    return plan


def _planned(row: dict[str, Any]) -> Planned:
    candidate = Candidate(row["address"], row["relative"], row["size_bytes"], row["modified_ns"])
    known = None
    if row["image_id"] is not None:
        names = ("image_id", "content_sha256", "encoded", "present", "same_file")
        known = KnownImage(*(row[name] for name in names))
    labels = Labels(row["category"], row["condition"], row["split"])
    return Planned(candidate, labels, row["metadata"], known)
