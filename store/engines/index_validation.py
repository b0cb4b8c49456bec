"""Whether the FAISS file of an encoder is believed: only where it is of this catalog, as the catalog is now."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np

from shotdex.store.arrow import stacked
from shotdex.store.connection import Connection
from shotdex.store.errors import StoreError
from shotdex.store.schema import vectors_table
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids

from .faiss_file import STAMP, BadIndexFile, IndexLayout, is_inside, read_layout
from .flat_search import among

log = logging.getLogger(__name__)

RUNS, RUN_ROWS = 8, 32
"""How many vectors of a file are compared with the catalog's when it is opened: so many runs of so many, by id.

Runs, because of a million the catalog finds these in 10 ms, and as many scattered ones in 70.
"""

WORTH_REMEMBERING = 20_000
"""Vectors of a FAISS file from which it is remembered that its contents were compared: of fewer that takes 10 ms."""


def index_file(store: Store, encoder_id: int) -> Path:
    """Return where the FAISS file of an encoder is; its name holds the catalog's id, so no other catalog reads it."""
    return store.index_folder / f"encoder-{encoder_id}-{store.identity[:12]}.faiss"


def stamp_of(store: Store, con: Connection, encoder: EncoderId, ids: Ids) -> bytes:
    """Return the stamp of a file that covers some images: other images under the same ids give another one.

    An image's vectors follow from its content and the encoder; ids of one store go to other contents where an older
    copy of the catalog was brought back. For a million images it takes 0.6 s, their vectors from the catalog over 5 s.
    """
    with con.holding("covered", {"image_id": ids}):
        known, contents = con.rows(
            "SELECT count(*), sum(TRY_CAST('0x' || left(content_sha256, 15) AS BIGINT)::HUGEINT * image_id) "
            "FROM covered JOIN stored_images USING (image_id)"
        )[0]
    text = repr((store.identity, encoder.key(), len(ids), known, contents or 0))
    return STAMP + hashlib.sha256(text.encode()).digest()


def vouched(con: Connection, encoder_id: int) -> bytes | None:
    """Return the stamp that was once compared with this catalog's contents, and agreed.

    Contents under the same ids are never changed without dropping the file, so they need no second look. An older copy
    of the catalog, brought back, has the stamp of its own time, and the file of a later time another one.
    """
    value = con.value("SELECT value FROM meta WHERE key = $key", {"key": _key(encoder_id)})
    return bytes.fromhex(value) if value else None


def remember_compared(store: Store, encoder_id: int, stamp: bytes, vectors: int) -> None:
    """Remember, where the catalog can be written at once, that a stamp was compared, if comparing it takes a while."""
    if vectors < WORTH_REMEMBERING:
        return
    try:
        with store.writing(seconds=0.0) as con:
            vouch(con, encoder_id, stamp)
    except StoreError as error:  # a store on a read-only disk, or one that is being written, still answers
        log.info("that the contents of the FAISS file agree was not remembered: %s", error)


def vouch(con: Connection, encoder_id: int, stamp: bytes) -> None:
    """Remember that a file of this stamp has the contents that this catalog has under its ids."""
    con.run("DELETE FROM meta WHERE key = $key", {"key": _key(encoder_id)})
    con.run("INSERT INTO meta VALUES ($key, $value)", {"key": _key(encoder_id), "value": stamp.hex()})


def _key(encoder_id: int) -> str:
    return f"index_stamp_{encoder_id}"


def believed(store: Store, con: Connection, encoder_id: int, encoder: EncoderId, stored: Ids) -> IndexLayout | None:
    """Return what the file holds, or None where there is none that fits this catalog."""
    path = index_file(store, encoder_id)
    if not is_inside(store.index_folder, path):
        if path.is_symlink() or store.index_folder.is_symlink():
            log.warning("%s is a link, or in a linked folder; reading the catalog instead", path)
        return None
    try:
        layout = read_layout(path)
        if layout.dim != encoder.dim or not _all_known(layout.ids, stored):
            raise BadIndexFile("it does not belong to this catalog")
        known = layout.stamp is not None and layout.stamp == vouched(con, encoder_id)
        if not known and layout.stamp != stamp_of(store, con, encoder, layout.ids):
            raise BadIndexFile("it was not written for the images that the catalog has now")
        if not _same_vectors(layout, con, encoder_id, encoder):
            raise BadIndexFile("it has other vectors than the catalog")
    except (BadIndexFile, OSError, ValueError, MemoryError) as error:
        reason = (str(error).splitlines() or [""])[0]
        log.warning("%s is not used: %s; reading the catalog (mend it: shotdex verify --repair)", path, reason)
        return None
    return layout


def _all_known(ids: Ids, stored: Ids) -> bool:
    if np.array_equal(ids, stored):
        return True
    if not among(ids, stored).all():
        return False
    return bool((ids[1:] > ids[:-1]).all()) or len(np.unique(ids)) == len(ids)


def _same_vectors(layout: IndexLayout, con: Connection, encoder_id: int, encoder: EncoderId) -> bool:
    """Compare some of the file's vectors with the catalog's: after a restored backup the same ids may mean others."""
    order = np.argsort(layout.ids, kind="stable")
    runs = [order]
    if len(order) > RUNS * RUN_ROWS:
        starts = np.linspace(0, len(order) - RUN_ROWS, RUNS, dtype=np.int64)
        runs = [order[start : start + RUN_ROWS] for start in starts]
    if len(order) == 0:
        return True
    ranges = (f"image_id BETWEEN {layout.ids[run[0]]} AND {layout.ids[run[-1]]}" for run in runs)
    query = f"SELECT image_id, joint FROM {vectors_table(encoder_id)} WHERE "
    found = con.arrays(" UNION ALL ".join(query + wanted for wanted in ranges))
    compared, ids = np.concatenate(runs), found["image_id"]
    vectors = stacked(found["joint"], encoder.dim)
    # Between them lie vectors that the file does not have yet.
    kept = np.flatnonzero(among(ids, layout.ids[compared]))
    kept = kept[np.argsort(ids[kept], kind="stable")]
    same_ids = np.array_equal(ids[kept], layout.ids[compared])
    return same_ids and np.array_equal(vectors[kept], layout.vectors[compared])
