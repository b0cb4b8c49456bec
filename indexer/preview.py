"""What an indexing is about to do, in numbers and five examples: for `--dry-run`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shotdex.store.images import Labels
from shotdex.store.source_records import source_record
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, LeftOut

from .failures import decoder_version
from .inventory import Inventory
from .layout import Labelling, choose_labelling
from .plan import ClassExample, make_plan
from .preflight import check_losses, expected_bytes, free_bytes
from .run import UNLABELLED, IndexOptions

EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Preview:
    """What is to be done, in images. `needed_bytes` is None where no encoder is known yet.

    `new`, `changed` and `unencoded` are to be read: by their names and times; their content may still be known. The
    last are as they were, and get the vectors of a further encoder. `failed` could not be used by the scan, or failed
    before and did not change since. `examples` are paths within the source.

    `categories` counts the classes; `classes` has the most doubtful and a sure example of each, where file names begin
    with them. `left_out` is what is not taken for an image, `unlabelled_files` the first hundred thousand paths within
    the source that get no category.
    """

    source: str
    kind: str
    layout: str
    examples: tuple[tuple[str, Labels], ...]
    new: int
    changed: int
    unencoded: int
    unchanged: int
    relabelled: int
    gone: int
    failed: int
    unlabelled: int
    ignored: int
    needed_bytes: int | None
    free_bytes: int
    notes: tuple[str, ...]
    categories: int = 0
    classes: tuple[ClassExample, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    unlabelled_files: tuple[str, ...] = ()


def preview(
    store: Store,
    inventory: Inventory,
    options: IndexOptions,
    encoder: tuple[int | None, EncoderId] | None,
    labelling: Labelling | None = None,
) -> Preview:
    """Return what indexing a scan into a store would do, with an encoder's number in it (None: not yet) and identity.

    Images that come labelled, in shards, have a `labelling`; otherwise it is chosen as for an indexing. Nothing is
    written; the store need not exist.
    """
    with _existing_or_empty(store) as compared, compared.reading() as con:
        before = source_record(con, inventory.source.root)
        if labelling is None:
            labelling = choose_labelling(options.layout, options.columns, before, inventory, options.reading)
        number = encoder[0] if encoder is not None else None
        plan = make_plan(inventory, con, number, labelling, decoder_version(options.limits))
        if not options.gone:
            check_losses(plan)
        total = int(con.value("SELECT count(*) FROM stored_images")) + plan.work
    return Preview(
        source=plan.source,
        kind=inventory.source.kind,
        layout=labelling.record.layout or "",
        examples=tuple(plan.examples(EXAMPLES)),
        new=plan.new,
        changed=plan.work - plan.new - plan.unencoded,
        unencoded=plan.unencoded,
        unchanged=plan.unchanged,
        relabelled=plan.relabelled,
        gone=plan.vanished,
        failed=inventory.failed + plan.settled,
        unlabelled=plan.unlabelled,
        ignored=inventory.ignored,
        needed_bytes=None if encoder is None else expected_bytes(encoder[1], plan.work, total),
        free_bytes=free_bytes(store.root),
        notes=plan.notes,
        categories=plan.categories,
        classes=tuple(plan.classes),
        left_out=inventory.all_left_out(),
        unlabelled_files=tuple(plan.unlabelled_files(UNLABELLED)),
    )


@contextmanager
def _existing_or_empty(store: Store) -> Iterator[Store]:
    if store.catalog_bytes():
        yield Store.open(store.root)
        return
    with tempfile.TemporaryDirectory(prefix="shotdex-") as folder:
        yield Store.create(Path(folder))
