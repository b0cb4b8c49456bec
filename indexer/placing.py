"""What a decoded picture is: the same as before, moved here, a copy of a known one, changed, or new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from shotdex.store.images import Failure, KnownImage, NewPlace
from shotdex.store.vectors import Owner
from shotdex.store.words import ImageEncoder, ImageRecord, ImageVectors, Reason, Rejection

from .batch import Pending
from .decoding import Decoded
from .plan import Plan
from .sources import Candidate


@dataclass(slots=True)
class Batch:
    """One batch being filled: the rows that it will give, and the pictures that the encoder is still to see."""

    rows: Pending = field(default_factory=Pending)
    to_encode: list[tuple[int, Decoded]] = field(default_factory=list)


@dataclass(slots=True)
class Counts:
    """What was done so far, in pictures."""

    added: int = 0
    moved: int = 0
    changed: int = 0
    removed: int = 0


@dataclass(slots=True)
class Placer:
    """Turns decoded pictures into rows. Ids are given in the order of the source, so an interrupted run goes on alike.

    `known` is what the catalog has by path, `owners` who has vectors by content; both grow stale only by what the
    placer itself does, since there is one writer.
    """

    source: str
    plan: Plan
    known: Mapping[str, KnownImage]
    owners: dict[str, Owner]
    next_id: int
    batch: Batch = field(default_factory=Batch)
    counts: Counts = field(default_factory=Counts)
    failures: list[Rejection] = field(default_factory=list)
    _vanished: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Reversed, so that of several with the same content the one with the lowest id is found.
        self._vanished = {
            image.content_sha256: image_id for image_id, image in reversed(self.plan.vanished.items()) if image.encoded
        }

    def refuse(self, candidate: Candidate, rejection: Rejection) -> None:
        """Take down a picture that cannot be used."""
        self.failures.append(rejection)
        failure = Failure(rejection, self.source, candidate.size_bytes, candidate.modified_ns)
        self.batch.rows.failures.append(failure)
        known = self.known.get(candidate.address)
        # What was a picture and is now broken must not answer for what it was; an error in reading may pass.
        if known is not None and known.present and rejection.stage == "decode":
            self.batch.rows.replaced.append(known.image_id)
            self.counts.removed += 1

    def place(self, decoded: Decoded) -> None:
        """Take in a decoded picture."""
        candidate, known = decoded.candidate, self.known.get(decoded.candidate.address)
        if known is not None and known.content_sha256 == decoded.content_sha256:
            self._refresh(decoded, known)
            return
        moved_from = self._vanished.pop(decoded.content_sha256, None) if known is None else None
        if moved_from is not None:
            self.batch.rows.moves[moved_from] = self._place_of(candidate)
            del self.plan.vanished[moved_from]
            self.counts.moved += 1
            return
        if known is not None and known.present:
            self.batch.rows.replaced.append(known.image_id)
            self.counts.changed += 1
        else:
            self.counts.added += 1
        image_id, self.next_id = self.next_id, self.next_id + 1
        owner = self.owners.get(decoded.content_sha256)
        self.batch.rows.images.append(self._record(image_id, decoded, owner))
        self._give_vectors(image_id, decoded, owner)

    def _refresh(self, decoded: Decoded, known: KnownImage) -> None:
        """Handle a path whose content is on record: touched, back again, or without this encoder's vectors."""
        self.batch.rows.moves[known.image_id] = self._place_of(decoded.candidate)
        if known.encoded and known.present:
            self.plan.unchanged += 1
            return
        self.counts.added += 1
        if not known.encoded:
            self._give_vectors(known.image_id, decoded, self.owners.get(decoded.content_sha256))

    def _give_vectors(self, image_id: int, decoded: Decoded, owner: Owner | None) -> None:
        if owner is not None:
            self.batch.rows.copies.append((image_id, owner.image_id))
            return
        self.owners[decoded.content_sha256] = Owner(image_id, decoded.width, decoded.height)
        self.batch.to_encode.append((image_id, decoded))

    def _record(self, image_id: int, decoded: Decoded, owner: Owner | None) -> ImageRecord:
        candidate, labels = decoded.candidate, self.plan.labels[decoded.candidate.address]
        return ImageRecord(
            image_id=image_id,
            path=candidate.address,
            source=self.source,
            category=labels.category,
            condition=labels.condition,
            split=labels.split,
            content_sha256=decoded.content_sha256,
            width=owner.width if owner is not None else decoded.width,
            height=owner.height if owner is not None else decoded.height,
            size_bytes=candidate.size_bytes,
            modified_ns=candidate.modified_ns,
        )

    def _place_of(self, candidate: Candidate) -> NewPlace:
        labels = self.plan.labels[candidate.address]
        return NewPlace(candidate.address, self.source, candidate.size_bytes, candidate.modified_ns, labels)

    def encode(self, encoder: ImageEncoder) -> Pending:
        """Run the model on the batch, start a new one, and return the rows of the old."""
        batch, self.batch = self.batch, Batch()
        prepared = [decoded.prepared for _, decoded in batch.to_encode if decoded.prepared is not None]
        if not prepared:
            return batch.rows
        vectors = encoder.encode_prepared(prepared)
        finite = np.logical_and(np.isfinite(vectors.joint).all(axis=1), np.isfinite(vectors.vision).all(axis=1))
        batch.rows.vectors.append(ImageVectors(vectors.joint[finite], vectors.vision[finite]))
        for (image_id, decoded), usable in zip(batch.to_encode, finite.tolist(), strict=True):
            if usable:
                batch.rows.encoded_ids.append(image_id)
            else:
                self._drop(batch, image_id, decoded)
        return batch.rows

    def _drop(self, batch: Batch, image_id: int, decoded: Decoded) -> None:
        """Make a failure of a picture that the model answers with NaN or infinity."""
        candidate = decoded.candidate
        batch.rows.images = [image for image in batch.rows.images if image.image_id != image_id]
        batch.rows.copies = [copy for copy in batch.rows.copies if copy[1] != image_id]
        self.owners.pop(decoded.content_sha256, None)
        self.counts.added -= 1
        rejection = Rejection(candidate.address, "encode", Reason.MODEL_OUTPUT, "the vector is not finite")
        self.failures.append(rejection)
        batch.rows.failures.append(Failure(rejection, self.source, candidate.size_bytes, candidate.modified_ns))
