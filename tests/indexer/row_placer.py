"""The naive twin of placing: one Python object per image, as shotdex placed images before it did so by columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotdex.indexer.decode_pool import Decoded
from shotdex.models.protocols import ImageEncoder, Prepared, launch
from shotdex.store.arrow import vectors_to_arrow
from shotdex.store.encoded_batch import PLACEMENT
from shotdex.store.images import Labels
from shotdex.store.types import Failure, ImageVectors, Reason


@dataclass(frozen=True, slots=True)
class KnownImage:
    """What the catalog remembers of the image at one address. `same_file`: its size and time are as they were."""

    image_id: int
    content_sha256: str
    encoded: bool
    present: bool
    same_file: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """An image that has to be read. `known` is what the catalog has at its address, if anything."""

    address: str
    size_bytes: int
    modified_ns: int
    labels: Labels
    metadata: str | None
    known: KnownImage | None


LATELY = 65_536
"""How many arrivals the dict takes before they are sorted in."""

_ROW = np.dtype([("high", "<u8"), ("low", "<u8"), ("image_id", "<i8"), ("width", "<i4"), ("height", "<i4")])


@dataclass(frozen=True, slots=True)
class Owner:
    """The image that a content's vectors are copied from, and the content's size in pixels."""

    image_id: int
    width: int = 0
    height: int = 0


class ContentTable:
    """Content hashes (64 hex digits) with an owner each. Reading from other threads while one adds is safe."""

    def __init__(self) -> None:
        # The first column once more by itself: a search in a column of wider rows would copy it each time.
        self._runs: tuple[tuple[npt.NDArray[np.uint64], npt.NDArray[np.void]], ...] = ()
        self._lately: dict[str, Owner] = {}
        self._gone: set[int] = set()

    def extend(self, contents: Sequence[str], owners: Sequence[Owner]) -> None:
        """Add many at once."""
        arrived = np.empty(len(contents), _ROW)
        digests = np.frombuffer(bytes.fromhex("".join(contents)), dtype=">u8").reshape(-1, 4)
        arrived["high"], arrived["low"] = digests[:, 0], digests[:, 1]
        for name in ("image_id", "width", "height"):
            arrived[name] = [getattr(owner, name) for owner in owners]
        runs, merged = list(self._runs), [arrived]
        while runs and len(runs[-1][0]) <= sum(map(len, merged)):
            merged.append(runs.pop()[1])
        rows = np.sort(np.concatenate(merged), order=["high", "low", "image_id"])
        self._runs = (*runs, (np.ascontiguousarray(rows["high"]), rows))

    def add(self, content: str, owner: Owner) -> None:
        """Add one."""
        self._lately[content] = owner
        if len(self._lately) >= LATELY:
            # The rows first: a reader between the two finds a content twice, never not at all.
            self.extend(list(self._lately), list(self._lately.values()))
            self._lately = {}

    def get(self, content: str) -> Owner | None:
        """Return the owner with the lowest id of those not taken or removed."""
        owner = self._lately.get(content)
        return owner if owner is not None else min(self._found(content), key=lambda one: one.image_id, default=None)

    def __contains__(self, content: str) -> bool:
        return self.get(content) is not None

    def remove(self, content: str) -> None:
        """Forget every owner of a content."""
        self._lately.pop(content, None)
        self._gone.update(owner.image_id for owner in self._found(content))

    def take(self, content: str) -> int | None:
        """Return the lowest id of a content and forget it, so that the next one asked for is another."""
        owner = self.get(content)
        if owner is None:
            return None
        self._lately.pop(content, None)
        self._gone.add(owner.image_id)
        return owner.image_id

    def _found(self, content: str) -> Iterator[Owner]:
        high, low = (np.uint64(int(content[start : start + 16], 16)) for start in (0, 16))
        for highs, rows in self._runs:
            for row in rows[np.searchsorted(highs, high) :]:
                if row["high"] != high:
                    break
                if row["low"] == low and int(row["image_id"]) not in self._gone:
                    yield Owner(int(row["image_id"]), int(row["width"]), int(row["height"]))


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
    columns |= {name: [None] * len(rows) for name in schema.names if name not in columns}
    return Encoded(
        pa.table({name: columns[name] for name in schema.names}, schema),
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

    def place(self, item: Planned, decoded: Decoded) -> None:
        """Take in a decoded image."""
        known, content = item.known, decoded.content_sha256
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
