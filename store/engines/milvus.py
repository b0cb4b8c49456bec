"""Milvus as an engine: it proposes candidates, and everything else is decided here.

The cosines come from the flat engine's vectors, so that hits and ties are those of a flat search; DuckDB says which
images a filter keeps and which are present. What Milvus does not have yet is compared exactly, and what it cannot
settle is answered by the flat engine. Before each search it is asked whether its collection is the one that the catalog
records, complete and indexed: otherwise it is not searched.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from shotdex.store.connection import Connection
from shotdex.store.errors import EngineUnavailable
from shotdex.store.ids import images_generation
from shotdex.store.types import Ids, Vectors

from .base import NO_IDS, Filter
from .flat import FlatEngine, among, in_order, stacked_hits
from .milvus_collection import EXACT, MOST, RAW, Collection
from .milvus_rows import EngineRows, MilvusRecord, read_record, read_rows
from .pushed import pushed
from .settled import Scored, settled

FEW = 20_000
"""Images that a filter may keep so that comparing all of them here is quicker than asking Milvus: 40 MB of vectors."""

MOST_LACKING = 200_000
"""Images that Milvus may lack, as they are all compared here: 0.03 s on two cores."""

ALTERED = 1e-4
"""A difference between its cosine and ours that rounding never makes: its vector is not the catalog's."""

BUILDING = "its index does not cover"
"""How the reason begins that goes away by itself: a server also builds an index again when it merges segments."""

UPLOAD = "bring it up to the catalog: shotdex verify --repair"


class MilvusEngine:
    """Searches a Milvus collection for what it has of the flat engine's images, and the flat engine for the rest.

    `missed` counts the queries that the flat engine answered, as Milvus had not proposed enough. `patience` is for how
    many seconds a search waits for an index that is being built.
    """

    stamped_as = FlatEngine.stamped_as

    def __init__(self, flat: FlatEngine, record: MilvusRecord, rows: EngineRows, labels_current: bool) -> None:
        """`labels_current`: the labels there are those of now, so that filters on them may be left to Milvus."""
        self.flat, self.record, self.missed, self.patience = flat, record, 0, 0.0
        self.collection = Collection(record.uri, record.collection, record.kind)
        self._labels_current = labels_current
        known = among(rows.ids, flat.covers) & among(rows.owners, flat.covers)
        self._ids, owners = rows.ids[known], rows.owners[known]
        copies = np.flatnonzero(self._ids != owners)
        copies = copies[np.argsort(owners[copies], kind="stable")]
        self._copies, self._owners_of_copies = self._ids[copies], owners[copies]
        self._owners = self._ids[self._ids == owners]
        self.lacks = np.sort(flat.covers[~among(flat.covers, self._ids)])
        rising = bool((flat.covers[1:] > flat.covers[:-1]).all())
        self._order = None if rising else np.argsort(flat.covers, kind="stable")

    @property
    def exact(self) -> bool:
        """Whether its index compares every vector."""
        return self.record.kind == EXACT

    @property
    def stamp(self) -> str | None:
        """That of the flat engine; the record of the collection says in which state that is."""
        return self.flat.stamp

    @property
    def covers(self) -> Ids:
        """The ids that the flat engine covers."""
        return self.flat.covers

    def search(self, vectors: Vectors, k: int, among: Filter) -> tuple[Ids, Vectors]:
        """Ask Milvus, unless the filter keeps few images, and settle what it proposes.

        Raises:
            EngineDamaged: the flat engine's vectors were damaged.
            EngineUnavailable: Milvus does not answer, is not ready, or has other vectors than the catalog.
        """
        self.check_ready()
        if among.ids is not None and len(among.ids) <= FEW:
            return self.flat.search(vectors, k, among)
        self.flat.check()
        request = _Request.of(self, among)
        hits = [self._best(vector, k, among, request) for vector in vectors]
        return stacked_hits(hits, min((len(ids) for ids, _ in hits), default=0))

    def check_ready(self) -> None:
        """Make sure that the collection is the recorded one, complete, and covered by its index.

        Raises:
            EngineUnavailable: it is not, or Milvus does not answer.
        """
        end = time.monotonic() + self.patience
        while (reason := why_not_ready(self.record, self.flat.rows.vectors.shape[1], len(self.lacks))) is not None:
            if not reason.startswith(BUILDING) or time.monotonic() >= end:
                raise EngineUnavailable(f"Milvus at {self.record.uri} is not ready: {reason}", UPLOAD)
            time.sleep(0.2)

    def add(self, ids: Ids, vectors: Iterable[Vectors]) -> None:
        """Add to the vectors of the flat engine; the new ones are compared here until the collection is brought up."""
        self.flat.add(ids, vectors)

    def remove(self, ids: Ids) -> None:
        """Remove vectors of the flat engine; what Milvus says of these images is not heard any more."""
        self.flat.remove(ids)

    def drop(self) -> None:
        """Delete the collection; the vectors are the flat engine's."""
        self.collection.drop()

    def expand(self, rows: Ids) -> Ids:
        """Return the images that some rows stand for, rising; rows that are not known stand for none."""
        owners = np.unique(rows)
        owners = owners[among(owners, self._owners)]
        first = np.searchsorted(self._owners_of_copies, owners, side="left")
        last = np.searchsorted(self._owners_of_copies, owners, side="right")
        return np.sort(
            np.concatenate([owners, *(self._copies[a:b] for a, b in zip(first, last, strict=True) if b > a)])
        )

    def cosines(self, vector: Vectors, ids: Ids) -> tuple[Ids, Vectors]:
        """Return some of the covered images with their cosines, best first, ties by id."""
        places = np.searchsorted(self.covers, ids, sorter=self._order)
        return self.flat.rows.best(vector, len(ids), places if self._order is None else self._order[places])

    def has(self, kept: Filter) -> int:
        """Return how many images a filter keeps of those that Milvus has."""
        ids = self._ids if kept.ids is None else kept.ids[among(kept.ids, self._ids)]
        return len(ids) - int(among(ids, kept.without).sum())

    def expression(self, kept: Filter) -> str:
        """Return what of a filter is left to Milvus."""
        return pushed(kept.where) if kept.where is not None and self._labels_current else ""

    def _best(self, vector: Vectors, k: int, kept: Filter, request: _Request) -> tuple[Ids, Vectors]:
        found = settled(_Proposals(self, vector, kept, request), k)
        if found is None:
            self.missed += 1
            return self.flat.rows.best(vector, k, self.flat.rows.positions(kept))
        ids, cosines = found
        if len(request.lacking):
            more, theirs = self.cosines(vector, request.lacking)
            ids, cosines = np.concatenate([ids, more]), np.concatenate([cosines, theirs])
        return in_order(ids, cosines, k)


