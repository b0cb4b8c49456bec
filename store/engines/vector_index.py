"""All vectors of an encoder, as a search sees them: an engine for what it covers, the catalog for the rest.

Whatever becomes of an engine, the hits are the same: what it does not cover is compared exactly, removed images are
left out, and where it turns out to be damaged the catalog is read instead.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from shotdex.store.connection import Connection
from shotdex.store.errors import StoreCorrupt
from shotdex.store.ids import present_ids, stored_ids
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids, Vectors
from shotdex.store.vectors import load_in_chunks

from .base import EngineDamaged, Filter, VectorEngine
from .flat import FlatEngine, Rows, among, in_order, no_rows, warn_unused
from .inverted_file import Figures
from .ivf import IvfEngine
from .many import Request, best_of_many
from .registry import open_engines

log = logging.getLogger(__name__)

CHUNK = 8_192
"""Vectors read from the catalog at a time."""

SAMPLE = 65_536
"""Images whose cosines say how those of a whole store are spread."""

NOT_UNIT = 1e-4
"""A vector whose length differs from 1 by more than this is damaged; rounding leaves a hundredth of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What a search goes through: an engine, if any, and the present images that it does not cover.

    `removed` are images that it still covers and that are not present.
    """

    engine: VectorEngine | None
    rest: Rows
    removed: Ids


class VectorIndex:
    """Every present image of an encoder. It works without the catalog, and several threads may search it at once.

    It may be kept for as long as `images_generation` stays the same. `figures` are those of the inverted file that is
    searched unless the search is to be exact.
    """

    def __init__(self, preferred: Part, exact: Part, again: Callable[[], Rows]) -> None:
        """`again` reads all present vectors from the catalog, for when an engine turns out to be damaged."""
        self._parts = {False: preferred, True: exact}
        self._again = again
        self._lock = threading.Lock()
        self._sample: Rows | None = None

    def __len__(self) -> int:
        """Return how many images may be hits."""
        part = self._parts[True]
        covered = 0 if part.engine is None else len(part.engine.covers) - len(part.removed)
        return covered + len(part.rest.ids)

    @property
    def figures(self) -> Figures | None:
        """What was measured of the approximate search; None where searches are exact."""
        engine = self._parts[False].engine
        return engine.inverted.figures if isinstance(engine, IvfEngine) and engine.inverted is not None else None

    def with_engine(self, engine: VectorEngine) -> VectorIndex:
        """Return an index that searches another engine, which covers the same images, unless a search is exact."""
        exact = self._parts[True]
        return VectorIndex(replace(exact, engine=engine), exact, self._again)

    @property
    def removed(self) -> Ids:
        """The images that the engine for exact searches still covers, and that have been removed."""
        return self._parts[True].removed

    def engine(self, exact: bool = False) -> VectorEngine | None:
        """Return what is searched, None where it is the catalog's vectors alone."""
        return self._parts[exact].engine

    def search(
        self, vector: Vectors, k: int, kept: Filter | None = None, *, exact: bool = False
    ) -> tuple[Ids, Vectors]:
        """Return ids and cosines of the k best images for a unit vector (D,), best first, ties by id.

        Exactly k come back, or all that the filter keeps where these are fewer. Cosines are between -1 and 1.
        """
        query, kept = np.ascontiguousarray(vector, dtype=np.float32), kept or Filter()
        part = self._parts[exact]
        try:
            return _search(part, query, k, kept)
        except EngineDamaged as error:
            warn_unused("a vector engine", error)
        return _search(self._from_catalog(part), query, k, kept)

    def rows(self) -> Rows:
        """Return the vectors of all present images, by rising id: those of the FAISS file as they are where it can be.

        Raises:
            EngineDamaged: the file was changed since it was opened.
        """
        part = self._parts[True]
        if part.engine is None:
            return part.rest
        if not isinstance(part.engine, FlatEngine):
            return self._again()
        part.engine.check()
        own = part.engine.rows
        if not len(part.removed) and not len(part.rest.ids) and bool((np.diff(own.ids) > 0).all()):
            return own
        kept = own.positions(Filter(without=part.removed))
        ids = np.concatenate([part.rest.ids, own.ids[kept]])
        order = np.argsort(ids, kind="stable")
        return Rows(ids[order], np.concatenate([part.rest.vectors, own.vectors[kept]])[order])

    def vector(self, image_id: int) -> Vectors | None:
        """Return the unit vector (D,) of a present image, or None.

        Raises:
            EngineDamaged: it is in an engine whose file was changed meanwhile.
        """
        part = self._parts[True]
        pieces = [part.rest]
        if isinstance(part.engine, FlatEngine) and image_id not in part.removed:
            part.engine.check()
            pieces.append(part.engine.rows)
        for rows in pieces:
            place = np.flatnonzero(rows.ids == image_id)
            if len(place):
                return np.array(rows.vectors[place[0]])
        return None

    def search_many(self, requests: Sequence[Request]) -> list[tuple[Ids, Vectors]]:
        """Return for each request what an exact `search` returns; one matrix product serves all of them."""
        part = self._parts[True]
        if not (part.engine is None or isinstance(part.engine, FlatEngine)):
            return [self.search(one.vector, one.k, one.kept, exact=True) for one in requests]
        try:
            found = best_of_many(part.rest, requests)
            if part.engine is not None:
                part.engine.check()
                without = [replace(one, kept=replace(one.kept, without=part.removed)) for one in requests]
                covered = best_of_many(part.engine.rows, without)
                found = [
                    in_order(np.concatenate([rest[0], own[0]]), np.concatenate([rest[1], own[1]]), one.k)
                    for rest, own, one in zip(found, covered, requests, strict=True)
                ]
        except EngineDamaged:
            return [self.search(one.vector, one.k, one.kept, exact=True) for one in requests]
        return [(ids, np.clip(cosines, -1, 1)) for ids, cosines in found]

    def _from_catalog(self, damaged: Part) -> Part:
        """Return what to search instead of a damaged engine, from now on."""
        with self._lock:
            if any(part is damaged for part in self._parts.values()):
                part = Part(None, self._again(), damaged.removed[:0])
                self._parts = {False: part, True: part}
            return self._parts[True]

    def moments(self, vector: Vectors) -> tuple[float, float]:
        """Return the mean and the standard deviation of the cosines of all images with a unit vector (D,).

        Of more than `SAMPLE` images those of so many, evenly spaced, are taken: a z from them is off by 0.005 or so.
        """
        part = self._parts[True]
        pieces = [part.rest]
        if isinstance(part.engine, FlatEngine):
            pieces.append(part.engine.rows)
        elif part.engine is not None:
            pieces = [self._sampled()]
        share = min(1.0, SAMPLE / max(1, sum(len(rows.ids) for rows in pieces)))
        cosines = [np.empty(0, np.float32)]
        for rows in pieces:
            kept = _spaced(len(rows.ids), share)
            if len(part.removed):
                kept = kept[~among(rows.ids[kept], part.removed)]
            cosines += [rows.vectors[kept[at : at + CHUNK]] @ vector for at in range(0, len(kept), CHUNK)]
        found = np.concatenate(cosines).astype(np.float64)
        return (float(found.mean()), float(found.std())) if len(found) else (0.0, 0.0)

    def _sampled(self) -> Rows:
        """Return vectors of the catalog for an engine that does not show its own."""
        with self._lock:
            if self._sample is None:
                rows = self._again()
                kept = _spaced(len(rows.ids), min(1.0, SAMPLE / max(1, len(rows.ids))))
                self._sample = Rows(rows.ids[kept], rows.vectors[kept])
            return self._sample


