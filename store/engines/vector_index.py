"""The FAISS file of one encoder: derived from the catalog, replaced whole, never the only copy of anything.

Exact: an inner-product scan over unit rows, so scores are cosines. A file that is behind the catalog, broken or missing
costs time, not answers: what it does not cover is read from the catalog. Its vectors are used where they are, mapped
into memory, so that opening reads none of them and many searches share them.

A file is believed only where its bytes are laid out as they must be (`index_layout`), its ids are the catalog's, its
stamp is that of the contents that the catalog has under these ids, and some of its vectors are the catalog's
(`index_trust`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from shotdex.store.connection import Connection
from shotdex.store.errors import StoreCorrupt, StoreError
from shotdex.store.ids import present_ids, stored_ids
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids, Vectors
from shotdex.store.vectors import load_in_chunks

from .faiss_file import VECTORS_AT, BadIndexFile, IndexLayout, head, read_layout, tail
from .flat_search import Rows, among, nearest
from .index_validation import believed, index_file, remember_compared, stamp_of
from .ivf import Cells
from .ivf_file import cells_file, open_cells

__all__ = ["VectorIndex", "drop_index", "index_file", "open_index", "stamp_of", "write_index"]

CHUNK = 8_192
"""Vectors read from the catalog at a time."""

TURN = 8 * CHUNK
"""Vectors for which the catalog is opened at a time."""

PIECE = 1 << 23
"""Bytes of the old file copied at a time."""


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """Every vector of an encoder: those in its file and the rest, from the catalog.

    `stamp` is the file's, None where there is none or it is not believed. `cells` say which of the file's vectors lie
    together, where an approximate index was built.
    """

    filed: Rows
    rest: Rows
    stamp: bytes | None = None
    cells: Cells | None = None

    def __len__(self) -> int:
        """Return how many images it may answer with."""
        return int(self.filed.present.sum() + self.rest.present.sum())

    def search(self, vector: Vectors, k: int, allowed: Ids | None = None, exact: bool = False) -> tuple[Ids, Vectors]:
        """Return the k best images for a unit vector (D,): ids and cosines, best first, ties by id.

        `allowed` restricts the answer to some ids; exactly min(k, allowed) come back. Where there are cells, only those
        nearest to the vector are searched of the file, unless `exact`; the cosines are exact either way.
        """
        query = np.ascontiguousarray(vector, dtype=np.float32)
        positions = [rows.wanted(allowed) for rows in (self.filed, self.rest)]
        k = min(k, sum(map(len, positions)))
        if k == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if self.cells is not None and not exact:
            positions[0] = self.cells.positions(query, k, positions[0])
        ids, scores = [], []
        for rows, wanted in zip((self.filed, self.rest), positions, strict=True):
            found, products = nearest(rows.vectors, query, k, wanted)
            ids.append(rows.ids[found])
            scores.append(products)
        return _in_order(np.concatenate(ids), np.concatenate(scores), k)


def _in_order(ids: Ids, scores: Vectors, k: int) -> tuple[Ids, Vectors]:
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def open_index(store: Store, con: Connection, encoder_id: int, encoder: EncoderId) -> VectorIndex:
    """Return an index over every present image of this encoder, from its file where that helps."""
    stored, present = stored_ids(con, encoder_id), present_ids(con)
    layout = believed(store, con, encoder_id, encoder, stored)
    if layout is None:
        filed = _rows(np.empty(0, np.int64), np.empty((0, encoder.dim), np.float32), present)
        return VectorIndex(filed, _rows(stored, _from_catalog(con, encoder_id, encoder, stored), present))
    missing = _missing(layout, stored)
    rest = _rows(missing, _from_catalog(con, encoder_id, encoder, missing), present)
    cells = open_cells(cells_file(store, encoder_id), layout)
    return VectorIndex(_rows(layout.ids, layout.vectors, present), rest, layout.stamp, cells)


def _rows(ids: Ids, vectors: Vectors, present: Ids) -> Rows:
    return Rows(ids, vectors, among(ids, present))


def _missing(layout: IndexLayout | None, stored: Ids) -> Ids:
    return stored if layout is None else stored[~among(stored, layout.ids)]


def _from_catalog(con: Connection, encoder_id: int, encoder: EncoderId, ids: Ids) -> Vectors:
    vectors, end = np.empty((len(ids), encoder.dim), np.float32), 0
    for chunk in _chunks(con, encoder_id, encoder, ids):
        vectors[end : end + len(chunk)] = chunk
        end += len(chunk)
    return vectors


def _chunks(con: Connection, encoder_id: int, encoder: EncoderId, ids: Ids) -> Iterator[Vectors]:
    """Yield the vectors of some ids, row for row, in parts."""
    for start, (found, vectors) in enumerate(load_in_chunks(con, encoder_id, encoder, ids, CHUNK)):
        wanted = ids[start * CHUNK : (start + 1) * CHUNK]
        if len(found) != len(wanted):
            found, first = np.unique(found, return_index=True)  # an image with two rows, which `verify` mends
            vectors = vectors[first]
        if not np.array_equal(found, wanted):
            raise StoreCorrupt("the catalog lost vectors while they were read", "look for damage: shotdex verify")
        yield vectors


def write_index(store: Store, encoder_id: int, encoder: EncoderId) -> None:
    """Bring the FAISS file up to the catalog: written aside, flushed to disk, renamed; as it is where it covers all.

    Vectors go from the old file and the catalog into the new file in parts. The catalog is opened for some parts at a
    time, so that memory holds the ids alone: one that stays open keeps what was read of it.

    Raises:
        StoreError: it cannot be written, as where the disk is full. The old file is as it was.
    """
    target = index_file(store, encoder_id)
    aside = target.with_suffix(f".{os.getpid()}.part")
    with store.reading() as con:
        stored = stored_ids(con, encoder_id)
        layout = believed(store, con, encoder_id, encoder, stored)
        missing = _missing(layout, stored)
        ids = missing if layout is None else np.concatenate([layout.ids, missing])
        stamp = stamp_of(store, con, encoder, ids) if layout is None or len(missing) else b""
    try:
        _make_room(store, encoder_id)
        if layout is not None and len(missing) == 0:
            return
        with aside.open("wb") as file:
            file.write(head(len(ids), encoder.dim))
            if layout is not None:
                _copy_vectors(target, file, 4 * layout.vectors.size)
            for start in range(0, len(missing), TURN):
                with store.reading() as con:
                    for vectors in _chunks(con, encoder_id, encoder, missing[start : start + TURN]):
                        file.write(vectors.astype("<f4", copy=False).tobytes())
            file.write(tail(ids, stamp))
            file.flush()
            os.fsync(file.fileno())
        written = read_layout(aside)  # not every file system says so when the last of a writing fails
        if not np.array_equal(written.ids, ids) or written.stamp != stamp:
            raise BadIndexFile("it was not written as it should be")
        del layout, written  # Windows replaces no file that is mapped
        aside.replace(target)
    except (OSError, BadIndexFile) as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [""])[0]
        raise StoreError(
            f"cannot write {target}: {reason}",
            "the catalog is whole and searches read it meanwhile; make room, then: shotdex verify --repair",
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    remember_compared(store, encoder_id, stamp, len(ids))  # it was made from them


def _copy_vectors(source: Path, target: BinaryIO, count: int) -> None:
    """Copy `count` bytes of vectors from a file to the end of another."""
    with source.open("rb") as old:
        old.seek(VECTORS_AT)
        while count:
            piece = old.read(min(count, PIECE))
            if not piece:
                raise BadIndexFile("the file that it was to extend became shorter")
            target.write(piece)
            count -= len(piece)


def drop_index(store: Store, encoder_id: int) -> None:
    """Take away the FAISS file of an encoder, and what was derived from it; what a link leads to is left alone."""
    if not store.index_folder.is_symlink():
        index_file(store, encoder_id).unlink(missing_ok=True)
        cells_file(store, encoder_id).unlink(missing_ok=True)


def _make_room(store: Store, encoder_id: int) -> None:
    """Make the folder, and take away what another catalog or a killed process left of this encoder."""
    folder = store.index_folder
    if folder.is_symlink():  # where it leads nothing is read and nothing is written
        folder.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"encoder-{encoder_id}-*"):
        if old not in (index_file(store, encoder_id), cells_file(store, encoder_id)):
            old.unlink(missing_ok=True)
