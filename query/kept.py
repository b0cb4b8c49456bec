"""What a `Searcher` keeps of a store between two searches, and how it sees that the store has changed since."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from shotdex.store.connection import Connection
from shotdex.store.encoders import choose_encoder
from shotdex.store.engines.base import STAMP_KEY, Filter
from shotdex.store.engines.flat import among, nearest
from shotdex.store.engines.vector_index import VectorIndex, open_index, open_milvus_index
from shotdex.store.ids import GENERATION, encoded_ids, filtered_ids
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids, Space, Vectors
from shotdex.store.vectors import remembered_texts, stream_vectors

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

Facts = tuple[str, str | None, str | None, str | None]
"""Path, category, condition and split of an image."""

File = tuple[str, int, int, int]
"""Name, inode, bytes and time of change in nanoseconds."""

TICK_NS = 20_000_000
"""A file that changes twice within this time may show the same time of change."""

MOST_IMAGES = 2_000_000
"""Up to so many images the paths and labels of all are kept, at about a hundred bytes each."""

MOST_TEXTS = 4_096
"""Text vectors kept, at a few kilobytes each."""

MOST_FACTS = 65_536
"""Images of which paths and labels are kept one by one, before those of all are read."""

MOST_FILTERS = 8
"""Filters whose images are kept."""

_UNSURE = re.compile(
    r"\b(?!(?:in|and|or|not|select|where|from|lower|upper|length|contains|starts_with|ends_with|coalesce|distance_km)\b)"
    r"\w+\s*\(|@|\"\s*\(|/\*|--|\b(current_|local|now|today|tomorrow|yesterday|sample|tablesample)",
    re.IGNORECASE,
)
"""What a filter must not have if its images are kept: anything whose value may differ the next time, as now()."""


class Unknown(Exception):
    """Something is not kept, and the catalog is not open. Never leaves this folder: the catalog is opened."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The files of a catalog and of its vector engines, as they were at one moment.

    They are never opened for this: closing a file drops the locks that this process has on it through DuckDB.
    """

    catalog: tuple[File, ...]
    engines: tuple[File, ...]

    def settled(self) -> bool:
        """Tell whether the next change of the catalog will show."""
        return time.time_ns() - max(file[3] for file in self.catalog) > TICK_NS


def signature_of(store: Store) -> Signature | None:
    """Return the signature of a store; None where there is no catalog."""
    catalog = _file(store.catalog)
    if catalog is None:
        return None
    log = _file(store.catalog.with_name(store.catalog.name + ".wal"))
    paths: list[Path] = []
    with suppress(OSError):
        paths = [path for path in sorted(store.index_folder.iterdir()) if path.suffix in (".faiss", ".cells")]
    engines = tuple(file for path in paths if (file := _file(path)) is not None)
    return Signature((catalog,) if log is None else (catalog, log), engines)


def _file(path: Path) -> File | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return path.name, found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Place:
    """One encoder of a store: its number and its identity."""

    encoder_id: int
    encoder: EncoderId


@dataclass(slots=True)
class Known:
    """What is kept of one state of a store.

    `version` is the identity of the catalog with the generation of its images, `meta` the catalog's table of that name,
    and `engines` the files that the indexes are of: the signature itself may not be kept. Several threads read this;
    what is added is added by one at a time, under the lock of the `Searcher`.
    """

    version: tuple[str, str]
    signature: Signature | None
    engines: tuple[File, ...]
    meta: Mapping[str, str]
    indexes: dict[Place, VectorIndex] = field(default_factory=dict)
    through_milvus: dict[Place, VectorIndex | None] = field(default_factory=dict)
    not_ready: dict[Place, tuple[float, str]] = field(default_factory=dict)
    facts: dict[int, Facts] = field(default_factory=dict)
    images: Images | None = None
    too_many: bool = False
    searched: bool = False
    places: dict[str | None, Place] = field(default_factory=dict)
    texts: dict[tuple[Place, str], Vectors] = field(default_factory=dict)
    filters: dict[str, Ids] = field(default_factory=dict)
    more: dict[Hashable, Any] = field(default_factory=dict)
    """What callers had read from this state of the catalog; `before` is what they had read from the one before it."""

    before: dict[Hashable, Any] = field(default_factory=dict)

    def add_texts(self, place: Place, vectors: Mapping[str, Vectors]) -> None:
        """Keep vectors of texts, and forget all others where there are too many."""
        if len(self.texts) + len(vectors) > MOST_TEXTS:
            self.texts = {}
        self.texts |= {(place, text): vector for text, vector in list(vectors.items())[:MOST_TEXTS]}


def renewed(known: Known | None, con: Connection, signature: Signature | None) -> Known:
    """Return what of `known` is still true of an open catalog; `signature` is None where the store is changing."""
    meta = dict(con.rows("SELECT key, value FROM meta"))
    version = str(meta.get("store_id")), meta.get(GENERATION) or ""
    if known is not None and known.version == version and signature is not None and known.signature == signature:
        return known
    engines = () if signature is None else signature.engines
    before = known.more | {} if known is not None and known.version[0] == version[0] else {}
    kept = Known(version, signature, engines, meta, before=before)
    # A store that no version with generations has changed may be in any other state.
    if known is None or known.version != version or signature is None or not version[1]:
        return kept
    kept.facts, kept.images, kept.too_many, kept.searched = known.facts, known.images, known.too_many, known.searched
    if known.engines == engines:
        kept.indexes = known.indexes
    return kept


class Images:
    """Path, category, condition and split of all images, as an Arrow table: a hundred bytes an image."""

    def __init__(self, con: Connection) -> None:
        table = con.table(
            "SELECT image_id, path, category, condition, split FROM images WHERE image_id IS NOT NULL ORDER BY image_id"
        )
        self._ids = table.column("image_id").to_numpy()
        self._rows: pa.Table = table.drop_columns(["image_id"]).combine_chunks()

    def facts(self, ids: Sequence[int]) -> list[Facts]:
        """Return the facts of images, in the same order.

        Raises:
            Unknown: one of them is not here.
        """
        places = np.searchsorted(self._ids, ids)
        if len(ids) and not (places.max() < len(self._ids) and np.array_equal(self._ids[places], ids)):
            raise Unknown
        rows = self._rows.take(places)
        return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))


@dataclass(frozen=True, slots=True)
class View:
    """A store as one search sees it: what is known, and the catalog where it is open, which adds to that.

    Each method raises `Unknown` where something is missing and the catalog is not open.
    """

    store: Store
    known: Known
    con: Connection | None

    def place(self, name: str | None) -> Place:
        """Return the encoder that is meant by a name, or the only one."""
        if (found := self.known.places.get(name)) is None:
            found = self.known.places[name] = Place(*choose_encoder(self.catalog(), name))
        return found

    def index(self, place: Place) -> VectorIndex:
        """Return the index over all images of an encoder."""
        if (found := self.known.indexes.get(place)) is None:
            found = open_index(self.store, self.catalog(), place.encoder_id, place.encoder)
            self.known.indexes[place] = found
        return found

    def through_milvus(self, place: Place) -> VectorIndex | None:
        """Return the same index as it is searched through Milvus; None where Milvus was not added."""
        if STAMP_KEY.format("milvus", place.encoder_id) not in self.known.meta:
            return None
        if place not in self.known.through_milvus:
            con, index = self.catalog(), self.index(place)
            self.known.through_milvus[place] = open_milvus_index(con, place.encoder_id, index)
        return self.known.through_milvus[place]

    def filter(self, where: str | None) -> Filter:
        """Return which images a condition keeps."""
        if where is None:
            return Filter()
        if (ids := self.known.filters.get(where)) is None:
            ids = filtered_ids(self.catalog(), where)
            if not self.store.allow_external and not _UNSURE.search(where):
                for oldest in list(self.known.filters)[: -MOST_FILTERS + 1]:
                    del self.known.filters[oldest]
                self.known.filters[where] = ids
        return Filter(where, ids)

    def texts(self, place: Place, texts: Sequence[str]) -> dict[str, Vectors]:
        """Return the vectors of those texts that the store remembers, or that have just been encoded."""
        kept = self.known.texts
        found = {text: kept[place, text] for text in texts if (place, text) in kept}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            read = remembered_texts(self.catalog(), place.encoder_id, missing)
            usable = {text: vector for text, vector in read.items() if np.isfinite(vector).all()}
            self.known.add_texts(place, usable)
            found |= usable
        return found

    def vision(self, place: Place, vector: Vectors) -> tuple[Ids, Vectors]:
        """Return the ids of all present images, and cosines (N,) of their vision vectors with a unit vector (V,)."""
        con = self.catalog()
        present = encoded_ids(con, place.encoder_id)
        found, cosines = [present[:0]], [np.empty(0, np.float32)]
        for ids, vectors in stream_vectors(con, place.encoder_id, place.encoder, Space.VISION):
            lengths = np.linalg.norm(vectors, axis=1)
            usable = np.isfinite(lengths) & (lengths > 0)
            unit = np.ascontiguousarray(vectors[usable] / lengths[usable, None])
            found.append(ids[usable])
            cosines.append(nearest(unit, vector, len(unit), np.arange(len(unit)))[1])  # equal ones for equal vectors
        ids, first = np.unique(np.concatenate(found), return_index=True)
        kept = among(ids, present)
        return ids[kept], np.clip(np.concatenate(cosines)[first][kept], -1, 1)

    def facts(self, ids: Sequence[int]) -> list[Facts]:
        """Return path, category, condition and split of images: from the second search on those of all are kept."""
        known = self.known
        if known.images is not None:
            return known.images.facts(ids)
        facts = known.facts  # another thread may replace it
        if not all(image_id in facts for image_id in ids):
            con = self.catalog()
            if known.searched and not known.too_many:
                known.too_many = int(con.value("SELECT count(*) FROM images")) > MOST_IMAGES
                if not known.too_many:
                    known.images, known.facts = Images(con), {}
                    return known.images.facts(ids)
            rows = con.rows(
                "SELECT image_id, path, category, condition, split FROM images WHERE image_id IN (SELECT unnest($ids))",
                {"ids": list(ids)},
            )
            facts = (facts if len(facts) + len(rows) <= MOST_FACTS else {}) | {row[0]: row[1:] for row in rows}
            known.facts = facts
        known.searched = True
        return [facts[image_id] for image_id in ids]

    def kept(self, key: Hashable, build: Callable[[Connection, T | None], T]) -> T:
        """Return what `build` reads from the catalog; it is kept for as long as the catalog stays as it is.

        `build` also receives what it returned for the state of the catalog before this one, or None.
        """
        if key not in self.known.more:
            self.known.more[key] = build(self.catalog(), self.known.before.pop(key, None))
        found: T = self.known.more[key]
        return found

    def catalog(self) -> Connection:
        """Return the catalog."""
        if self.con is None:
            raise Unknown
        return self.con
