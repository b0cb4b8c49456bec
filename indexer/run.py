"""One indexing: scan a source, decode ahead, encode in batches, commit whole batches as it goes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Protocol

from shotdex.media.decoding.decode import quiet_pillow
from shotdex.media.sources import Source
from shotdex.models.protocols import ImageEncoder, batch_size_for, shares_cores
from shotdex.store.encoders import add_encoder, number_of
from shotdex.store.engines.vector_index import write_index
from shotdex.store.images import clear_failures, count_unlabelled, mark_removed, move_table, next_image_id
from shotdex.store.source_records import record_source, source_record
from shotdex.store.store import Store
from shotdex.store.types import IndexReport, Limits

from .batch import Pending, interrupt_held_back
from .contents import owners_of
from .decode_pool import Decoder, Refused
from .failures import Refusals, decoder_version, nothing_there, nothing_usable
from .inventory import Scan
from .layout import Labelling, Layout, choose_labelling
from .pipeline import Pipeline
from .plan import Plan, Planned, make_plan
from .preflight import check_store
from .reconcile import Batch, Placer

COMMIT_ROWS = 8192
COMMIT_SECONDS = 20.0
AHEAD = 64
"""Pictures that may be decoded beyond the next two batches: small batches, too, have some in hand while one is slow."""

COMMIT_WAIT = 600.0
"""Seconds to wait, at a commit, for a reader that holds the catalog: a long query must not cost an indexing."""


class Progress(Protocol):
    """Something that shows how far a long piece of work is."""

    def start(self, total: int) -> None:
        """Say how many pictures there are to do."""

    def advance(self, pictures: int) -> None:
        """Say that some more are done."""


class NoProgress:
    """Shows nothing."""

    def start(self, total: int) -> None:
        """Do nothing."""

    def advance(self, pictures: int) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How to index. Without a `layout` the source decides; `batch_size` pictures go through the model at once.

    Where that is None the encoder decides. The last bits of the vectors depend on it.

    `columns` are those that the source was opened with. More than `max_failures` pictures that cannot be used end the
    indexing; None for no end.
    """

    layout: Layout | None = None
    batch_size: int | None = None
    commit_rows: int = COMMIT_ROWS
    commit_seconds: float = COMMIT_SECONDS
    limits: Limits = field(default_factory=Limits)
    max_failures: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


