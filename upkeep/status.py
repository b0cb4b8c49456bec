"""What a store holds, at a glance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from shotdex.store.encoders import list_encoders
from shotdex.store.engines.ivf import inverted_file_path, read_figures
from shotdex.store.engines.milvus_rows import read_record
from shotdex.store.engines.registry import faiss_file
from shotdex.store.images import unlabelled
from shotdex.store.object_stores import in_bucket
from shotdex.store.prediction_files import RunFiles
from shotdex.store.runs import list_runs
from shotdex.store.schema import vectors_table
from shotdex.store.shard_reader import VectorFile
from shotdex.store.shard_vectors import vector_files
from shotdex.store.source_records import left_out
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, LeftOut, Run

if TYPE_CHECKING:
    from shotdex.store.engines.inverted_file import Figures

    from .engines import EngineStatus

UNLABELLED = 100_000

LABELS = ("category", "condition", "split")


@dataclass(frozen=True, slots=True)
class EncoderStatus:
    """One encoder, how many images it has encoded, and the size of its FAISS file (0 if there is none).

    `approximate` is what was measured when its approximate index was built, if one was.
    """

    number: int
    encoder: EncoderId
    images: int
    index_bytes: int
    approximate: Figures | None = None


@dataclass(frozen=True, slots=True)
class ShardFolder:
    """A folder with shards in which vectors of the store stay: how many, and how many of them are not there.

    It may be the URL of a prefix in a bucket, where it is not looked at whether they are there.
    """

    folder: Path | str
    shards: int
    missing: int


@dataclass(frozen=True, slots=True)
class Status:
    """`labels` counts images by category, condition and split; None counts those without.

    `storage_version` is that of the catalog's file, such as `v1.2.0`: that DuckDB and newer ones can open it.
    `left_out` is what the last indexing of each source did not take for an image, `unlabelled` are the paths of the
    first hundred thousand images without a category. `engines` are the Milvus collections that were added,
    `prediction_files` the runs whose predictions are in files, `vector_shards` where vectors stay in shards.
    """

    root: Path
    images: int
    removed: int
    sources: dict[str, int]
    labels: dict[str, dict[str | None, int]]
    failures: dict[str, int]
    encoders: list[EncoderStatus]
    runs: list[Run]
    catalog_bytes: int
    storage_version: str
    left_out: list[LeftOut]
    unlabelled: list[str]
    engines: list[EngineStatus] = field(default_factory=list)
    prediction_files: list[RunFiles] = field(default_factory=list)
    vector_shards: list[ShardFolder] = field(default_factory=list)


def status(store: Store) -> Status:
    """Return what the store holds."""
    with store.reading() as con:
        found = Status(
            root=store.root,
            images=int(con.value("SELECT count(*) FROM images")),
            removed=int(con.value("SELECT count(*) FROM stored_images WHERE removed_at IS NOT NULL")),
            sources=dict(con.rows("SELECT source, count(*) FROM images GROUP BY source ORDER BY source")),
            labels={
                label: dict(con.rows(f"SELECT {label}, count(*) FROM images GROUP BY ALL ORDER BY {label} NULLS LAST"))
                for label in LABELS
            },
            failures=dict(con.rows("SELECT reason, count(*) FROM failures GROUP BY reason ORDER BY 2 DESC, 1")),
            encoders=[
                EncoderStatus(
                    number,
                    encoder,
                    int(con.value(f"SELECT count(*) FROM {vectors_table(number)} SEMI JOIN images USING (image_id)")),
                    _size(faiss_file(store, con, number)),
                    read_figures(inverted_file_path(store, number)),
                )
                for number, encoder in list_encoders(con).items()
            ],
            runs=list_runs(con),
            catalog_bytes=_size(store.catalog) + _size(store.catalog.with_name(store.catalog.name + ".wal")),
            storage_version=con.storage_version(),
            left_out=left_out(con),
            unlabelled=list(unlabelled(con, UNLABELLED)[1]),
            prediction_files=list(con.run_files.values()),
            vector_shards=_shard_folders(vector_files(con, store.root, needed=True).values()),
        )
        added = any(read_record(con, entry.number) is not None for entry in found.encoders)
    if not added:
        return found
    from .engines import engine_statuses

    return replace(found, engines=engine_statuses(store))


def _shard_folders(files: Iterable[VectorFile]) -> list[ShardFolder]:
    folders: dict[str, list[bool]] = {}
    for file in files:
        folders.setdefault(file.place, []).append(in_bucket(file.place) or Path(file.path).is_file())
    return [
        ShardFolder(place if in_bucket(place) else Path(place), len(there), there.count(False))
        for place, there in folders.items()
    ]


def _size(path: Path | None) -> int:
    return path.stat().st_size if path is not None and path.is_file() else 0
