"""What a decoded image is: the same as before, moved here, a copy of a known one, changed, or new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from shotdex.models.protocols import ImageEncoder, launch
from shotdex.store.images import FailureRecord, KnownImage, NewPlace
from shotdex.store.types import Failure, ImageRecord, ImageVectors, Reason

from .batch import Pending
from .contents import ContentTable, Owner
from .decode_pool import Decoded
from .pipeline import Flight
from .plan import Planned


@dataclass(frozen=True, slots=True)
class Waiting:
    """An image that is to get vectors. `outcome` is what it counts as when it has them."""

    image_id: int
    decoded: Decoded[Planned]
    outcome: str


@dataclass(slots=True)
class Batch:
    """One batch being filled: its rows, the images that the encoder is to see, and copies with their owners' ids."""

    rows: Pending = field(default_factory=Pending)
    to_encode: list[Waiting] = field(default_factory=list)
    copied: list[tuple[Waiting, int]] = field(default_factory=list)


@dataclass(slots=True)
class Reconciler:
    """Turns decoded images into rows. Ids are given in the order of the source, so an interrupted run goes on alike.

    `owners` is who has vectors by content, `vanished` which images are no longer where they were, `decoder` what
    failures are recorded with, `unencodable` the contents that the model answered with NaN or infinity in this run,
    `dropped` the ids that they would have had.
    """

    source: str
    decoder: str
    owners: ContentTable
    vanished: ContentTable
    next_id: int
    batch: Batch = field(default_factory=Batch)
    unencodable: set[str] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)

    def refuse(self, item: Planned, failure: Failure) -> None:
        """Take down an image that cannot be used."""
        rows, known = self.batch.rows, item.known
        rows.failures.append(self._failure(item, failure))
        # What was an image and is now broken must not answer for what it was; an error in reading may pass, and a file
        # that is as it was is refused for its limits only, or for another encoder's.
        changed = known is not None and known.present and not known.same_file
        if known is not None and changed and failure.stage in ("decode", "encode"):
            rows.replaced.append(known.image_id)
            rows.counts["removed"] += 1

    def place(self, decoded: Decoded[Planned]) -> None:
        """Take in a decoded image."""
        item, known = decoded.item, decoded.item.known
        if decoded.content_sha256 in self.unencodable:
            # Its id is passed over as if the model had yet to say so: ids do not depend on how far ahead it is.
            self.next_id += known is None or known.content_sha256 != decoded.content_sha256
            self.refuse(item, _not_finite(item))
        elif known is not None and known.content_sha256 == decoded.content_sha256:
            self._refresh(decoded, known)
        elif known is None and (moved := self.vanished.take(decoded.content_sha256)) is not None:
            self.batch.rows.moves[moved] = self._place_of(item)
            self.batch.rows.counts["moved"] += 1
        else:
            self._add(decoded)

    def _refresh(self, decoded: Decoded[Planned], known: KnownImage) -> None:
        """Handle a path whose content is on record: touched, back again, or without this encoder's vectors."""
        self.batch.rows.moves[known.image_id] = self._place_of(decoded.item)
        if known.encoded:
            self.batch.rows.counts["unchanged" if known.present else "added"] += 1
        else:
            self._give_vectors(Waiting(known.image_id, decoded, "encoded" if known.present else "added"))

    def _add(self, decoded: Decoded[Planned]) -> None:
        """Handle content that is new at its path: a new row, and with another image's path a new id."""
        known = decoded.item.known
        changed = known is not None and known.present
        if known is not None and changed:
            self.batch.rows.replaced.append(known.image_id)
        image_id, self.next_id = self.next_id, self.next_id + 1
        self.batch.rows.images.append(self._record(image_id, decoded))
        self._give_vectors(Waiting(image_id, decoded, "changed" if changed else "added"))

    def _give_vectors(self, waiting: Waiting) -> None:
        decoded = waiting.decoded
        owner = self.owners.get(decoded.content_sha256)
        if owner is not None:
            self.batch.copied.append((waiting, owner.image_id))
            return
        self.owners.add(decoded.content_sha256, Owner(waiting.image_id, decoded.width, decoded.height))
        self.batch.to_encode.append(waiting)

    def _record(self, image_id: int, decoded: Decoded[Planned]) -> ImageRecord:
        item = decoded.item
        owner = self.owners.get(decoded.content_sha256)
        return ImageRecord(
            image_id=image_id,
            path=item.address,
            source=self.source,
            category=item.labels.category,
            condition=item.labels.condition,
            split=item.labels.split,
            content_sha256=decoded.content_sha256,
            width=owner.width if owner is not None else decoded.width,
            height=owner.height if owner is not None else decoded.height,
            size_bytes=item.candidate.size_bytes,
            modified_ns=item.candidate.modified_ns,
            metadata=item.metadata,
        )

    def _place_of(self, item: Planned) -> NewPlace:
        candidate = item.candidate
        size, modified = candidate.size_bytes, candidate.modified_ns
        return NewPlace(item.address, self.source, size, modified, item.labels, item.metadata)

    def _failure(self, item: Planned, failure: Failure) -> FailureRecord:
        return FailureRecord(failure, self.source, item.candidate.size_bytes, item.candidate.modified_ns, self.decoder)

    def launch(self, encoder: ImageEncoder) -> Flight:
        """Send the batch to the model and start a new one."""
        batch, self.batch = self.batch, Batch()
        prepared = [waiting.decoded.prepared for waiting in batch.to_encode if waiting.decoded.prepared is not None]
        fetch = launch(encoder, prepared) if prepared else None
        return Flight(len(batch.rows.failures), lambda: self._finish(batch, fetch))

    def _finish(self, batch: Batch, fetch: Callable[[], ImageVectors] | None) -> Pending:
        """Return a batch's rows with the model's answer; batches are to be finished in the order of their launch."""
        if fetch is not None:
            vectors = fetch()
            finite = np.logical_and(np.isfinite(vectors.joint).all(axis=1), np.isfinite(vectors.vision).all(axis=1))
            batch.rows.vectors.append(ImageVectors(vectors.joint[finite], vectors.vision[finite]))
            for waiting, usable in zip(batch.to_encode, finite.tolist(), strict=True):
                if usable:
                    batch.rows.encoded_ids.append(waiting.image_id)
                    batch.rows.counts[waiting.outcome] += 1
                else:
                    self.dropped.add(waiting.image_id)
                    self._drop(batch.rows, waiting)
        for waiting, owner_id in batch.copied:
            if owner_id in self.dropped:
                self._drop(batch.rows, waiting)
            else:
                batch.rows.copies.append((waiting.image_id, owner_id))
                batch.rows.counts[waiting.outcome] += 1
        return batch.rows

    def _drop(self, rows: Pending, waiting: Waiting) -> None:
        """Make a failure of an image that the model answers with NaN or infinity."""
        decoded, item = waiting.decoded, waiting.decoded.item
        self.unencodable.add(decoded.content_sha256)
        self.owners.remove(decoded.content_sha256)
        rows.images = [image for image in rows.images if image.image_id != waiting.image_id]
        rows.counts["removed"] += waiting.outcome == "changed"
        rows.failures.append(self._failure(item, _not_finite(item)))


def _not_finite(item: Planned) -> Failure:
    return Failure(item.address, "encode", Reason.MODEL_OUTPUT, "the vector is not finite")
