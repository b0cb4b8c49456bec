"""Forgetting for good the images that are gone: their vectors, and their rows where nothing refers to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.engines.writing import write_index
from shotdex.store.ids import renew_images_generation
from shotdex.store.images import remember_next_id
from shotdex.store.schema import vectors_table
from shotdex.store.shard_vectors import delete_vectors
from shotdex.store.store import Store
from shotdex.store.types import EncoderId

HOLES = 10
"""Where a tenth or more of a table went the catalog is written again; of a smaller part it keeps the room."""

_REMOVED = """
    (SELECT image_id FROM stored_images WHERE removed_at IS NOT NULL AND coalesce(source NOT IN (FROM spared), true))
"""
_REFERRED = (
    "(SELECT image_id FROM predictions UNION ALL SELECT image_id FROM truths "
    "UNION ALL SELECT image_id FROM projection_points)"
)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was forgotten: rows of images, and rows of vectors over all encoders.

    `kept` removed images stay as rows without vectors, as runs or maps refer to them. `freed_bytes` is how much
    smaller the catalog's file became. `spared` images stay as they are, since they are most of their source.
    """

    images: int
    vectors: int
    kept: int
    freed_bytes: int = 0
    spared: int = 0

    def __str__(self) -> str:
        kept = f"; {self.kept:,} rows stay, because runs or maps refer to them" if self.kept else ""
        freed = f", {self.freed_bytes / 1e6:.1f} MB freed" if self.freed_bytes else ""
        spared = f"; {self.spared:,} images stay, because they are most of their source: --gone" if self.spared else ""
        return f"{self.images:,} images and {self.vectors:,} vectors were removed{freed}{kept}{spared}"


def prune(store: Store, *, spare: bool = False) -> Pruned:
    """Forget the images that are marked as removed. Their ids are never given again.

    With `spare`, not those of a source of which more images would be forgotten than are present: its disk may be back.

    All of it is one transaction. The FAISS files are written without the vectors afterwards; killed in between, the
    next prune or indexing does so.

    Raises:
        StoreLocked: another process is indexing, or holds the catalog.
        StoreError: the disk is full; what was forgotten then is all or nothing.
    """
    with store.indexing():
        with store.reading() as con:
            known = list_encoders(con)
            spared = _mostly_removed(con, known) if spare else []
            with _sparing(con, spared):
                encoders = [number for number in known if _vectors_of_removed(con, number)]
                kept = _count(con, f"{_REMOVED} SEMI JOIN {_REFERRED} USING (image_id)")
                images = _count(con, f"{_REMOVED} ANTI JOIN {_REFERRED} USING (image_id)")
        staying = sum(count for _, count in spared)
        if not encoders and not images:
            _write_indexes(store, known)  # a prune that was killed may have left vectors in the FAISS files
            return Pruned(0, 0, kept, 0, staying)
        before = store.catalog_bytes()
        with store.writing() as con, _sparing(con, spared):
            remember_next_id(con)
            vectors = {vectors_table(number): _forget_vectors(con, number) for number in encoders}
            images = _forget_rows(con)
            renew_images_generation(con)
            holey = any(_is_holey(con, table, gone) for table, gone in (vectors | {"stored_images": images}).items())
        if holey:
            store.compact()
        freed = max(0, before - store.catalog_bytes())
        _write_indexes(store, known)
        return Pruned(images, sum(vectors.values()), kept, freed, staying)


def _mostly_removed(con: Connection, encoders: Iterable[int]) -> list[tuple[str, int]]:
    """Return the sources of which more would be forgotten than is present, with how many images that is."""
    encoded = " UNION ALL ".join(f"SELECT image_id FROM {vectors_table(number)}" for number in encoders)
    held = f"image_id IN ({encoded})" if encoded else "false"
    forgotten = f"removed_at IS NOT NULL AND ({held} OR image_id NOT IN (SELECT image_id FROM {_REFERRED}))"
    return [
        (source, count)
        for source, count in con.rows(
            f"SELECT source, count(*) FILTER ({forgotten}) FROM stored_images WHERE source IS NOT NULL GROUP BY source "
            f"HAVING count(*) FILTER ({forgotten}) > count(*) FILTER (removed_at IS NULL)"
        )
    ]


def _sparing(con: Connection, sources: Sequence[tuple[str, int]]) -> AbstractContextManager[None]:
    import pyarrow as pa

    return con.holding("spared", pa.table({"source": pa.array([source for source, _ in sources], pa.string())}))


def _count(con: Connection, query: str) -> int:
    return int(con.value(f"SELECT count(*) FROM {query}"))


def _vectors_of_removed(con: Connection, number: int) -> bool:
    return _count(con, f"{vectors_table(number)} SEMI JOIN {_REMOVED} USING (image_id)") > 0


def _forget_vectors(con: Connection, number: int) -> int:
    return delete_vectors(con, number, f"image_id IN {_REMOVED}")


def _forget_rows(con: Connection) -> int:
    referred = f"(SELECT image_id FROM {_REFERRED} WHERE image_id IS NOT NULL)"
    return int(con.value(f"DELETE FROM stored_images WHERE image_id IN {_REMOVED} AND image_id NOT IN {referred}"))


def _is_holey(con: Connection, table: str, gone: int) -> bool:
    """Tell whether so much of a table went that it is worth writing the catalog again."""
    return gone * HOLES > _count(con, table)


def _write_indexes(store: Store, encoders: dict[int, EncoderId]) -> None:
    for number, encoder in encoders.items():
        write_index(store, number, encoder)
