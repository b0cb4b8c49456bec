"""Bringing the engines of an encoder up to the catalog, and deleting what earlier states of them left."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from shotdex.store.errors import StoreError
from shotdex.store.ids import stored_ids
from shotdex.store.lock import ownership
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Ids, Vectors

from .base import EngineDamaged, VectorEngine
from .faiss_file import remove_file
from .flat import among
from .ivf import drop_inverted_file
from .milvus_rows import read_record
from .registry import faiss_file, forget_stamps, leftovers, open_engines, record_stamp
from .validation import note_file
from .vector_index import CHUNK, catalog_chunks

log = logging.getLogger(__name__)

TURN = 8 * CHUNK
"""Vectors for which the catalog is opened at a time."""

RECORD_WAIT = 600.0
"""Seconds to wait, at the end of an indexing, for a reader that holds the catalog."""


def write_index(store: Store, encoder_id: int, encoder: EncoderId, name: str = "flat") -> None:
    """Bring an engine up to the catalog, record its new state there, and delete what earlier states left.

    An encoder's Milvus collection is brought up after it; where that fails, it is said in the log.

    Vectors come from what the engine has and from the catalog, in parts; the catalog is opened for some parts at a
    time, so that memory holds the ids alone. Only one process may do this at a time: see `Store.indexing`.

    Raises:
        StoreError: it cannot be written, as where the disk is full. The old state is as it was.
        StoreLocked: another process holds the catalog.
    """
    folder = store.index_folder
    try:
        if folder.is_symlink():  # where it leads nothing is read and nothing is written
            folder.unlink()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        where, hint = f"{folder}: {error.strerror}{ownership(folder.parent)}", "searches read the catalog meanwhile"
        if folder.exists():
            hint += "; move away what has its name, then: shotdex verify --repair"
        raise StoreError(f"cannot make {where}", hint) from error
    with store.reading() as con:
        engine = open_engines(store, con, encoder_id, encoder, ("flat", name))[name]
        before, stored = engine.stamp, stored_ids(con, encoder_id)
        in_milvus = read_record(con, encoder_id) is not None
        left = leftovers(store, con)
    try:
        try:
            _bring_up(store, engine, encoder_id, encoder, stored)
        except EngineDamaged as error:
            log.warning("engine %s of encoder %d is made again from the catalog: %s", name, encoder_id, error)
            engine.drop()
            _bring_up(store, engine, encoder_id, encoder, stored)
        if engine.stamp != before:
            with store.writing(RECORD_WAIT) as con:
                record_stamp(con, encoder_id, engine)
                left = leftovers(store, con)
    except BaseException:
        sweep(store)
        raise
    _remove(left)
    if in_milvus:
        from .milvus_upload import bring_up_quietly

        bring_up_quietly(store, encoder_id, encoder)


def _bring_up(store: Store, engine: VectorEngine, encoder_id: int, encoder: EncoderId, stored: Ids) -> None:
    def vectors(ids: Ids) -> Iterator[Vectors]:
        for start in range(0, len(ids), TURN):
            with store.reading() as con:
                yield from catalog_chunks(con, encoder_id, encoder, ids[start : start + TURN])

    gone = engine.covers[~among(engine.covers, stored)]
    if len(gone):
        engine.remove(gone)
        drop_inverted_file(store, encoder_id)
    missing = stored[~among(stored, engine.covers)]
    if len(missing) or engine.stamp is None:
        engine.add(missing, vectors(missing))


def drop_index(store: Store, encoder_id: int) -> None:
    """Delete the engines of an encoder and what the catalog records of them."""
    with store.reading() as con:
        file = faiss_file(store, con, encoder_id)
    with store.writing() as con:
        forget_stamps(con, encoder_id)
    drop_inverted_file(store, encoder_id)
    if file is not None and not store.index_folder.is_symlink():
        remove_file(file)
        remove_file(note_file(file))


def sweep(store: Store) -> None:
    """Delete the files of engines that belong to no encoder of the catalog, or to an earlier state of one."""
    with suppress(StoreError), store.reading() as con:
        _remove(leftovers(store, con))


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        with suppress(OSError):
            path.unlink(missing_ok=True)
