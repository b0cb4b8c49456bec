"""From decoded images to batches: the same as before, moved here, a copy of a known one, changed, or new.

A batch's rows are filled in, it is in flight through the model, then encoded and ready to be committed. A commit takes
whole batches only, in their order. So an interrupted run, started again, cuts the rest of the source into the same
batches, and the model, whose last bits depend on what shares a batch, gives the same vectors as without the
interruption.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from shotdex.models.protocols import ImageEncoder, Prepared, launch
from shotdex.store.arrow import vectors_to_arrow
from shotdex.store.encoded_batch import PLACEMENT
from shotdex.store.types import Failure, ImageVectors, Reason

from .contents import ContentTable, Owner
from .decode_pool import Decoded
from .plan import Planned


@dataclass(slots=True)
class Row:
    """One image of a batch. `outcome` is what it counts as in the report, where it does.

    `content` is its SHA-256, `width` and `height` are pixels, where known. `image_id`, `is_new`, `replaces` and
    `vectors_of` say what it means in the catalog: see `PLACEMENT`.
    """

    item: Planned
    content: str | None = None
    width: int | None = None
    height: int | None = None
    prepared: Prepared | None = None
    image_id: int | None = None
    is_new: bool = False
    replaces: int | None = None
    vectors_of: int | None = None
    outcome: str | None = None
    failure: Failure | None = None

    @property
    def is_to_encode(self) -> bool:
        """Whether the model is to see it."""
        return self.vectors_of is not None and self.vectors_of == self.image_id


@dataclass(frozen=True, slots=True)
class Encoded:
    """A batch ready to be committed, with its `placement`; `found` are images that have turned up again."""

    batch: pa.Table
    placement: pa.Table
    found: list[int]
    failures: list[Failure]
    counts: Counter[str]


def encoded(rows: Sequence[Row], vectors: ImageVectors | None, source: str, schema: pa.Schema) -> Encoded:
    """Return rows with their vectors as a batch of a schema; `vectors` are, in order, those of rows to encode."""
    items, labels = [row.item for row in rows], [row.item.labels for row in rows]
    failures = [row.failure for row in rows if row.failure is not None]
    columns = {
        "address": [item.address for item in items],
        "source": [source] * len(rows),
        "category": [label.category for label in labels],
        "condition": [label.condition for label in labels],
        "split": [label.split for label in labels],
        "metadata": [item.metadata for item in items],
        "sha256": [row.content for row in rows],
        "width": [row.width for row in rows],
        "height": [row.height for row in rows],
        "size_bytes": [item.size_bytes for item in items],
        "modified_ns": [item.modified_ns for item in items],
        "joint": _spread(rows, None if vectors is None else vectors.joint, schema.field("joint").type.list_size),
        "vision": _spread(rows, None if vectors is None else vectors.vision, schema.field("vision").type.list_size),
        "failure": [
            None if one is None else {"reason": one.reason.value, "stage": one.stage, "detail": one.detail}
            for one in (row.failure for row in rows)
        ],
    }
    return Encoded(
        pa.table(columns, schema),
        pa.table({name: [getattr(row, name) for row in rows] for name in PLACEMENT.names}, PLACEMENT),
        [row.image_id for row in rows if row.image_id is not None and not row.is_new],
        failures,
        Counter(row.outcome for row in rows if row.outcome is not None),
    )


def _spread(rows: Sequence[Row], vectors: np.ndarray | None, dim: int) -> pa.Array:
    """Return a column of all rows with the vectors of those that were encoded."""
    own = np.array([row.is_to_encode for row in rows], dtype=bool)
    if vectors is not None and own.all():
        return vectors_to_arrow(vectors)
    column = np.zeros((len(rows), dim), dtype=np.float32)
    if vectors is not None:
        column[own] = vectors
    return vectors_to_arrow(column, ~own)


@dataclass(frozen=True, slots=True)
class Flight:
    """A batch on its way. `failures` of its images are known already; `finish` waits for the model's answer."""

    failures: int
    finish: Callable[[], Encoded]


@dataclass(slots=True)
class Pipeline:
    """Up to `most` batches in flight. What comes out is in the order of what went in, so every commit is a prefix."""

    most: int
    _flying: deque[Flight] = field(default_factory=deque)

    def push(self, flight: Flight, last: bool = False) -> Iterator[Encoded]:
        """Take in a batch that was launched; yield those that are due now, which after the last are all of them."""
        self._flying.append(flight)
        while len(self._flying) >= (1 if last else self.most):
            yield self._flying.popleft().finish()

    def failures(self) -> int:
        """Return how many failures are in the batches on their way."""
        return sum(flight.failures for flight in self._flying)


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
