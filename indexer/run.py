"""One indexing: scan a source, decode ahead, encode in batches, commit whole batches as it goes."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import Protocol

from shotdex.store.encoders import add_encoder, number_of
from shotdex.store.errors import SourceError
from shotdex.store.images import (
    Failure,
    add_failures,
    clear_failures,
    failed_paths,
    known_images,
    mark_removed,
    move_images,
    next_image_id,
)
from shotdex.store.pictures import quiet_pillow
from shotdex.store.store import Store
from shotdex.store.vector_index import write_index
from shotdex.store.vectors import content_owners
from shotdex.store.words import ImageEncoder, IndexReport, Rejection

from .batch import Pending
from .decoding import Decoder, Refused
from .interrupt import interrupt_held_back
from .layout import Layout, guess_layout
from .placing import Batch, Placer
from .plan import make_plan
from .sources import Scan, Source

COMMIT_ROWS = 8192
COMMIT_SECONDS = 20.0


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
    """How to index. Without a `layout` the source decides; `batch_size` pictures go through the model at once."""

    layout: Layout | None = None
    batch_size: int = 64
    commit_rows: int = COMMIT_ROWS
    commit_seconds: float = COMMIT_SECONDS


class Indexing:
    """One indexing. `run` does it all, once."""

    def __init__(self, store: Store, encoder: ImageEncoder, settings: IndexSettings, progress: Progress) -> None:
        self._store = store
        self._encoder = encoder
        self._settings = settings
        self._progress = progress
        self._pending = Pending()
        self._counts: Counter[str] = Counter()
        self._failures: list[Rejection] = []
        self._last_commit = time.monotonic()

    def run(self, source: Source, scan: Scan) -> IndexReport:
        """Index what a scan of a source found and return what was done.

        Raises:
            SourceError: no picture is usable.
            StoreLocked: another process is indexing, or holds the catalog.
        """
        with self._store.indexing():
            return self._run(source, scan)

    def _run(self, source: Source, scan: Scan) -> IndexReport:
        started = time.monotonic()
        quiet_pillow()
        layout, notes = _layout(self._settings.layout, scan)
        placer = self._open(str(source.root), scan, layout)
        interrupted = False
        try:
            self._work_through(placer)
        except KeyboardInterrupt:
            interrupted = True
        self._commit()
        if not interrupted:
            self._finish(placer, scan)
        with self._store.reading() as con:
            write_index(self._store, con, self._encoder_id, self._encoder.id)
        report = self._report(placer, scan, notes, time.monotonic() - started, interrupted)
        if not interrupted and report.added + report.changed + report.moved + report.unchanged == 0:
            raise _nothing_usable(source, report)
        return report

    def _open(self, source: str, scan: Scan, layout: Layout) -> Placer:
        """Give the encoder its number and compare the source with the catalog."""
        with self._store.reading() as con:
            number = number_of(con, self._encoder.id)
        if number is None:
            with self._store.writing() as con:
                number = add_encoder(con, self._encoder.id)
        self._encoder_id = number
        with self._store.reading() as con:
            known = known_images(con, number)
            plan = make_plan(scan.candidates, known, layout, source)
            return Placer(source, plan, known, content_owners(con, number), next_image_id(con))

    def _work_through(self, placer: Placer) -> None:
        self._progress.start(len(placer.plan.work))
        decoder = Decoder(self._encoder.prepare, lambda content: content in placer.owners)
        for result in decoder.decode_ahead(placer.plan.work, ahead=2 * self._settings.batch_size + 8):
            self._progress.advance(1)
            if isinstance(result, Refused):
                placer.refuse(result.candidate, result.rejection)
            else:
                placer.place(result)
            if self._is_full(placer.batch):
                self._pending.add(placer.encode(self._encoder))
                self._commit_if_due()
        self._pending.add(placer.encode(self._encoder))

    def _is_full(self, batch: Batch) -> bool:
        # Copies and failures need no encoder, so a batch of nothing else ends by its rows.
        return len(batch.to_encode) >= self._settings.batch_size or batch.rows.rows() >= self._settings.commit_rows

    def _commit_if_due(self) -> None:
        waited = time.monotonic() - self._last_commit
        if self._pending.rows() >= self._settings.commit_rows or waited >= self._settings.commit_seconds:
            self._commit()

    def _commit(self) -> None:
        # Cut between the database's commit and this reset, the same rows would be written twice.
        with interrupt_held_back():
            if self._pending.rows():
                with self._store.writing() as con:
                    self._pending.write(con, self._encoder_id)
            self._counts.update(self._pending.counts)
            self._failures += [failure.rejection for failure in self._pending.failures]
            self._pending = Pending()
        self._last_commit = time.monotonic()

    def _finish(self, placer: Placer, scan: Scan) -> None:
        """Record what only a whole walk can tell: labels read anew, what could not be entered, what is gone."""
        self._failures += scan.rejections
        # A folder that could not be entered hides its pictures; that does not make them gone.
        hidden = tuple(folder + os.sep for folder in scan.not_entered)
        gone = [i for i, image in placer.plan.vanished.items() if not image.path.startswith(hidden)]
        self._counts["removed"] += len(gone)
        seen = {candidate.address for candidate in scan.candidates} | {rejection.path for rejection in scan.rejections}
        with self._store.reading() as con:
            failed = failed_paths(con, placer.source)
        past = [path for path in failed if path not in seen and not path.startswith(hidden)]
        if gone or past or placer.plan.relabelled or scan.rejections:
            with self._store.writing() as con:
                mark_removed(con, gone)
                move_images(con, placer.plan.relabelled)
                clear_failures(con, past)
                add_failures(con, [Failure(rejection, placer.source, 0, 0) for rejection in scan.rejections])

    def _report(
        self, placer: Placer, scan: Scan, notes: tuple[str, ...], seconds: float, interrupted: bool
    ) -> IndexReport:
        counts = self._counts
        return IndexReport(
            added=counts["added"],
            unchanged=placer.plan.unchanged + counts["unchanged"],
            moved=counts["moved"],
            changed=counts["changed"],
            removed=counts["removed"],
            rejected=len(self._failures),
            unlabelled=placer.plan.unlabelled,
            ignored=scan.ignored,
            seconds=seconds,
            failures=tuple(self._failures),
            notes=notes,
            interrupted=interrupted,
        )


def _layout(given: Layout | None, scan: Scan) -> tuple[Layout, tuple[str, ...]]:
    """Return the layout to use, and what was assumed where the user said nothing."""
    told_by_source = scan.candidates[0].labels is not None
    if told_by_source or (given is not None and (given.pattern is not None or given.categories)):
        return given or Layout(), ()
    guessed = guess_layout([candidate.relative for candidate in scan.candidates])
    layout = replace(guessed, fixed=given.fixed) if given is not None else guessed
    return layout, (f"taking the folders as {guessed.described}",) if guessed.pattern is not None else ()


def scan_source(source: Source) -> Scan:
    """Look for pictures at a source, before a model is loaded or a store made.

    Raises:
        SourceError: there are none.
    """
    scan = source.scan()
    if not scan.candidates:
        raise _nothing_there(source, scan)
    return scan


def index_source(
    store: Store,
    source: Source,
    encoder: ImageEncoder,
    settings: IndexSettings | None = None,
    progress: Progress | None = None,
) -> IndexReport:
    """Bring a store up to a source: `scan_source`, then `Indexing.run`."""
    scan = scan_source(source)
    return Indexing(store, encoder, settings or IndexSettings(), progress or NoProgress()).run(source, scan)


def _nothing_there(source: Source, scan: Scan) -> SourceError:
    others = f" ({scan.ignored} files there are no pictures by their names)" if scan.ignored else ""
    return SourceError(f"there are no pictures in {source.root}{others}", "give the folder that the pictures are in")


def _nothing_usable(source: Source, report: IndexReport) -> SourceError:
    first = report.failures[0]
    return SourceError(
        f"none of the {report.rejected} pictures in {source.root} can be used; the first: {first.path}: "
        f"{first.reason.value} ({first.detail})",
        'see them all with: shotdex sql "SELECT path, reason, detail FROM failures"',
    )
