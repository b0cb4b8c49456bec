"""The FAISS file of one encoder: derived from the catalog, replaced whole, never the only copy of anything.

Exact: an inner-product scan over unit rows, so scores are cosines. A file that is behind the catalog, broken or missing
costs time, not answers: what it does not cover is read from the catalog.

A file is believed only where its bytes are laid out as they must be (`index_layout`), its ids are the catalog's, its
stamp is that of the contents that the catalog has under these ids, and some of its vectors are the catalog's.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .connection import Connection
from .errors import StoreError
from .index_layout import STAMP, BadIndexFile, is_inside, read_layout
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
    index = _read(store, con, encoder_id, encoder, stored_ids)
    if index is None or not _same_vectors(index, con, encoder_id, encoder):
        index = faiss.IndexIDMap2(faiss.IndexFlatIP(encoder.dim))
    missing = np.setdiff1d(stored_ids, faiss.vector_to_array(index.id_map), assume_unique=True)
    if len(missing):
        ids, vectors = load_vectors(con, encoder_id, encoder, Space.JOINT, missing if index.ntotal else None)
        index.add_with_ids(vectors, ids)
    return VectorIndex(index, encoded_ids(con, encoder_id))


def write_index(store: Store, con: Connection, encoder_id: int, encoder: EncoderId) -> None:
    """Bring the FAISS file up to the catalog: written aside, flushed to disk, renamed.

    Raises:
        StoreError: it cannot be written, as where the disk is full. The old file is as it was.
    """
    index = open_index(store, con, encoder_id, encoder).faiss_index
    stamp = stamp_of(store, con, encoder, _faiss().vector_to_array(index.id_map))
    target = index_file(store, encoder_id)
    aside = target.with_suffix(f".{os.getpid()}.part")
    try:
        _make_room(target, encoder_id)
        _write(index, stamp, aside)
        aside.replace(target)
    except (OSError, RuntimeError, BadIndexFile) as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [""])[0]
        raise StoreError(
            f"cannot write {target}: {reason}",
            "the catalog is whole and searches read it meanwhile; make room, then: shotdex verify --repair",
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def drop_index(store: Store, encoder_id: int) -> None:
    """Take away the FAISS file of an encoder; what a link leads to is left alone."""
    if not store.index_folder.is_symlink():
        index_file(store, encoder_id).unlink(missing_ok=True)


def _make_room(target: Path, encoder_id: int) -> None:
    """Make the folder, and take away what another catalog or a killed process left of this encoder."""
    folder = target.parent
    if folder.is_symlink():  # where it leads nothing is read and nothing is written
        folder.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"encoder-{encoder_id}-*"):
        if old != target:
            old.unlink(missing_ok=True)


def _write(index: Any, stamp: bytes, path: Path) -> None:
    _faiss().write_index(index, str(path))
    with path.open("ab") as file:
        file.write(stamp)
        file.flush()
        os.fsync(file.fileno())
    read_layout(path)  # FAISS does not say so when the last of its writing fails


def stamp_of(store: Store, con: Connection, encoder: EncoderId, ids: Ids) -> bytes:
    """Return the stamp of a file that covers some images: other pictures under the same ids give another one.

    An image's vectors follow from its content and the encoder; ids of one store go to other contents where an older
    copy of the catalog was brought back. For a million images it takes 0.6 s, their vectors from the catalog over 5 s.
    """
    covered = pa.table({"image_id": pa.array(ids, pa.int64())})
    with con.holding("covered", covered):
        known, contents = con.rows(
            "SELECT count(*), sum(TRY_CAST('0x' || left(content_sha256, 15) AS BIGINT)::HUGEINT * image_id) "
            "FROM covered JOIN stored_images USING (image_id)"
        )[0]
    text = repr((store.identity, encoder.key(), len(ids), known, contents or 0))
    return STAMP + hashlib.sha256(text.encode()).digest()


def _every_id(con: Connection, encoder_id: int) -> Ids:
    table = con.table(f"SELECT image_id FROM {vectors_table(encoder_id)} ORDER BY image_id")
    return np.asarray(table.column("image_id").to_numpy(), dtype=np.int64)


def _read(store: Store, con: Connection, encoder_id: int, encoder: EncoderId, stored_ids: Ids) -> Any:
    """Return the index in the file, or None where there is none that fits this catalog."""
    path = index_file(store, encoder_id)
    if not is_inside(store.index_folder, path):
        if path.is_symlink() or store.index_folder.is_symlink():
            log.warning("%s is a link, or in a linked folder; reading the catalog instead", path)
        return None
    faiss = _faiss()
    try:
        layout = read_layout(path)
        if layout.dim != encoder.dim or not _all_known(layout.ids, stored_ids):
            raise BadIndexFile("it does not belong to this catalog")
        if layout.stamp != stamp_of(store, con, encoder, layout.ids):
            raise BadIndexFile("it was not written for the pictures that the catalog has now")
        index = faiss.read_index(str(path))
        if index.d != layout.dim or not np.array_equal(faiss.vector_to_array(index.id_map), layout.ids):
            raise BadIndexFile("it changed while it was read")
    except (BadIndexFile, OSError, RuntimeError, AttributeError, MemoryError) as error:
        reason = (str(error).splitlines() or [""])[0]
        log.warning("%s is not used: %s; reading the catalog (mend it: shotdex verify --repair)", path, reason)
        return None
    return index


def _all_known(ids: Ids, stored_ids: Ids) -> bool:
    return len(np.unique(ids)) == len(ids) and bool(np.isin(ids, stored_ids).all())


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
