"""One indexing: scan a source, decode ahead, encode in batches, commit whole batches as it goes."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import pyarrow as pa

from shotdex.media.decoding.decode import quiet_pillow
from shotdex.media.sources import Source
from shotdex.models.protocols import ImageEncoder, batch_size_for
from shotdex.store.connection import Connection
from shotdex.store.encoded_batch import batch_schema, commit
from shotdex.store.encoders import add_encoder, number_of
from shotdex.store.engines.writing import write_index
from shotdex.store.errors import StoreError
from shotdex.store.ids import images_generation
from shotdex.store.image_columns import move_table
from shotdex.store.images import clear_failures, mark_removed, next_image_id, unlabelled
from shotdex.store.progress import NoProgress, Progress
from shotdex.store.source_records import left_out, record_left_out, record_source, source_record
from shotdex.store.store import Store
from shotdex.store.types import IndexReport, Limits

from .contents import owners_of
from .failures import FailureTally, check_usable, decoder_version, scan_failures
from .inventory import Inventory, scan_source
from .layout import Labelling, Layout, choose_labelling
from .pipeline import RESULTS, Pipeline
from .plan import Plan, make_plan
from .preflight import check_losses, check_store
from .reconcile import KNOWN, Placer, failures_of

UNLABELLED = 100_000  # images without a category that a report names

COMMIT_ROWS, COMMIT_SECONDS = 8192, 20.0
COMMIT_WAIT = 600.0
"""Seconds to wait, at a commit, for a reader that holds the catalog: a long query must not cost an indexing."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How to index. Without a `layout` the source decides.

    `batch_size` images go through the model at once, on which the last bits of the vectors depend; None: the encoder's.
    `columns` and `reading` (the further fields of `Reading`) are those that the source was opened with. More than
    `max_failures` images that cannot be used end the indexing; None for no end. Unless `gone`, a source that lost most
    of its images is an error: see `check_losses`. With `labels_only` no image is read. With `keep_vectors` those of
    shards stay there, and the catalog has their places.
    """

    layout: Layout | None = None
    batch_size: int | None = None
    commit_rows: int = COMMIT_ROWS
    commit_seconds: float = COMMIT_SECONDS
    limits: Limits = field(default_factory=Limits)
    max_failures: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    gone: bool = True
    labels_only: bool = False
    keep_vectors: bool = False


class Indexing:
    """One indexing. `run` does it all, once."""

    def __init__(
        self,
        store: Store,
        encoder: ImageEncoder,
        options: IndexOptions,
        progress: Progress,
        announce: Callable[[Plan, Labelling], None] = lambda *_: None,
    ) -> None:
        """`announce` is called once, before the first batch, with what is about to be done."""
        self._store = store
        self._announce = announce
        self._encoder = encoder
        self._options = options
        self._progress = progress
        self._pending: list[pa.Table] = []  # of the columns `RESULTS`
        self._committed = 0  # of what the plan has to read
        self._counts: Counter[str] = Counter()
        self._tally = FailureTally(options.max_failures)
        self._last_commit = time.monotonic()

    def run(self, inventory: Inventory) -> IndexReport:
        """Index what a scan of a source found and return what was done.

        Raises:
            SourceError: no image is usable, or more than `max_failures` are not.
            StoreError: the store cannot be written to, or its disk is full or too small.
            StoreLocked: another process is indexing, or holds the catalog.
        """
        started = time.monotonic()
        quiet_pillow()
        with self._store.indexing():
            plan, placer = self._open(inventory, None, decoder_version(self._options.limits))
            interrupted = False
            try:
                if plan.work and not self._options.labels_only:
                    self._work_through(plan, placer)
            except KeyboardInterrupt:
                interrupted = True
            self._commit(plan, placer)
            if not interrupted and not self._tally.too_many():
                self._finish(plan)
            write_index(self._store, self._encoder_id, self._encoder.id)
        return self._report(plan, interrupted, started)

    def _open(self, inventory: Inventory, labelling: Labelling | None, decoder: str) -> tuple[Plan, Placer]:
        """Compare the source with the catalog, check that the work can be done, record what the scan could not use.

        Without a `labelling` it is chosen; `decoder` stands for what decodes, or decoded, the images.
        """
        options, encoder = self._options, self._encoder.id
        with self._store.reading_updated() as con:
            self._left = catalog_state(con)
            number = number_of(con, encoder)
            before = source_record(con, inventory.source.root)
            if labelling is None:
                labelling = choose_labelling(options.layout, options.columns, before, inventory, options.reading)
            left = [*inventory.all_left_out()]
            new_left = left != left_out(con, inventory.source.root)
            plan = make_plan(inventory, con, number, labelling, decoder)
            if not options.gone:
                check_losses(plan)
            total = int(con.value("SELECT count(*) FROM stored_images")) + plan.work
            check_store(self._store, encoder, plan.work, total)
            placer = Placer(owners_of(con, number), plan.vanished_contents(), next_image_id(con))
        self._schema = batch_schema(encoder, decoder)
        if number is None or labelling.record != before or plan.new_failures or new_left:
            with self._writing() as con:
                number = add_encoder(con, encoder) if number is None else number
                if labelling.record != before:
                    record_source(con, labelling.record)
                if new_left:
                    record_left_out(con, labelling.record.source, left)
                for batch in scan_failures(plan, batch_schema(encoder)):
                    commit(con, batch)
        self._encoder_id = number
        self._tally.before(plan)
        self._announce(plan, labelling)
        return plan, placer

    def _work_through(self, plan: Plan, placer: Placer) -> None:
        """Encode what has to be read, and commit it in parts; the last of them is left to the caller."""
        options, encoder = self._options, self._encoder
        size, known = batch_size_for(encoder, options.batch_size), placer.owners.__contains__
        pipeline = Pipeline(encoder, self._schema, size, options.commit_rows, known)

        def stop(waiting: int) -> bool:
            pending = sum(len(part) - part.column("failure").null_count for part in self._pending)
            return self._tally.too_many(waiting + pending)

        self._progress.start(plan.work)
        source = plan.inventory.source
        with closing(pipeline.encoded(source, plan.addresses(), options.limits, self._progress, stop)) as batches:
            for batch in batches:
                self._pending.append(batch)
                rows, waited = sum(map(len, self._pending)), time.monotonic() - self._last_commit
                if rows >= options.commit_rows or waited >= options.commit_seconds:
                    pending = self._pending
                    self._commit(plan, placer)
                    for part in pending:
                        pipeline.forget(part)

    def _commit(self, plan: Plan, placer: Placer) -> None:
        # Cut between the database's commit and this reset, the same rows would be written twice.
        with interrupt_held_back():
            if self._pending:
                results = pa.concat_tables(self._pending)
                end = self._committed + len(results)
                said = plan.columns(self._committed, end)
                columns = [(results if name in RESULTS else said).column(name) for name in self._schema.names]
                batch = pa.table(columns, schema=self._schema)
                placed = placer.place(batch, said.select(KNOWN.names))
                with self._writing() as con:
                    commit(con, placed.batch, placed.placement)
                if len(placed.found):
                    plan.take(placed.found)
                self._counts.update(placed.counts)
                self._tally.add(failures_of(placed.batch))
                self._pending, self._committed = [], end
        self._last_commit = time.monotonic()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Open a transaction in the catalog as this indexing left it.

        Raises:
            StoreError: another catalog is in its place, or somebody changed its images: ids are given in memory, so
                what waits to be committed would get ids that mean something else there.
        """
        with self._store.writing(COMMIT_WAIT) as con:
            if catalog_state(con) != self._left:
                raise StoreError(
                    f"{self._store.catalog} was replaced while shotdex was indexing",
                    "nothing was written to it; what was committed before is in the old catalog. Index again to "
                    "continue",
                )
            yield con
            self._left = catalog_state(con)

    def _finish(self, plan: Plan) -> None:
        """Record what only a whole walk can tell: labels read again, and what is gone."""
        if not plan.leaves_anything():
            return
        removed = 0
        with self._writing() as con:
            for ids in plan.gone():
                mark_removed(con, ids)
                removed += len(ids)
            for paths in plan.past_failures():
                clear_failures(con, paths)
            for places in plan.relabelled_places():
                move_table(con, places)
        self._counts.update(removed=removed, relabelled=plan.relabelled)

    def _report(self, plan: Plan, interrupted: bool, started: float) -> IndexReport:
        """Return what was done.

        Raises:
            SourceError: no image is usable, or too many are not.
        """
        counts, inventory, notes = self._counts, plan.inventory, plan.notes
        self._tally.check(inventory.source)
        if plan.work and self._options.labels_only:
            images = "1 image in it is" if plan.work == 1 else f"{plan.work:,} images in it are"
            notes += (f"{images} not indexed yet, or changed since: index them first",)
        with self._store.reading() as con:
            without = unlabelled(con, UNLABELLED, plan.source)
        report = IndexReport(
            added=counts["added"],
            unchanged=plan.unchanged + counts["unchanged"],
            moved=counts["moved"],
            changed=counts["changed"],
            removed=counts["removed"],
            failed=self._tally.count,
            unlabelled=without[0],
            unlabelled_files=without[1],
            left_out=inventory.all_left_out(),
            ignored=inventory.ignored,
            seconds=time.monotonic() - started,
            failures=tuple(self._tally.first),
            notes=notes,
            interrupted=interrupted,
            relabelled=counts["relabelled"],
            encoded=counts["encoded"],
            reasons=dict(self._tally.reasons.most_common()),
            source=plan.source,
            kind=inventory.source.kind,
            encoder=self._encoder.id,
        )
        check_usable(report)
        return report


@contextmanager
def interrupt_held_back() -> Iterator[None]:
    """Deliver a Ctrl-C that arrives inside only when the block has ended; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[FrameType | None] = []
    previous = signal.signal(signal.SIGINT, lambda _number, frame: arrived.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if arrived:
        raise KeyboardInterrupt


def catalog_state(con: Connection) -> tuple[str, str]:
    """Return what tells a catalog, and a state of its images, from every other."""
    return str(con.value("SELECT value FROM meta WHERE key = 'store_id'")), images_generation(con)


def index_source(
    store: Store,
    source: Source,
    encoder: ImageEncoder,
    options: IndexOptions | None = None,
    progress: Progress | None = None,
) -> IndexReport:
    """Bring a store up to a source: `scan_source`, then `Indexing.run`."""
    with scan_source(source) as inventory:
        return Indexing(store, encoder, options or IndexOptions(), progress or NoProgress()).run(inventory)
