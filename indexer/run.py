"""One indexing: scan a source, decode ahead, encode in batches, commit whole batches as it goes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from shotdex.store.encoders import add_encoder, number_of
from shotdex.store.errors import SourceError
from shotdex.store.images import (
    Failure,
    KnownImage,
    NewPlace,
    add_failures,
    known_images,
    mark_removed,
    move_images,
    next_image_id,
)
from shotdex.store.pictures import quiet_pillow
from shotdex.store.store import Store
from shotdex.store.vector_index import write_index
from shotdex.store.vectors import Owner, content_owners
from shotdex.store.words import ImageEncoder, ImageRecord, ImageVectors, IndexReport, Reason, Rejection

from .batch import Pending
from .decoding import Decoded, Decoder, Refused
from .interrupt import interrupt_held_back
from .layout import Layout, guess_layout
from .plan import Plan, make_plan
from .sources import Candidate, Scan, Source

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


@dataclass(slots=True)
class _Batch:
    """One batch being filled: the rows it will give, and the pictures the encoder is still to see."""

    rows: Pending = field(default_factory=Pending)
    to_encode: list[tuple[int, Decoded]] = field(default_factory=list)


class Indexing:
    """The state of one indexing. `run` does it all; a second `run` is not meant."""

    def __init__(self, store: Store, encoder: ImageEncoder, settings: IndexSettings, progress: Progress) -> None:
        self._store = store
        self._encoder = encoder
        self._settings = settings
        self._progress = progress
        self._pending = Pending()
        self._batch = _Batch()
        self._failures: list[Rejection] = []
        self._counts = {"added": 0, "moved": 0, "changed": 0, "removed": 0}
        self._last_commit = time.monotonic()
        self._encoder_id = 0
        self._next_id = 0
        self._source = ""
        self._known: Mapping[str, KnownImage] = {}
        self._plan = Plan()
        self._owners: dict[str, Owner] = {}
        self._vanished_by_content: dict[str, int] = {}

    def run(self, source: Source, scan: Scan) -> IndexReport:
        """Index what a scan of a source found and return what was done.

        Raises:
            SourceError: no picture is usable.
            StoreLocked: another process holds the catalog.
        """
        started = time.monotonic()
        quiet_pillow()
        layout, notes = self._layout(scan)
        self._open(source, scan, layout)
        interrupted = False
        try:
            self._work_through()
        except KeyboardInterrupt:
            interrupted = True
        if not interrupted:
            self._finish(scan)
        self._commit()
        with self._store.reading() as con:
            write_index(self._store, con, self._encoder_id, self._encoder.id)
        report = self._report(scan, notes, time.monotonic() - started, interrupted)
        if not interrupted and report.added + report.changed + report.moved + report.unchanged == 0:
            raise _nothing_usable(source, report)
        return report

    def _layout(self, scan: Scan) -> tuple[Layout, tuple[str, ...]]:
        given = self._settings.layout
        if given is not None and (given.pattern is not None or given.categories or scan.candidates[0].labels):
            return given, ()
        guessed = guess_layout([candidate.relative for candidate in scan.candidates])
        note = (
            (f"taking the folders as {guessed.described} (set --layout for another reading)",)
            if guessed.pattern
            else ()
        )
        if scan.candidates[0].labels or guessed.pattern is None:
            note = ()
        fixed = given.fixed if given is not None else guessed.fixed
        return Layout(guessed.pattern, guessed.ends_in_field, fixed=fixed, described=guessed.described), note

    def _open(self, source: Source, scan: Scan, layout: Layout) -> None:
        self._source = str(source.root)
        with self._store.reading() as con:
            number = number_of(con, self._encoder.id)
        if number is None:
            with self._store.writing() as con:
                number = add_encoder(con, self._encoder.id)
        self._encoder_id = number
        with self._store.reading() as con:
            self._known = known_images(con, number)
            self._owners = content_owners(con, number)
            self._next_id = next_image_id(con)
        self._plan = make_plan(scan.candidates, self._known, layout, self._source)
        self._vanished_by_content = {
            image.content_sha256: image_id for image_id, image in reversed(self._plan.vanished.items()) if image.encoded
        }

    def _work_through(self) -> None:
        self._progress.start(len(self._plan.work))
        decoder = Decoder(self._encoder.prepare, lambda content: content in self._owners)
        for result in decoder.decode_ahead(self._plan.work, ahead=2 * self._settings.batch_size + 8):
            self._progress.advance(1)
            if isinstance(result, Refused):
                self._refuse(result.candidate, result.rejection)
            else:
                self._place(result)
            if self._batch_is_full():
                self._encode()
                self._commit_if_due()
        self._encode()

    def _batch_is_full(self) -> bool:
        if len(self._batch.to_encode) >= self._settings.batch_size:
            return True
        return self._batch.rows.rows() >= self._settings.commit_rows  # copies and failures need no encoder

    def _refuse(self, candidate: Candidate, rejection: Rejection) -> None:
        self._failures.append(rejection)
        self._batch.rows.failures.append(Failure(rejection, self._source, candidate.size_bytes, candidate.modified_ns))

    def _place(self, decoded: Decoded) -> None:
        """Decide what a decoded picture is: the same as before, moved here, a copy of a known one, changed, or new."""
        candidate, known = decoded.candidate, self._known.get(decoded.candidate.address)
        if known is not None and known.content_sha256 == decoded.content_sha256:
            self._refresh(decoded, known)
            return
        moved_from = self._vanished_by_content.pop(decoded.content_sha256, None)
        if moved_from is not None and known is None:
            self._batch.rows.moves[moved_from] = self._new_place(candidate)
            self._plan.vanished.pop(moved_from, None)
            self._counts["moved"] += 1
            return
        if known is not None and known.present:
            self._batch.rows.replaced.append(known.image_id)
        self._counts["changed" if known is not None and known.present else "added"] += 1
        image_id, self._next_id = self._next_id, self._next_id + 1
        owner = self._owners.get(decoded.content_sha256)
        self._batch.rows.images.append(self._record(image_id, decoded, owner))
        self._give_vectors(image_id, decoded, owner)

    def _refresh(self, decoded: Decoded, known: KnownImage) -> None:
        """Handle a path whose content is on record: touched, back again, or without this encoder's vectors."""
        self._batch.rows.moves[known.image_id] = self._new_place(decoded.candidate)
        if known.encoded:
            self._plan.unchanged += known.present
            self._counts["added"] += not known.present
            return
        self._counts["added"] += 1
        self._give_vectors(known.image_id, decoded, self._owners.get(decoded.content_sha256))

    def _give_vectors(self, image_id: int, decoded: Decoded, owner: Owner | None) -> None:
        if owner is not None:
            self._batch.rows.copies.append((image_id, owner.image_id))
            return
        self._owners[decoded.content_sha256] = Owner(image_id, decoded.width, decoded.height)
        self._batch.to_encode.append((image_id, decoded))

    def _record(self, image_id: int, decoded: Decoded, owner: Owner | None) -> ImageRecord:
        candidate, labels = decoded.candidate, self._plan.labels[decoded.candidate.address]
        return ImageRecord(
            image_id=image_id,
            path=candidate.address,
            source=self._source,
            category=labels.category,
            condition=labels.condition,
            split=labels.split,
            content_sha256=decoded.content_sha256,
            width=owner.width if owner is not None else decoded.width,
            height=owner.height if owner is not None else decoded.height,
            size_bytes=candidate.size_bytes,
            modified_ns=candidate.modified_ns,
        )

    def _new_place(self, candidate: Candidate) -> NewPlace:
        labels = self._plan.labels[candidate.address]
        return NewPlace(candidate.address, self._source, candidate.size_bytes, candidate.modified_ns, labels)

    def _encode(self) -> None:
        """Run the model on the batch and let its rows wait for the next commit."""
        batch, self._batch = self._batch, _Batch()
        prepared = [decoded.prepared for _, decoded in batch.to_encode if decoded.prepared is not None]
        if prepared:
            vectors = self._encoder.encode_prepared(prepared)
            finite = np.logical_and(np.isfinite(vectors.joint).all(axis=1), np.isfinite(vectors.vision).all(axis=1))
            usable = [bool(ok) for ok in finite]
            batch.rows.vectors.append(ImageVectors(vectors.joint[finite], vectors.vision[finite]))
            batch.rows.encoded_ids += [
                image_id for (image_id, _), ok in zip(batch.to_encode, usable, strict=True) if ok
            ]
            self._drop_unencodable(batch, [item for item, ok in zip(batch.to_encode, usable, strict=True) if not ok])
        self._pending.add(batch.rows)

    def _drop_unencodable(self, batch: _Batch, items: Sequence[tuple[int, Decoded]]) -> None:
        for image_id, decoded in items:
            batch.rows.images = [image for image in batch.rows.images if image.image_id != image_id]
            self._owners.pop(decoded.content_sha256, None)
            rejection = Rejection(decoded.candidate.address, "encode", Reason.MODEL_OUTPUT, "not a finite vector")
            self._failures.append(rejection)
            self._counts["added"] -= 1
            candidate = decoded.candidate
            batch.rows.failures.append(Failure(rejection, self._source, candidate.size_bytes, candidate.modified_ns))

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
            self._pending = Pending()
        self._last_commit = time.monotonic()

    def _finish(self, scan: Scan) -> None:
        """Record what only a whole walk can tell: labels read anew, what could not be entered, what is gone."""
        self._failures += scan.rejections
        # A folder that could not be entered hides its pictures; that does not make them gone.
        gone = [] if scan.rejections else list(self._plan.vanished)
        self._counts["removed"] = len(gone)
        if not (gone or self._plan.relabelled or scan.rejections):
            return
        with self._store.writing() as con:
            mark_removed(con, gone)
            move_images(con, self._plan.relabelled)
            add_failures(con, [Failure(rejection, self._source, 0, 0) for rejection in scan.rejections])

    def _report(self, scan: Scan, notes: tuple[str, ...], seconds: float, interrupted: bool) -> IndexReport:
        return IndexReport(
            **self._counts,
            unchanged=self._plan.unchanged,
            rejected=len(self._failures),
            unlabelled=self._plan.unlabelled,
            ignored=scan.ignored,
            seconds=seconds,
            failures=tuple(self._failures),
            notes=notes,
            interrupted=interrupted,
        )


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
