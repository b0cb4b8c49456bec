"""Comparing a source with the catalog: what is new, changed, unchanged, failed as before, or gone.

All of it in the scan's scratch database, so that memory does not grow with the source or the catalog.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from shotdex.media.sources import is_gone
from shotdex.store.arrow import to_arrow, to_numpy
from shotdex.store.connection import Connection
from shotdex.store.images import Labels, known_query
from shotdex.store.types import Ids

from .contents import Vanished, keys_of
from .inventory import Inventory
from .layout import Labelling, Layout
from .scratch import (
    ARRIVING,
    CANDIDATES,
    COMPARED,
    COPIES,
    COUNTS,
    ELSEWHERE,
    LOST,
    NEW_FAILURES,
    NEWEST,
    PAST_FAILURES,
    SETTLED,
    VANISHED,
    WORK,
)

ROWS = 65_536
"""Rows of a table that are in memory at once."""


@dataclass(slots=True)
class ClassExample:
    """A listed category with paths of which its name is the start: the most doubtful (carrot.png: car), and a sure one.

    `doubt` is how many letters follow it in the same word; None stands for a missing path.
    """

    category: str
    doubtful: str | None = None
    sure: str | None = None
    doubt: int = 0


@dataclass(slots=True)
class Plan:
    """What an indexing has to do; counts in images, in the order of `scratch.COUNTS`. Made by `make_plan`.

    `settled` failed before and would again; `unencoded` are as they were, and have no vectors of this encoder yet.
    `notes` say what was assumed, and which labels change; `classes` has examples where file names begin with listed
    categories.
    `returned` are among the unchanged: they were gone, and are back as they were. `categories` are counted, too.
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
    returned: int = 0
    new_failures: int = 0
    categories: int = 0
    notes: tuple[str, ...] = ()
    classes: list[ClassExample] = field(default_factory=list)

    def addresses(self) -> Iterator[str]:
        """Yield what has to be read, in the source's order."""
        for rows in self.inventory.chunks("work", "address"):
            for row in rows:
                yield row["address"]

    def columns(self, start: int, end: int) -> pa.Table:
        """Return what the source says of some of `addresses`, and what the catalog has at their addresses.

        These are the columns of an encoded batch that no pixel is needed for, and those of `KNOWN`.
        """
        return self.inventory.con.table(
            "SELECT address, $source AS source, category, condition, split, metadata, size_bytes, modified_ns, "
            "image_id, content_sha256, encoded, present, same_file FROM work "
            "WHERE step >= $start AND step < $end ORDER BY step",
            {"source": self.source, "start": start, "end": end},
        )

    def examples(self, number: int) -> list[tuple[str, Labels]]:
        """Return the first images' paths within the source with their labels."""
        rows = self.inventory.con.rows(
            f"SELECT relative, category, condition, split FROM candidates ORDER BY step LIMIT {number}"
        )
        return [(row[0], Labels(*row[1:])) for row in rows]

    def unlabelled_files(self, limit: int) -> list[str]:
        """Return paths within the source of images without a category."""
        rows = self.inventory.con.rows(
            f"SELECT relative FROM compared WHERE category IS NULL ORDER BY step LIMIT {limit}"
        )
        return [row[0] for row in rows]

    def relabelled_places(self) -> Iterator[pa.Table]:
        """Yield tables for `move_table`: images that are as they were, under labels that are not, or that were gone."""
        yield from self.inventory.con.batches(
            "SELECT image_id, address AS path, known_source AS source, size_bytes, modified_ns, category, condition, "
            "split, metadata FROM compared WHERE as_recorded AND (relabelled OR NOT present)",
            rows=ROWS,
        )

    def take(self, image_ids: Ids) -> None:
        """Say that images (N,) have been found again, so that they are not gone."""
        self.inventory.con.append("taken", pa.table({"image_id": to_arrow(image_ids)}))

    def leaves_anything(self) -> bool:
        """Tell whether something is gone, or failed once and is gone, or has other labels now."""
        query = "SELECT EXISTS (FROM vanished ANTI JOIN taken USING (image_id)) OR EXISTS (FROM past_failures)"
        return bool(self.relabelled or self.returned or self.inventory.con.value(query))

    def gone(self) -> Iterator[list[int]]:
        """Yield ids of present images that are not at the source any more."""
        for table in self.inventory.con.batches("FROM vanished ANTI JOIN taken USING (image_id)", rows=ROWS):
            yield table.column("image_id").to_pylist()

    def past_failures(self) -> Iterator[list[str]]:
        """Yield paths that failed once and are not at the source any more, or are there as they are on record."""
        for table in self.inventory.con.batches("FROM past_failures", rows=ROWS):
            yield table.column("path").to_pylist()

    def vanished_contents(self) -> Vanished:
        """Return the contents of encoded images that are gone: where they turn up, they have moved.

        Those of sources that are not there at all any more are among them: a folder or archive may have been renamed.
        """
        found = self.inventory.con.table(
            "SELECT content_sha256, image_id FROM (FROM vanished UNION ALL FROM lost) "
            "WHERE encoded AND len(content_sha256) = 64"
        )
        return Vanished(keys_of(found.column("content_sha256")), to_numpy(found.column("image_id")))


