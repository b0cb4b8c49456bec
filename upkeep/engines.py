"""The engines outside this process: what they have, whether they are ready, and how they differ from the catalog."""

from __future__ import annotations

from dataclasses import dataclass

from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.engines.milvus import why_not_ready
from shotdex.store.engines.milvus_rows import count_images, read_record
from shotdex.store.engines.milvus_upload import compare, repair_milvus
from shotdex.store.errors import EngineUnavailable
from shotdex.store.store import Store
from shotdex.store.types import EncoderId

from .check import REPAIR, Check, Fault, verdict
from .check_engines import being_indexed


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """An engine that was added for an encoder: where it is, and how many images are found through how many rows.

    `lacking` images of the catalog are not there yet and are compared here. It is asked only while it is `ready`;
    `reason` says why it is not.
    """

    engine: str
    encoder: int
    model: str
    uri: str
    kind: str
    collection: str
    images: int
    rows: int
    lacking: int
    ready: bool
    reason: str = ""


def engine_statuses(store: Store) -> list[EngineStatus]:
    """Return the engines that were added, each asked whether it is ready; the catalog is closed meanwhile."""
    with store.reading() as con:
        records = [
            (number, encoder, record, count_images(con, number))
            for number, encoder in list_encoders(con).items()
            if (record := read_record(con, number)) is not None
        ]
    found = []
    for number, encoder, record, (images, lacking) in records:
        try:
            reason = why_not_ready(record, encoder.dim, lacking)
        except EngineUnavailable as error:
            reason = str(error)
        found.append(
            EngineStatus(
                "milvus", number, encoder.name, record.uri, record.kind, record.collection, images, record.rows,
                lacking, reason is None, reason or "",
            )
        )  # fmt: skip
    return found


def collections(store: Store, con: Connection) -> list[Check]:
    """Compare every Milvus collection with the catalog."""
    return [
        check
        for number, encoder in list_encoders(con).items()
        for check in _collection(con, number, encoder, being_indexed(store))
    ]


def _collection(con: Connection, number: int, encoder: EncoderId, busy: bool) -> list[Check]:
    name, record = f"Milvus collection of encoder {number}", read_record(con, number)
    if record is None:
        return []
    if busy:
        return [Check(name, True, "not compared: somebody is indexing")]
    try:
        found = compare(con, number, encoder, record)
    except EngineUnavailable as error:
        return [Check(name, False, str(error), error.hint)]
    if found.reason and not (len(found.lacking) or len(found.unknown) or len(found.altered)):
        return [Check(name, False, f"it is not searched: {found.reason}", REPAIR)]
    faults = [
        Fault("rows that it lacks", len(found.lacking), REPAIR),
        Fault("rows that the catalog does not have", len(found.unknown), REPAIR),
        Fault("rows whose vectors or labels are not the catalog's", len(found.altered), REPAIR),
    ]
    return [verdict(name, f"{record.collection} has {found.rows:,} rows, each equal to the catalog's", faults)]


def repair_collections(store: Store, encoders: dict[int, EncoderId]) -> list[str]:
    """Make every Milvus collection equal to the catalog, and return what was done; the caller holds the lock."""
    done = []
    for number, encoder in encoders.items():
        try:
            done += repair_milvus(store, number, encoder)
        except EngineUnavailable as error:
            done.append(f"left the Milvus collection of encoder {number} as it is: {error}")
    return done