class Indexing:
    """One indexing. `run` does it all, once."""

    def __init__(
        self,
        store: Store,
        encoder: ImageEncoder,
        settings: IndexSettings,
        progress: Progress,
        announce: Callable[[Plan, Labelling], None] | None = None,
    ) -> None:
        """`announce` is told, once and before the first batch, what is about to be done."""
        self._store = store
        self._announce = announce
        self._encoder = encoder
        self._settings = settings
        self._progress = progress
        self._pending = Pending()
        self._counts: Counter[str] = Counter()
        self._refusals = Refusals(settings.max_failures)
        self._last_commit = time.monotonic()

    def run(self, scan: Scan) -> IndexReport:
        """Index what a scan of a source found and return what was done.

        Raises:
            SourceError: no picture is usable, or more than `max_failures` are not.
            StoreError: the store cannot be written to, or its disk is full or too small.
            StoreLocked: another process is indexing, or holds the catalog.
        """
        with self._store.indexing():
            return self._run(scan)

    def _run(self, scan: Scan) -> IndexReport:
        started = time.monotonic()
        quiet_pillow()
        plan, placer, labelling = self._open(scan)
        self._refusals.before(self._store, plan)
        if self._announce is not None:
            self._announce(plan, labelling)
        interrupted = False
        try:
            self._work_through(plan, placer)
        except KeyboardInterrupt:
            interrupted = True
        self._commit(plan)
        if not interrupted and not self._refusals.too_many():
            self._finish(plan)
        write_index(self._store, self._encoder_id, self._encoder.id)
        with self._store.reading() as con:
            unlabelled = count_unlabelled(con, plan.source)
        self._refusals.check(scan.source)
        report = self._report(plan, labelling.notes, unlabelled, interrupted)
        report = replace(report, seconds=time.monotonic() - started)
        usable = report.added + report.changed + report.moved + report.unchanged + report.encoded
        if not interrupted and report.rejected and not usable and not report.removed:
            raise nothing_usable(scan.source, report)
        return report

    def _open(self, scan: Scan) -> tuple[Plan, Placer, Labelling]:
        """Compare the source with the catalog and check that the work can be done."""
        with self._store.reading() as con:
            number = number_of(con, self._encoder.id)
            before = source_record(con, scan.source.root)
            labelling = choose_labelling(self._settings.layout, self._settings.columns, before, scan)
            decoder = decoder_version(self._settings.limits)
            plan = make_plan(scan, con, number, labelling, decoder)
            total = int(con.value("SELECT count(*) FROM stored_images")) + plan.work
            check_store(self._store, self._encoder.id, plan.work, total)
            owners = owners_of(con, number)
            placer = Placer(plan.source, decoder, owners, plan.vanished_contents(), next_image_id(con))
        if number is None or labelling.record != before:
            with self._store.writing() as con:
                number = add_encoder(con, self._encoder.id) if number is None else number
                record_source(con, labelling.record)
        self._encoder_id = number
        return plan, placer, labelling

    def _work_through(self, plan: Plan, placer: Placer) -> None:
        if not plan.work:
            return
        source, encoder = plan.scan.source, self._encoder
        portable = encoder.portable  # an encoder that is loaded when it is needed is loaded here
        size, pipeline = batch_size_for(encoder, self._settings.batch_size), Pipeline.of(encoder)
        self._progress.start(plan.work)
        decoder: Decoder[Planned] = Decoder(
            encoder.prepare,
            portable,
            placer.owners.__contains__,
            source.read,
            self._settings.limits,
            source.in_order,
            shares_cores(encoder),
        )
        # Closed here, by name: what is left to the collector of garbage cannot be interrupted in order.
        with closing(decoder.decode_ahead(plan.items(), ahead=2 * size + AHEAD)) as results:
            for result in results:
                self._progress.advance(1)
                if isinstance(result, Refused):
                    placer.refuse(result.item, result.rejection)
                    if self._refusals.too_many(pipeline.failures() + self._waiting_failures(placer.batch)):
                        break
                else:
                    placer.place(result)
                if self._is_full(placer.batch, size):
                    self._take_in(plan, pipeline.push(placer.launch(encoder)))
        self._take_in(plan, pipeline.push(placer.launch(encoder)))
        self._take_in(plan, pipeline.drain())

    def _take_in(self, plan: Plan, finished: Iterable[Pending]) -> None:
        for rows in finished:
            self._pending.add(rows)
            waited = time.monotonic() - self._last_commit
            if self._pending.rows() >= self._settings.commit_rows or waited >= self._settings.commit_seconds:
                self._commit(plan)

    def _waiting_failures(self, batch: Batch) -> int:
        return len(batch.rows.failures) + len(self._pending.failures)

    def _is_full(self, batch: Batch, size: int) -> bool:
        # Copies and failures need no encoder, so a batch of nothing else ends by its rows.
        return len(batch.to_encode) >= size or batch.rows.rows() >= self._settings.commit_rows

    def _commit(self, plan: Plan) -> None:
        # Cut between the database's commit and this reset, the same rows would be written twice.
        with interrupt_held_back():
            if self._pending.rows():
                with self._store.writing(COMMIT_WAIT) as con:
                    self._pending.write(con, self._encoder_id)
            plan.take(list(self._pending.moves))
            self._counts.update(self._pending.counts)
            self._refusals.add([failure.rejection for failure in self._pending.failures])
            self._pending = Pending()
        self._last_commit = time.monotonic()

    def _finish(self, plan: Plan) -> None:
        """Record what only a whole walk can tell: labels read anew, and what is gone."""
        if not plan.leaves_anything():
            return
        removed = 0
        with self._store.writing(COMMIT_WAIT) as con:
            for ids in plan.gone():
                mark_removed(con, ids)
                removed += len(ids)
            for paths in plan.past_failures():
                clear_failures(con, paths)
            for places in plan.relabelled_places():
                move_table(con, places)
        self._counts["removed"] += removed
        self._counts["relabelled"] += plan.relabelled

    def _report(self, plan: Plan, notes: tuple[str, ...], unlabelled: int, interrupted: bool) -> IndexReport:
        counts, scan = self._counts, plan.scan
        return IndexReport(
            added=counts["added"],
            unchanged=plan.unchanged + counts["unchanged"],
            moved=counts["moved"],
            changed=counts["changed"],
            removed=counts["removed"],
            rejected=self._refusals.count,
            unlabelled=unlabelled,
            ignored=scan.ignored,
            failures=tuple(self._refusals.first),
            notes=notes + scan.notes(),
            interrupted=interrupted,
            relabelled=counts["relabelled"],
            encoded=counts["encoded"],
            reasons=dict(self._refusals.reasons.most_common()),
        )


def scan_source(source: Source, seen: Callable[[int], None] | None = None, *, may_be_empty: bool = False) -> Scan:
    """Look for pictures at a source, before a model is loaded or a store made; `seen` is told how many more were met.

    `may_be_empty` is for a source that had pictures once: that they are gone is what there is to find.

    Raises:
        SourceError: there are none, or the source as a whole cannot be read.
    """
    scan = Scan(source)
    try:
        scan.walk(seen)
        if not scan.candidates and not may_be_empty:
            raise nothing_there(scan)
    except BaseException:
        scan.close()
        raise
    return scan


def index_source(
    store: Store,
    source: Source,
    encoder: ImageEncoder,
    settings: IndexSettings | None = None,
    progress: Progress | None = None,
) -> IndexReport:
    """Bring a store up to a source: `scan_source`, then `Indexing.run`."""
    with scan_source(source) as scan:
        return Indexing(store, encoder, settings or IndexSettings(), progress or NoProgress()).run(scan)