def why_not_ready(record: MilvusRecord, dim: int, lacking: int) -> str | None:
    """Return why a collection must not be searched, None where it may; `lacking` images of the catalog it lacks.

    Raises:
        EngineUnavailable: Milvus does not answer.
    """
    if not record.ready:
        return "its collection is being brought up, or that was interrupted"
    if lacking > MOST_LACKING:
        return f"it lacks {lacking:,} images"
    found = Collection(record.uri, record.collection, record.kind).look()
    if found is None:
        return f"it has no collection {record.collection}"
    if found.state not in record.states or found.dim != dim:
        return f"the collection {record.collection} was changed by somebody else"
    if found.rows != record.rows:
        return f"it has {found.rows:,} rows, and the catalog records {record.rows:,}"
    if found.pending:
        return f"{BUILDING} {found.pending:,} rows yet"
    return None


@dataclass(frozen=True, slots=True)
class _Request:
    """What all queries of one search share: the expression, how many images Milvus has, and those that it lacks."""

    expression: str
    allowed: int
    lacking: Ids

    @classmethod
    def of(cls, engine: MilvusEngine, kept: Filter) -> _Request:
        lacking = engine.lacks
        if len(lacking) and kept.ids is not None:
            lacking = lacking[among(lacking, kept.ids)]
        if len(lacking):
            lacking = lacking[~among(lacking, kept.without)]
        return cls(engine.expression(kept), engine.has(kept), lacking)


@dataclass(slots=True)
class _Proposals:
    """What `settled` asks: Milvus for one query."""

    engine: MilvusEngine
    vector: Vectors
    kept: Filter
    request: _Request
    most: int = MOST
    _said: tuple[Ids, Vectors] = field(default=(NO_IDS, np.empty(0, np.float32)))

    @property
    def allowed(self) -> int:
        return self.request.allowed

    def propose(self, count: int) -> Ids:
        ids, cosines = self.engine.collection.search(self.vector, count, self.request.expression)
        self._said = ids, cosines
        return ids

    def score(self, rows: Ids) -> Scored:
        ids, cosines = self.engine.cosines(self.vector, self.engine.expand(rows))
        self._compare(ids, cosines)
        hits = np.ones(len(ids), np.bool_) if self.kept.ids is None else among(ids, self.kept.ids)
        if len(self.kept.without):
            hits &= ~among(ids, self.kept.without)
        return Scored(ids[hits], cosines[hits], float(cosines[-1]) if len(cosines) else np.inf)

    def _compare(self, ids: Ids, cosines: Vectors) -> None:
        """Compare the engine's own cosines with ours.

        Raises:
            EngineUnavailable: they differ by more than rounding.
        """
        if self.engine.record.kind not in RAW or len(ids) == 0:
            return
        rows, theirs = self._said
        order = np.argsort(ids, kind="stable")
        places = np.minimum(np.searchsorted(ids, rows, sorter=order), len(ids) - 1)
        ours = cosines[order[places]]
        off = (ids[order[places]] == rows) & ~(np.abs(ours - theirs) <= ALTERED)
        if off.any():
            raise EngineUnavailable(
                f"Milvus at {self.engine.record.uri} has a different vector for image {int(rows[off][0])} than the "
                f"catalog",
                "compare them, and send the correct ones: shotdex verify --repair",
            )


def open_milvus(con: Connection, encoder_id: int, flat: FlatEngine) -> MilvusEngine | None:
    """Return the engine over an encoder's collection, None where none was added; Milvus is not asked for this."""
    record = read_record(con, encoder_id)
    if record is None:
        return None
    return MilvusEngine(flat, record, read_rows(con, encoder_id), record.generation == images_generation(con))