def make_plan(
    inventory: Inventory, catalog: Connection, encoder_id: int | None, labelling: Labelling, decoder: str
) -> Plan:
    """Return what is to be done. A file whose size and time are as on record is unchanged and costs no read.

    `decoder` says what decodes, with which limits: what it refused before, and did not change, is not tried again.
    """
    con, root = inventory.con, inventory.source.root
    place = {"source": root, "below": root.rstrip("/") + "/", "complete": inventory.source.complete}
    sources = catalog.rows("SELECT DISTINCT source FROM images WHERE source IS NOT NULL")
    lost = [name for (name,) in sources if is_gone(name)]
    _copy_all(con, catalog, {"source": root, "prefix": root.rstrip("/"), "lost": lost}, encoder_id)
    classes = label(inventory, labelling.layout)
    con.run(NEWEST)
    con.run(COMPARED, {"source": root, "explicit": labelling.explicit})
    con.run(SETTLED, {"decoder": decoder})
    con.run(WORK)
    con.run(VANISHED, place)
    con.run(LOST, {"lost": lost})
    con.run(NEW_FAILURES)
    con.run(PAST_FAILURES, place)
    plan = Plan(inventory, root, *con.rows(COUNTS)[0])
    plan.classes = classes
    scanned = inventory.notes(unlabelled=plan.unlabelled > 0)
    images = f"{plan.returned:,} image{' that was gone is' if plan.returned == 1 else 's that were gone are'}"
    returned = (f"{images} back, as on record",) * (plan.returned > 0)
    plan.notes = (*labelling.notes, *returned, *label_changes(con), *doubtful_names(con), *scanned)
    return plan


def _copy_all(scratch: Connection, catalog: Connection, values: Mapping[str, Any], encoder_id: int | None) -> None:
    """Make the tables of `COPIES` in the scratch database."""
    elsewhere = scratch.table(ELSEWHERE, {"prefix": values["prefix"]})
    with catalog.holding("elsewhere", elsewhere):
        for name, query in COPIES.items():
            sql = query.format(known=known_query(encoder_id))
            used = {key: value for key, value in values.items() if f"${key}" in sql}
            with scratch.holding("arrived", catalog.table(f"FROM ({sql}) LIMIT 0", used)):
                scratch.run(f"CREATE TABLE {name} AS FROM arrived")
            for rows in catalog.batches(sql, used):
                scratch.append(name, rows)


def label(inventory: Inventory, layout: Layout) -> list[ClassExample]:
    """Make the table of candidates with the labels that the user, the source or the layout gives, in this order.

    Return examples of the listed categories that file names begin with.
    """
    schema = ARRIVING["labelled"]
    examples: dict[str, ClassExample] = {}
    for rows in inventory.chunks("ordered", "step, relative, category, condition, split"):
        labels = [
            layout.applied(row["relative"], Labels(row["category"], row["condition"], row["split"])) for row in rows
        ]
        columns = {"step": [row["step"] for row in rows]} | {
            name: [getattr(label, name) for label in labels] for name in schema.names[1:]
        }
        inventory.con.append("labelled", pa.table(columns, schema))
        if layout.category_is_prefix and layout.categories:
            _take_examples(examples, layout, rows, labels)
    inventory.con.run(CANDIDATES)
    inventory.con.run("DROP TABLE labelled")
    return sorted(examples.values(), key=lambda each: (-each.doubt, each.category))


def _take_examples(
    examples: dict[str, ClassExample], layout: Layout, rows: Sequence[Mapping[str, Any]], labels: Sequence[Labels]
) -> None:
    for row, label in zip(rows, labels, strict=True):
        if label.category is None or row["category"] is not None:
            continue
        example = examples.setdefault(label.category, ClassExample(label.category))
        doubt = layout.doubt(row["relative"])
        if doubt > example.doubt:
            example.doubtful, example.doubt = row["relative"], doubt
        elif not doubt and example.sure is None:
            example.sure = row["relative"]


SHOWN, CLASSES = 8, 10_000
"""Changes, and examples, that are named; classes whose names are compared."""


def label_changes(con: Connection) -> tuple[str, ...]:
    """Return, as a sentence, which labels of images that are indexed already will be others."""
    parts = []
    for label in ("category", "condition", "split"):
        rows = con.rows(
            f"SELECT old_{label}, {label}, count(*) FROM compared WHERE present "
            f"AND {label} IS DISTINCT FROM old_{label} AND {label} IS DISTINCT FROM nfc_normalize(old_{label}) "
            "GROUP BY ALL ORDER BY 3 DESC, 1, 2"
        )
        if rows:
            named = ", ".join(f"{old or 'none'} -> {new or 'none'} ({count:,})" for old, new, count in rows[:SHOWN])
            parts.append(f"{label} {named}" + (f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""))
    return (f"labels of indexed images change: {'; '.join(parts)}",) if parts else ()


def doubtful_names(con: Connection) -> tuple[str, ...]:
    """Return sentences on categories that are numbers, and on those that differ only in upper and lower case."""
    ours = f"SELECT DISTINCT category FROM candidates WHERE category IS NOT NULL LIMIT {CLASSES}"
    names = sorted(row[0] for row in con.rows(ours))
    everywhere = f"SELECT category FROM categories LIMIT {CLASSES}"
    spellings = defaultdict(set)
    for name in {*names, *(row[0] for row in con.rows(everywhere))}:
        spellings[name.casefold()].add(name)
    found = []
    alike = [" and ".join(sorted(each)) for each in (spellings[name.casefold()] for name in names) if len(each) > 1]
    alike = list(dict.fromkeys(alike))
    if alike:
        found.append(f"classes that differ only in upper and lower case are different classes: {_some(alike)}")
    if len(names) > 1 and all(re.fullmatch(r"-?[0-9]+", name) for name in names):
        numbers = _some(sorted(names, key=int))
        found.append(
            f"the categories are numbers ({numbers}); prompts with their names need [aliases] in a prompt file"
        )
    return tuple(found)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