def _spaced(count: int, share: float) -> Ids:
    return np.linspace(0, count - 1, round(count * share)).astype(np.int64)


def _search(part: Part, query: Vectors, k: int, kept: Filter) -> tuple[Ids, Vectors]:
    positions = part.rest.positions(kept)
    ids, cosines = part.rest.best(query, min(k, len(positions)), positions)
    if part.engine is not None:
        found, scores = part.engine.search(query[None], k, replace(kept, without=part.removed))
        if len(scores[0]) and not (np.abs(scores[0]) <= 1 + NOT_UNIT).all():
            raise EngineDamaged("it found cosines beyond 1")
        ids, cosines = np.concatenate([ids, found[0]]), np.concatenate([cosines, scores[0]])
    ids, cosines = in_order(ids, cosines, k)
    return ids, np.clip(cosines, -1, 1)


def open_index(store: Store, con: Connection, encoder_id: int, encoder: EncoderId) -> VectorIndex:
    """Return an index over every present image of this encoder, from its engines where these help.

    Of the engines that cover something the last in the registry is searched, and for an exact search the first that is
    exact. Engines elsewhere are not asked: see `open_milvus_index`.
    """
    stored, present = stored_ids(con, encoder_id), present_ids(con)
    engines = [one for one in open_engines(store, con, encoder_id, encoder).values() if len(one.covers)]
    preferred = engines[-1] if engines else None
    exact = next((one for one in engines if one.exact), None)

    load = partial(_rows, con, encoder_id, encoder)
    other = part = _part(exact, stored, present, load)
    if preferred is not None and preferred is not exact:
        same = exact is not None and preferred.covers is exact.covers
        other = replace(part, engine=preferred) if same else _part(preferred, stored, present, load)

    def again() -> Rows:
        with store.reading() as con:
            ids = stored_ids(con, encoder_id)
            return _rows(con, encoder_id, encoder, ids[among(ids, present_ids(con))])

    return VectorIndex(other, part, again)


