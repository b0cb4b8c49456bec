"""The FAISS file of one encoder: derived from the catalog, replaced whole, never the only copy of anything.

Exact: an inner-product scan over unit rows, so scores are cosines. A file that is behind the catalog, broken or missing
costs time, not answers: what it does not cover is read from the catalog.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .connection import Connection
from .schema import vectors_table
from .store import Store
from .vectors import encoded_ids, load_vectors
from .words import EncoderId, Ids, Space, Vectors

log = logging.getLogger(__name__)

PROBE = 256
"""How many of a file's vectors are compared with the catalog's when it is opened, spread over all of them."""

EXTRA = 16
"""How many more than k are fetched, so that equal scores at the edge can be put in order of id."""


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """An index in memory. `ids` are the images it may answer with: present ones, rising."""

    faiss_index: Any
    ids: Ids

    def search(self, vector: Vectors, k: int, allowed: Ids | None = None) -> tuple[Ids, Vectors]:
        """Return the k best images for a unit vector (D,): ids and cosines, best first, ties by id.

        `allowed` (rising) restricts the answer to some ids; exactly min(k, allowed) come back.
        """
        faiss = _faiss()
        candidates = self.ids if allowed is None else np.intersect1d(self.ids, allowed, assume_unique=True)
        k = min(k, len(candidates))
        if k == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        everything = len(candidates) == self.faiss_index.ntotal
        parameters = None if everything else faiss.SearchParameters(sel=faiss.IDSelectorBatch(candidates))
        fetch = min(k + EXTRA, len(candidates))
        while True:
            scores, ids = self.faiss_index.search(vector.reshape(1, -1), fetch, params=parameters)
            order = np.lexsort((ids[0], -scores[0]))
            # A tie that runs past the last one fetched could hide a lower id: fetch more until it does not.
            if fetch == len(candidates) or scores[0][order[-1]] < scores[0][order[k - 1]]:
                return ids[0][order[:k]], scores[0][order[:k]]
            fetch = min(fetch * 4, len(candidates))


def _faiss() -> Any:
    # Imported late, for commands that do not search; untyped, because its stubs leave out what its wrappers add.
    import faiss

    return faiss


def index_file(store: Store, encoder_id: int) -> Path:
    """Return where the FAISS file of an encoder is; its name holds the catalog's id, so no other catalog reads it."""
    return store.index_folder / f"encoder-{encoder_id}-{store.identity[:12]}.faiss"


def open_index(store: Store, con: Connection, encoder_id: int, encoder: EncoderId) -> VectorIndex:
    """Return an index over every present image of this encoder, from its file where that helps."""
    faiss = _faiss()
    stored_ids = _every_id(con, encoder_id)
    index = _read(index_file(store, encoder_id), encoder.dim, stored_ids)
    if index is None or not _same_vectors(index, con, encoder_id, encoder):
        index = faiss.IndexIDMap2(faiss.IndexFlatIP(encoder.dim))
    missing = np.setdiff1d(stored_ids, faiss.vector_to_array(index.id_map), assume_unique=True)
    if len(missing):
        ids, vectors = load_vectors(con, encoder_id, encoder, Space.JOINT, missing if index.ntotal else None)
        index.add_with_ids(vectors, ids)
    return VectorIndex(index, encoded_ids(con, encoder_id))


def write_index(store: Store, con: Connection, encoder_id: int, encoder: EncoderId) -> None:
    """Bring the FAISS file up to the catalog: written aside, flushed to disk, renamed."""
    faiss = _faiss()
    index = open_index(store, con, encoder_id, encoder).faiss_index
    target = index_file(store, encoder_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    for old in target.parent.glob(f"encoder-{encoder_id}-*"):  # another catalog's, or left by a kill
        if old != target:
            old.unlink(missing_ok=True)
    aside = target.with_suffix(f".{os.getpid()}.part")
    try:
        faiss.write_index(index, str(aside))
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _every_id(con: Connection, encoder_id: int) -> Ids:
    table = con.table(f"SELECT image_id FROM {vectors_table(encoder_id)} ORDER BY image_id")
    return np.asarray(table.column("image_id").to_numpy(), dtype=np.int64)


def _read(path: Path, dim: int, stored_ids: Ids) -> Any:
    """Return the index in the file, or None where there is none that fits this catalog."""
    faiss = _faiss()
    if not path.is_file():
        return None
    try:
        index = faiss.read_index(str(path))
        ids = faiss.vector_to_array(index.id_map)
    except (RuntimeError, AttributeError) as error:
        log.warning("%s cannot be read (%s); reading the catalog instead", path, str(error).splitlines()[0])
        return None
    if index.d == dim and len(np.unique(ids)) == len(ids) and np.isin(ids, stored_ids).all():
        return index
    log.warning("%s does not belong to this catalog; reading the catalog instead", path)
    return None


def _same_vectors(index: Any, con: Connection, encoder_id: int, encoder: EncoderId) -> bool:
    """Compare some of the file's vectors with the catalog's: after a restored backup the same ids may mean others."""
    ids = _faiss().vector_to_array(index.id_map)
    if len(ids) == 0:
        return True
    probe = np.unique(ids[np.linspace(0, len(ids) - 1, PROBE, dtype=np.int64)])
    _, vectors = load_vectors(con, encoder_id, encoder, Space.JOINT, probe)
    same = np.array_equal(np.stack([index.reconstruct(int(image_id)) for image_id in probe]), vectors)
    if not same:
        log.warning("the FAISS file of encoder %d has other vectors than the catalog; reading the catalog", encoder_id)
    return same
