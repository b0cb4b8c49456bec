"""Batches on their way: rows to be encoded, in flight through the model, and encoded, ready to be committed.

A commit takes whole batches only, in their order. So an interrupted run, started again, cuts the rest of the source
into the same batches, and the model, whose last bits depend on what shares a batch, gives the same vectors as without
the interruption.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from shotdex.models.protocols import Prepared
from shotdex.store.arrow import vectors_to_arrow
from shotdex.store.encoded_batch import PLACEMENT
from shotdex.store.types import Failure, ImageVectors

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
