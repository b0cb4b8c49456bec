"""The FAISS files: each belongs to this store and holds the catalog's vectors, all of them and bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shotdex.models.text_tower_file import stamp_file, tower_file
from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.engines.base import EngineDamaged
from shotdex.store.engines.faiss_file import FaissFile, read_file
from shotdex.store.engines.flat import Rows
from shotdex.store.engines.ivf import inverted_file_path, read_inverted_file
from shotdex.store.engines.registry import faiss_file, faiss_record, older_file
from shotdex.store.engines.registry import leftovers as engine_leftovers
from shotdex.store.engines.validation import rehash
from shotdex.store.errors import StoreCorrupt, StoreError, StoreLocked
from shotdex.store.lock import only_one
from shotdex.store.schema import vectors_table
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids
from shotdex.store.vectors import load_in_chunks

from .check import REPAIR, Check, Fault, verdict

TOWERS = ("text-*.safetensors", "text-*.part", "tower-*.checked", "tower-*.part")
"""Names of the files with text towers, and of their stamps, that shotdex puts next to the catalog."""

CHUNK = 16_384
"""Vectors compared at a time."""


def index_files(store: Store, con: Connection) -> list[Check]:
    """Check every encoder's FAISS file against the catalog."""
    busy = being_indexed(store)
    encoders = list_encoders(con)
    checks = [check_index(store, con, number, encoder, busy) for number, encoder in encoders.items()]
    return checks + [check for number in encoders for check in check_inverted_file(store, con, number)]


def check_inverted_file(store: Store, con: Connection, number: int) -> list[Check]:
    """Check an encoder's approximate index, if it has one: whole, and of the rows of its FAISS file."""
    path, file = inverted_file_path(store, number), faiss_file(store, con, number)
    if store.index_folder.is_symlink() or not (path.is_file() or path.is_symlink()):
        return []
    name = f"approximate index of encoder {number}"
    if file is None and older_file(store, number).is_file():
        return [Check(name, True, f"{path.name} belongs to {older_file(store, number).name}")]
    try:
        if path.is_symlink():
            raise EngineDamaged("it is a link")
        if file is None:
            raise EngineDamaged("there is no FAISS file that it belongs to")
        found = read_file(file)
        inverted = read_inverted_file(path, Rows(found.ids, found.vectors))
    except (EngineDamaged, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        return [Check(name, False, f"{path.name} is not used: {reason}", f"{REPAIR}, then: shotdex approximate")]
    text = f"{len(inverted.centroids):,} centroids, each of {len(inverted.rows):,} vectors in the list of one"
    return [Check(name, True, text)]


def check_index(store: Store, con: Connection, number: int, encoder: EncoderId, busy: bool = False) -> Check:
    """Check one encoder's FAISS file. While somebody indexes (`busy`) it may be behind: it is written at the end."""
    name, path = f"index of encoder {number}", faiss_file(store, con, number)
    stored, record = _stored_ids(con, number), faiss_record(con, number)
    if store.index_folder.is_symlink() or (path is not None and path.is_symlink()):
        what = "the FAISS file" if path is None else path.name
        return Check(name, False, f"{what} is a link, or in a linked folder, so it is not used", REPAIR)
    if path is None or record is None or not path.is_file():
        return _not_there(name, path or older_file(store, number), recorded=path is not None, busy=busy, ids=stored)
    try:
        file = read_file(path)
        ids = file.ids
        different = _different(con, number, encoder, file, np.intersect1d(ids, stored))
    except StoreCorrupt as error:
        return Check(name, False, f"cannot be compared: {error}", error.hint)
    except (EngineDamaged, OSError, MemoryError, ValueError):
        size, least = path.stat().st_size, len(stored) * (4 * encoder.dim + 8)
        text = f"{path.name} is truncated or damaged: it has {size:,} bytes, its vectors alone take {least:,}"
        return Check(name, False, text, REPAIR)
    behind = len(np.setdiff1d(stored, ids)) if busy else 0
    text = f"{path.name} has {len(ids):,} vectors, each equal to the catalog's"
    faults = [*_id_faults(ids, stored, busy), Fault("vectors that differ from the catalog's", different, REPAIR)]
    if not any(fault.count for fault in faults):
        try:
            rehash(file, record)
        except EngineDamaged:
            faults.append(Fault("files that changed since they were written and are therefore not used", 1, REPAIR))
    return verdict(name, text + (f"; {behind:,} more follow when indexing ends" if behind else ""), faults)


def _not_there(name: str, path: Path, *, recorded: bool, busy: bool, ids: Ids) -> Check:
    """Say that there is no FAISS file on record at `path`, or none at all where nothing is recorded."""
    if busy or len(ids) == 0:
        return Check(name, True, f"not written yet; {'somebody is indexing' if busy else 'there are no vectors'}")
    if not recorded and path.is_file():
        return Check(name, True, f"{path.name} was written by an older version; the next indexing rewrites it")
    what = f"there is no {path.name}" if recorded else "there is no FAISS file"
    if path.exists():
        what = f"{path.name} is not a file"
    return Check(name, False, f"{what}, so every search reads the catalog", REPAIR)


def _id_faults(ids: Ids, stored: Ids, busy: bool) -> list[Fault]:
    distinct = np.unique(ids)
    behind = 0 if busy else len(np.setdiff1d(stored, distinct))
    return [
        Fault("vectors of the catalog that it does not have yet", behind, REPAIR),
        Fault("vectors that are in it more than once", len(ids) - len(distinct), REPAIR),
        Fault("vectors that the catalog does not have", len(np.setdiff1d(distinct, stored)), REPAIR),
    ]


def _different(con: Connection, number: int, encoder: EncoderId, file: FaissFile, ids: Ids) -> int:
    """Return how many vectors of these ids differ, if only by a bit, as two kinds of NaN do."""
    if file.dim != encoder.dim:
        return len(ids)
    different, order = 0, np.argsort(file.ids, kind="stable")
    for chunk, vectors in load_in_chunks(con, number, encoder, ids, CHUNK):
        chunk, first = np.unique(chunk, return_index=True)  # an image with two rows is said by another check
        kept = np.array(file.vectors[order[np.searchsorted(file.ids, chunk, sorter=order)]])
        different += int((kept.view(np.uint32) != vectors[first].view(np.uint32)).any(axis=1).sum())
    return different


def _stored_ids(con: Connection, number: int) -> Ids:
    table = con.table(f"SELECT DISTINCT image_id FROM {vectors_table(number)} WHERE image_id IS NOT NULL ORDER BY 1")
    return np.asarray(table.column("image_id").to_numpy(), dtype=np.int64)


def index_folder(store: Store, con: Connection) -> list[Check]:
    """Check that nothing in the folder of FAISS files was left behind."""
    found = [] if being_indexed(store) else leftovers(store, con)
    what = "files left by a killed process or another catalog" + (f" (such as {found[0].name})" if found else "")
    return [verdict("index folder", "nothing left behind", [Fault(what, len(found), REPAIR)])]


def leftovers(store: Store, con: Connection) -> list[Path]:
    """Return our files in the index folder that belong to no encoder of this catalog; others' are left alone."""
    if store.index_folder.is_symlink():  # what is there is somebody else's
        return []
    towers = {tower_file(store, encoder) for encoder in list_encoders(con).values()}
    towers |= {stamp_file(path) for path in towers}
    found = [path for form in TOWERS for path in store.index_folder.glob(form)]
    return sorted([*engine_leftovers(store, con), *(path for path in found if path not in towers and path.is_file())])


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
