"""From shards to committed rows: in the order of the parts, one transaction a shard.

What each row means in the catalog is found as for a source that is indexed here: the plan compares the source's images
with the catalog, and only what is not on record as it is there is committed. The table `shards` has what was committed,
so a command that was interrupted goes on, and no shard is committed twice.
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa

from shotdex.models.late_encoder import LateEncoder
from shotdex.models.protocols import ImageEncoder
from shotdex.store.arrow import to_arrow, to_numpy
from shotdex.store.connection import Connection, now
from shotdex.store.encoded_batch import Kept, commit
from shotdex.store.encoders import number_of
from shotdex.store.engines.milvus_rows import forget_rows
from shotdex.store.engines.writing import drop_index, write_index
from shotdex.store.errors import StoreError
from shotdex.store.shard_reader import VectorFile
from shotdex.store.shard_vectors import add_file, find_again, settle, vector_files, waiting_images
from shotdex.store.types import EncoderId, IndexReport

from .inventory import Inventory
from .layout import Labelling
from .plan import Plan
from .reconcile import KNOWN, Placed, Placer, failures_of
from .run import Indexing, catalog_state, interrupt_held_back
from .shard_rows import read_batch
from .shards import Shard

log = logging.getLogger(__name__)


def without_model(identity: EncoderId) -> ImageEncoder:
    """Return what stands for the encoder of shards, whose vectors are there already."""

    def load() -> ImageEncoder:
        raise AssertionError("images that come in shards are not encoded again")

    return LateEncoder(identity, load)


class ShardIndexing(Indexing):
    """Brings a store up to a source of which all images are in shards, or on record. `commit_all` does it, once."""

    def commit_all(
        self,
        inventory: Inventory,
        labelling: Labelling,
        decoder: str,
        shards: Callable[[Plan], Iterable[Shard]],
        here: Iterable[Shard] = (),
    ) -> IndexReport:
        """Commit shards in the order in which they come; `shards` is called with what there is to do.

        `here` are those that are there before: vectors that the catalog has in shards that moved are found in them.

        Raises:
            SourceError: no image is usable, too many are not, or a shard is not one.
            StoreError: the store cannot be written to, or its disk is full or too small.
            StoreLocked: another process is indexing, or holds the catalog.
        """
        started = time.monotonic()
        with self._store.indexing():
            self._store.update_storage()
            waiting = self._find_again(inventory.source.root, here)
            plan, placer = self._open(inventory, labelling, decoder)
            interrupted = False
            try:
                for shard in shards(plan):
                    self._commit_shard(plan, placer, shard)
                    if self._tally.too_many():
                        break
            except KeyboardInterrupt:
                interrupted = True
            finally:
                if waiting:
                    self._settle()
                write_index(self._store, self._encoder_id, self._encoder.id)
            if not interrupted and not self._tally.too_many():
                self._finish(plan)
                if waiting:
                    self._warn_of_waiting()
        return self._report(plan, interrupted, started)

    def _settle(self) -> None:
        """Give copies of what was committed its vectors, where theirs are in shards that are lost."""
        with self._writing() as con:
            settle(con, self._encoder_id)

    def _warn_of_waiting(self) -> None:
        with self._store.reading() as con:
            left = waiting_images(con, self._encoder_id)
        for source, count in left.items():
            log.warning(
                "%s of %s had vectors in shards that are lost, and have none now; index that source again: %s",
                "1 image" if count == 1 else f"{count:,} images",
                source,
                f"shotdex index {shlex.quote(source)}",
            )

    def _find_again(self, source: str, here: Iterable[Shard]) -> bool:
        """Follow shards with vectors that moved; return whether vectors wait for shards in the place of lost ones."""
        with self._store.reading() as con:
            self._left, number = catalog_state(con), number_of(con, self._encoder.id)
            files = vector_files(con, self._store.root)
        if number is None or not any(file.encoder_id == number for file in files.values()):
            return False
        there = {shard.header.sha256: (shard.place.url, shard.name) for shard in here}
        with self._writing() as con:
            if find_again(con, self._store.root, number, source, there):
                forget_rows(con, number)
            waiting = con.value("SELECT count(*) FROM vector_places WHERE shard_id < 0")
        try:  # without those, as they may come back with other last bits
            write_index(self._store, number, self._encoder.id)
        except StoreError:  # it lacks vectors whose shard is lost, perhaps until what follows was committed
            drop_index(self._store, number)
        return bool(waiting)

    def _commit_shard(self, plan: Plan, placer: Placer, shard: Shard) -> None:
        scratch = plan.inventory.con
        batch = read_batch(shard, scratch)
        rows = batch.drop_columns(["joint", "vision"]).append_column("row", to_arrow(np.arange(len(batch))))
        with scratch.holding("shard_rows", rows):
            todo = scratch.table(_TODO)
        known, new = self._is_committed(shard), _with_labels(batch, todo)
        if len(todo) > new.column("failure").drop_null().length() or not known:
            # Cut between the database's commit and this, the same images would be counted as not yet committed.
            with interrupt_held_back():
                placed = placer.place(new, todo.select(KNOWN.names).cast(KNOWN)) if len(new) else None
                with self._writing() as con:
                    if placed is not None:
                        commit(con, placed.batch, placed.placement, self._kept(con, shard, todo, placed))
                    self._record(con, shard, batch)
                if placed is not None:
                    plan.take(placed.found)
                    self._counts.update(placed.counts)
                    new = placed.batch
        self._tally.add(failures_of(new))
        self._progress.advance(len(batch))

    def _kept(self, con: Connection, shard: Shard, todo: pa.Table, placed: Placed) -> Kept | None:
        image_id, vectors_of = (
            to_numpy(placed.placement.column(name).fill_null(-1)) for name in ("image_id", "vectors_of")
        )
        if not (self._options.keep_vectors and ((image_id == vectors_of) & (vectors_of >= 0)).any()):
            return None
        header = shard.header
        file = VectorFile(0, self._encoder_id, header.origin.root, header.sha256, shard.place.url, shard.name)
        return Kept(add_file(con, self._store.root, file), to_numpy(todo.column("row")))

    def _is_committed(self, shard: Shard) -> bool:
        with self._store.reading() as con:
            found = con.value("SELECT count(*) FROM shards WHERE key = $key", {"key": shard.header.key})
        return bool(found)

    def _record(self, con: Connection, shard: Shard, batch: pa.Table) -> None:
        header = shard.header
        failures = len(batch) - batch.column("failure").null_count
        con.run("DELETE FROM shards WHERE key = $key", {"key": header.key})
        con.run(
            "INSERT INTO shards SELECT coalesce(max(shard_id), 0) + 1, $key, $source, $encoder, $part, $parts, $piece, "
            "$state, $images, $failures, $sha256, $place, $name, $now FROM shards",
            {
                "key": header.key,
                "source": header.origin.root,
                "encoder": self._encoder_id,
                "part": header.part,
                "parts": header.parts,
                "piece": header.piece,
                "state": header.state,
                "images": len(batch) - failures,
                "failures": failures,
                "sha256": header.sha256,
                "place": shard.place.url,
                "name": shard.name,
                "now": now(),
            },
        )


# The rows of a shard that are not on record as they are there, with the labels that they get.
_TODO = """
    SELECT r.row, w.category, w.condition, w.split, w.metadata,
        w.image_id, w.content_sha256, w.encoded, w.present, w.same_file
    FROM shard_rows r JOIN work w ON w.address = r.address ORDER BY r.row
"""


def _with_labels(batch: pa.Table, todo: pa.Table) -> pa.Table:
    """Return the rows of a batch that are to be committed, with the labels that they get."""
    if len(todo) < len(batch):
        batch = batch.take(todo.column("row"))
    for name in ("category", "condition", "split", "metadata"):
        field = batch.schema.field(name)
        batch = batch.set_column(batch.schema.get_field_index(name), field, todo.column(name).cast(field.type))
    return batch
