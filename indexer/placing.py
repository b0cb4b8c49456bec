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


@dataclass(frozen=True, slots=True)
class Waiting:
    """A picture that is to get vectors. `outcome` is what it counts as when it has them."""

    image_id: int
    decoded: Decoded
    outcome: str


@dataclass(slots=True)
class Batch:
    """One batch being filled: its rows, the pictures that the encoder is to see, and copies with their owners' ids."""

    rows: Pending = field(default_factory=Pending)
    to_encode: list[Waiting] = field(default_factory=list)
    copied: list[tuple[Waiting, int]] = field(default_factory=list)


@dataclass(slots=True)
class Placer:
    """Turns decoded pictures into rows. Ids are given in the order of the source, so an interrupted run goes on alike.

    `known` is what the catalog has by path, `owners` who has vectors by content, `unencodable` the contents that the
    model answered with NaN or infinity in this run.
    """

    source: str
    plan: Plan
    known: Mapping[str, KnownImage]
    owners: dict[str, Owner]
    next_id: int
    batch: Batch = field(default_factory=Batch)
    unencodable: set[str] = field(default_factory=set)
    _vanished: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Reversed, so that of several with the same content the one with the lowest id is found.
        self._vanished = {
            image.content_sha256: image_id for image_id, image in reversed(self.plan.vanished.items()) if image.encoded
        }

    def refuse(self, candidate: Candidate, rejection: Rejection) -> None:
        """Take down a picture that cannot be used."""
        rows, known = self.batch.rows, self.known.get(candidate.address)
        rows.failures.append(Failure(rejection, self.source, candidate.size_bytes, candidate.modified_ns))
        # What was a picture and is now broken must not answer for what it was; an error in reading may pass.
        if known is not None and known.present and rejection.stage in ("decode", "encode"):
            rows.replaced.append(known.image_id)
            rows.counts["removed"] += 1

    def place(self, decoded: Decoded) -> None:
        """Take in a decoded picture."""
        candidate, known = decoded.candidate, self.known.get(decoded.candidate.address)
        if decoded.content_sha256 in self.unencodable:
            self.refuse(candidate, _not_finite(candidate))
        elif known is not None and known.content_sha256 == decoded.content_sha256:
            self._refresh(decoded, known)
        elif known is None and decoded.content_sha256 in self._vanished:
            self._move(decoded)
        else:
            self._add(decoded, known)

    def _refresh(self, decoded: Decoded, known: KnownImage) -> None:
        """Handle a path whose content is on record: touched, back again, or without this encoder's vectors."""
        self.batch.rows.moves[known.image_id] = self._place_of(decoded.candidate)
        if known.encoded:
            self.batch.rows.counts["unchanged" if known.present else "added"] += 1
        else:
            self._give_vectors(Waiting(known.image_id, decoded, "added"))

    def _move(self, decoded: Decoded) -> None:
        """Handle the content of a file that is no longer where it was: it keeps its row and its vectors."""
        image_id = self._vanished.pop(decoded.content_sha256)
        del self.plan.vanished[image_id]
        self.batch.rows.moves[image_id] = self._place_of(decoded.candidate)
        self.batch.rows.counts["moved"] += 1

    def _add(self, decoded: Decoded, known: KnownImage | None) -> None:
        """Handle content that is new at its path: a new row, and with another picture's path a new id."""
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
        self.owners[decoded.content_sha256] = Owner(waiting.image_id, decoded.width, decoded.height)
        self.batch.to_encode.append(waiting)

    def _record(self, image_id: int, decoded: Decoded) -> ImageRecord:
        candidate, labels = decoded.candidate, self.plan.labels[decoded.candidate.address]
        owner = self.owners.get(decoded.content_sha256)
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
        prepared = [waiting.decoded.prepared for waiting in batch.to_encode if waiting.decoded.prepared is not None]
        dropped: set[int] = set()
        if prepared:
            vectors = encoder.encode_prepared(prepared)
            finite = np.logical_and(np.isfinite(vectors.joint).all(axis=1), np.isfinite(vectors.vision).all(axis=1))
            batch.rows.vectors.append(ImageVectors(vectors.joint[finite], vectors.vision[finite]))
            for waiting, usable in zip(batch.to_encode, finite.tolist(), strict=True):
                if usable:
                    batch.rows.encoded_ids.append(waiting.image_id)
                    batch.rows.counts[waiting.outcome] += 1
                else:
                    dropped.add(waiting.image_id)
                    self._drop(batch.rows, waiting)
        for waiting, owner_id in batch.copied:
            if owner_id in dropped:
                self._drop(batch.rows, waiting)
            else:
                batch.rows.copies.append((waiting.image_id, owner_id))
                batch.rows.counts[waiting.outcome] += 1
        return batch.rows

    def _drop(self, rows: Pending, waiting: Waiting) -> None:
        """Make a failure of a picture that the model answers with NaN or infinity."""
        decoded, candidate = waiting.decoded, waiting.decoded.candidate
        self.unencodable.add(decoded.content_sha256)
        self.owners.pop(decoded.content_sha256, None)
        rows.images = [image for image in rows.images if image.image_id != waiting.image_id]
        rows.counts["removed"] += waiting.outcome == "changed"
        rejection = _not_finite(candidate)
        rows.failures.append(Failure(rejection, self.source, candidate.size_bytes, candidate.modified_ns))


def _not_finite(candidate: Candidate) -> Rejection:
    return Rejection(candidate.address, "encode", Reason.MODEL_OUTPUT, "the vector is not finite")
