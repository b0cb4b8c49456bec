"""Which layout labels a source's pictures: the one named now, the one it was indexed with before, or a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shotdex.store.images import Labels
from shotdex.store.sources import SourceRecord

from .layout import Layout, guess_layout, parse_layout
from .scan import Scan


@dataclass(frozen=True, slots=True)
class Labelling:
    """The layout, what the catalog is to remember of it, and what was assumed where the user said nothing.

    `explicit` is whether the user said anything this time.
    """

    layout: Layout
    record: SourceRecord
    notes: tuple[str, ...] = ()
    explicit: bool = False


def choose_labelling(
    given: Layout | None, columns: Mapping[str, str], before: SourceRecord | None, scan: Scan
) -> Labelling:
    """Return how to label what a scan found.

    Options given now count alone; without any, those of the last time do, so that indexing again changes no label.
    """
    layout = given or Layout()
    notes: tuple[str, ...] = ()
    explicit = bool(layout.described or layout.categories or columns) or layout.fixed != Labels()
    # A list on standard input is another one each time: it has neither a past nor a shape.
    lasting = scan.source.complete
    if not explicit and lasting and before is not None and before.is_labelled():
        layout = parse_layout(before.layout, before.categories, before.fixed)
        columns = before.columns
    elif lasting and not layout.described and not layout.categories and not scan.tells_labels():
        guessed = guess_layout(scan.shapes())
        layout = replace(guessed, fixed=layout.fixed)
        notes = (f"taking the folders as {guessed.described}",) if guessed.described else ()
    record = SourceRecord(
        scan.source.root, scan.source.kind, layout.described or None, layout.categories, layout.fixed, dict(columns)
    )
    return Labelling(layout, record, notes, explicit)
