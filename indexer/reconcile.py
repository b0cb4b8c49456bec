"""What a decoded image is: the same as before, moved here, a copy of a known one, changed, or new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from shotdex.models.protocols import ImageEncoder, launch
from shotdex.store.types import Failure, ImageVectors, Reason

from .batch import Encoded, Flight, Row, encoded
from .contents import ContentTable, Owner
from .decode_pool import Decoded
from .plan import Planned


@dataclass(slots=True)
class Reconciler:
    """Turns decoded images into rows. Ids are given in the order of the source, so an interrupted run goes on alike.

    `schema` is that of the batches; `owners` is who has vectors by content, `vanished` which images are no longer where
    they were; `rows` are those of the batch that is being filled, `to_encode` how many of them the model is to see;
    `unencodable` are the contents that the model answered with NaN or infinity in this run, `dropped` the ids that they
    would have had.
    """

    source: str
    schema: pa.Schema
    owners: ContentTable
    vanished: ContentTable
    next_id: int
    rows: list[Row] = field(default_factory=list)
    to_encode: int = 0
    failures: int = 0
    unencodable: set[str] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)

    def refuse(self, item: Planned, failure: Failure) -> None:
        """Take in an image that cannot be used."""
        row, known = Row(item, failure=failure), item.known
        # What was an image and is now broken must not answer for what it was; an error in reading may pass, and a file
        # that is as it was is refused for its limits only, or for another encoder's.
        changed = known is not None and known.present and not known.same_file
        if known is not None and changed and failure.stage in ("decode", "encode"):
            row.replaces, row.outcome = known.image_id, "removed"
        self.rows.append(row)
        self.failures += 1

    def place(self, decoded: Decoded[Planned]) -> None:
        """Take in a decoded image."""
        item, known, content = decoded.item, decoded.item.known, decoded.content_sha256
        same = known is not None and known.content_sha256 == content
        if content in self.unencodable:
            # Its id is passed over as if the model had yet to say so: ids do not depend on how far ahead it is.
            self.next_id += not same
            self.refuse(item, _not_finite(item))
            return
        owner = self.owners.get(content)
        size = (decoded.width, decoded.height) if owner is None else (owner.width, owner.height)
        row = Row(item, content, *size, decoded.prepared)
        if known is not None and same:  # touched, back again, or without this encoder's vectors
            row.image_id = known.image_id
            row.outcome = "encoded" if not known.encoded else "unchanged"
            row.outcome = row.outcome if known.present else "added"
        elif known is None and (moved := self.vanished.take(content)) is not None:
            row.image_id, row.outcome = moved, "moved"
        else:  # with another image's path comes a new id
            changed = known is not None and known.present
            row.replaces = known.image_id if known is not None and changed else None
            row.image_id, row.is_new, row.outcome = self.next_id, True, "changed" if changed else "added"
            self.next_id += 1
        if row.is_new or (known is not None and not known.encoded):
            self._give_vectors(row, content, owner)
        self.rows.append(row)

    def _give_vectors(self, row: Row, content: str, owner: Owner | None) -> None:
        assert row.image_id is not None
        if owner is not None:
            row.vectors_of = owner.image_id
            return
        row.vectors_of = row.image_id
        self.owners.add(content, Owner(row.image_id, row.width or 0, row.height or 0))
        self.to_encode += 1

    def launch(self, encoder: ImageEncoder) -> Flight:
        """Send the batch to the model and start a new one."""
        rows, failures = self.rows, self.failures
        self.rows, self.to_encode, self.failures = [], 0, 0
        prepared = [row.prepared for row in rows if row.is_to_encode and row.prepared is not None]
        fetch = launch(encoder, prepared) if prepared else None
        return Flight(failures, lambda: self._finish(rows, fetch))

    def _finish(self, rows: list[Row], fetch: Callable[[], ImageVectors] | None) -> Encoded:
        """Return a batch with the model's answer; batches are to be finished in the order of their launch."""
        vectors = fetch() if fetch is not None else None
        if vectors is not None:
            finite = np.logical_and(np.isfinite(vectors.joint).all(axis=1), np.isfinite(vectors.vision).all(axis=1))
            if not finite.all():
                sent = [row for row in rows if row.is_to_encode]
                vectors = ImageVectors(vectors.joint[finite], vectors.vision[finite])
                for row, usable in zip(sent, finite.tolist(), strict=True):
                    if not usable:
                        self._drop(row)
        for row in rows:  # copies come after what they are copied from
            if row.vectors_of in self.dropped:
                self._drop(row)
        return encoded(rows, vectors, self.source, self.schema)

    def _drop(self, row: Row) -> None:
        """Make a failure of an image that the model answers with NaN or infinity; a known one keeps its row."""
        assert row.image_id is not None
        assert row.content is not None
        self.unencodable.add(row.content)
        self.owners.remove(row.content)
        if row.is_to_encode:
            self.dropped.add(row.image_id)
        if row.is_new:
            row.image_id, row.is_new, row.content, row.width, row.height = None, False, None, None, None
        row.vectors_of = None
        row.outcome = "removed" if row.outcome == "changed" else None
        row.failure = _not_finite(row.item)


def _not_finite(item: Planned) -> Failure:
    return Failure(item.address, "encode", Reason.MODEL_OUTPUT, "the vector is not finite")
