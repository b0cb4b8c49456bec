"""The FAISS files: each belongs to this store and holds the catalog's vectors, all of them and bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shotdex.models.text_tower_file import tower_file
from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.engines.faiss_file import BadIndexFile, IndexLayout, read_layout
from shotdex.store.engines.index_validation import index_file, stamp_of
from shotdex.store.engines.ivf_file import cells_file, read_cells
from shotdex.store.errors import StoreCorrupt, StoreError, StoreLocked
from shotdex.store.lock import only_one
from shotdex.store.schema import vectors_table
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids
from shotdex.store.vectors import load_in_chunks

from .check import REPAIR, Check, Fault, verdict

OURS = ("encoder-*-*", "text-*.safetensors", "text-*.part")
"""Names of the files that shotdex puts beside the catalog."""

CHUNK = 16_384
"""Vectors compared at a time."""


def index_files(store: Store, con: Connection) -> list[Check]:
    """Check every encoder's FAISS file against the catalog."""
    busy = being_indexed(store)
    encoders = list_encoders(con)
    checks = [check_index(store, con, number, encoder, busy) for number, encoder in encoders.items()]
    return checks + [check for number in encoders for check in check_cells(store, number)]


def check_cells(store: Store, number: int) -> list[Check]:
    """Check an encoder's approximate index, if it has one: whole, and of the rows of its FAISS file."""
    path = cells_file(store, number)
    if store.index_folder.is_symlink() or not (path.is_file() or path.is_symlink()):
        return []
    name = f"approximate index of encoder {number}"
    try:
        if path.is_symlink():
            raise BadIndexFile("it is a link")
        cells = read_cells(path, read_layout(index_file(store, number)))
    except (BadIndexFile, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        return [Check(name, False, f"{path.name} is not used: {reason}", f"{REPAIR}, then: shotdex approximate")]
    return [Check(name, True, f"{len(cells.centres):,} cells with each of {len(cells.rows):,} vectors in one")]


def check_index(store: Store, con: Connection, number: int, encoder: EncoderId, busy: bool = False) -> Check:
    """Check one encoder's FAISS file. While somebody indexes (`busy`) it may be behind: it is written at the end."""
    name, path = f"index of encoder {number}", index_file(store, number)
    stored = _stored_ids(con, number)
    if store.index_folder.is_symlink() or path.is_symlink():
        return Check(name, False, f"{path.name} is a link, or in a linked folder, so it is not used", REPAIR)
    if not path.is_file():
        if busy or len(stored) == 0:
            return Check(name, True, f"not written yet; {'somebody is indexing' if busy else 'there are no vectors'}")
        return Check(name, False, f"there is no {path.name}, so every search reads the catalog", REPAIR)
    try:
        layout = read_layout(path)
        ids = layout.ids
        different = _different(con, number, encoder, layout, np.intersect1d(ids, stored))
    except StoreCorrupt as error:
        return Check(name, False, f"cannot be compared: {error}", error.hint)
    except (BadIndexFile, OSError, MemoryError, ValueError):
        size, least = path.stat().st_size, len(stored) * (4 * encoder.dim + 8)
        text = f"{path.name} is truncated or damaged: it has {size:,} bytes, its vectors alone take {least:,}"
        return Check(name, False, text, REPAIR)
    behind = len(np.setdiff1d(stored, ids)) if busy else 0
    text = f"{path.name} has {len(ids):,} vectors, each equal to the catalog's"
    faults = [*_id_faults(ids, stored, busy), Fault("vectors other than the catalog's", different, REPAIR)]
    if not any(fault.count for fault in faults) and layout.stamp != stamp_of(store, con, encoder, ids):
        faults.append(Fault("stamps that are not of these images, so that it is not used", 1, REPAIR))
    return verdict(name, text + (f"; {behind:,} more follow when indexing ends" if behind else ""), faults)


def _id_faults(ids: Ids, stored: Ids, busy: bool) -> list[Fault]:
    distinct = np.unique(ids)
    behind = 0 if busy else len(np.setdiff1d(stored, distinct))
    return [
        Fault("vectors of the catalog that it does not have yet", behind, REPAIR),
        Fault("vectors that are in it more than once", len(ids) - len(distinct), REPAIR),
        Fault("vectors that the catalog does not have", len(np.setdiff1d(distinct, stored)), REPAIR),
    ]


def _different(con: Connection, number: int, encoder: EncoderId, layout: IndexLayout, ids: Ids) -> int:
    """Return how many vectors of these ids differ, if only by a bit, as two kinds of NaN do."""
    if layout.dim != encoder.dim:
        return len(ids)
    different, order = 0, np.argsort(layout.ids, kind="stable")
    for chunk, vectors in load_in_chunks(con, number, encoder, ids, CHUNK):
        chunk, first = np.unique(chunk, return_index=True)  # an image with two rows is said by another check
        kept = np.array(layout.vectors[order[np.searchsorted(layout.ids, chunk, sorter=order)]])
        different += int((kept.view(np.uint32) != vectors[first].view(np.uint32)).any(axis=1).sum())
    return different


def _stored_ids(con: Connection, number: int) -> Ids:
    table = con.table(f"SELECT DISTINCT image_id FROM {vectors_table(number)} WHERE image_id IS NOT NULL ORDER BY 1")
    return np.asarray(table.column("image_id").to_numpy(), dtype=np.int64)


def index_folder(store: Store, con: Connection) -> list[Check]:
    """Check that nothing in the folder of FAISS files was left behind."""
    found = [] if being_indexed(store) else leftovers(store, con)
    what = "files that a killed process or another catalog left" + (f" (such as {found[0].name})" if found else "")
    return [verdict("index folder", "nothing left behind", [Fault(what, len(found), REPAIR)])]


def leftovers(store: Store, con: Connection) -> list[Path]:
    """Return our files in the index folder that belong to no encoder of this catalog; others' are left alone."""
    if store.index_folder.is_symlink():  # what is there is not ours
        return []
    wanted = {place(store, number) for number in list_encoders(con) for place in (index_file, cells_file)}
    wanted |= {tower_file(store, encoder) for encoder in list_encoders(con).values()}
    ours = [path for form in OURS for path in store.index_folder.glob(form)]
    return sorted(path for path in ours if path not in wanted and path.is_file())


def being_indexed(store: Store) -> bool:
    """Tell whether another process is indexing now."""
    lock = store.root / "indexing.lock"
    if not lock.is_file():
        return False
    try:
        with only_one(lock, 0.0):
            return False
    except StoreLocked:
        return True
    except StoreError:  # a place that cannot be written to, where nobody indexes
        return False