def open_milvus_index(con: Connection, encoder_id: int, index: VectorIndex) -> VectorIndex | None:
    """Return an index that searches Milvus for what an index of the same state covers; None where it cannot.

    That is where Milvus was not added for this encoder, or the FAISS file, whose vectors decide, is not there.
    """
    from .milvus import open_milvus  # for those who have one

    flat = index.engine(exact=True)
    milvus = open_milvus(con, encoder_id, flat) if isinstance(flat, FlatEngine) else None
    return None if milvus is None else index.with_engine(milvus)


def _part(engine: VectorEngine | None, stored: Ids, present: Ids, load: Callable[[Ids], Rows]) -> Part:
    wanted = stored[among(stored, present)]
    if engine is None:
        return Part(None, load(wanted), wanted[:0])
    covers = engine.covers
    return Part(engine, load(wanted[~among(wanted, covers)]), covers[~among(covers, wanted)])


def _rows(con: Connection, encoder_id: int, encoder: EncoderId, ids: Ids) -> Rows:
    """Read vectors from the catalog. Those that are not unit vectors have no cosines and are left out."""
    if len(ids) == 0:
        return no_rows(encoder.dim)
    vectors, end = np.empty((len(ids), encoder.dim), np.float32), 0
    usable = np.ones(len(ids), dtype=np.bool_)
    for chunk in catalog_chunks(con, encoder_id, encoder, ids):
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.sqrt(np.einsum("ij,ij->i", chunk, chunk))
        vectors[end : end + len(chunk)], usable[end : end + len(chunk)] = chunk, np.abs(lengths - 1) <= NOT_UNIT
        end += len(chunk)
    if usable.all():
        return Rows(ids, vectors)
    log.warning("%d vectors are damaged and left out (repair them: shotdex verify --repair)", int((~usable).sum()))
    return Rows(ids[usable], vectors[usable])


def catalog_chunks(con: Connection, encoder_id: int, encoder: EncoderId, ids: Ids) -> Iterator[Vectors]:
    """Yield the vectors of some ids, row for row, in parts.

    Raises:
        StoreCorrupt: the catalog lacks some.
    """
    for start, (found, vectors) in enumerate(load_in_chunks(con, encoder_id, encoder, ids, CHUNK)):
        expected = ids[start * CHUNK : (start + 1) * CHUNK]
        if len(found) != len(expected):
            found, first = np.unique(found, return_index=True)  # an image with two rows, which `verify` repairs
            vectors = vectors[first]
        if not np.array_equal(found, expected):
            raise StoreCorrupt("the catalog lost vectors while they were being read", "look for damage: shotdex verify")
        yield vectors
