"""What each row of an encoded batch means in the catalog: as before, moved here, a copy of a known one, changed, new.

All of a batch at once, in columns: its rows next to what the plan knows of their addresses. Ids are given in the order
of the rows, so an interrupted run goes on alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotdex.store.arrow import mask, to_arrow, to_numpy
from shotdex.store.encoded_batch import PLACEMENT
from shotdex.store.errors import StoreError
from shotdex.store.types import Failure, Ids, Reason

from .contents import ContentTable, Keys, Vanished, keys_of
from .pipeline import NOT_FINITE

Mask = npt.NDArray[np.bool_]

KNOWN = pa.schema(
    [
        ("image_id", pa.int64()),
        ("content_sha256", pa.string()),
        ("encoded", pa.bool_()),
        ("present", pa.bool_()),
        ("same_file", pa.bool_()),
    ]
)
"""What the catalog has at each row's address, null where nothing: the newest image there, its content, whether this
encoder has encoded it, whether it is present, and whether the file's size and time are as they were."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A batch ready to be committed, with its `placement`; `found` (N,) are images that have turned up again.

    `counts` are those of an `IndexReport`, by their names.
    """

    batch: pa.Table
    placement: pa.Table
    found: Ids
    counts: Counter[str]


@dataclass(slots=True)
class Placer:
    """Places batches, in the order of their source.

    `owners` is who has vectors by content, `vanished` which images are no longer where they were, `next_id` the first
    free id; `dropped` are the ids that images had until the model answered with NaN or infinity: their contents are
    among the owners, so that copies fail, too.
    """

    owners: ContentTable
    vanished: Vanished
    next_id: int
    dropped: set[int] = field(default_factory=set)

    def place(self, batch: pa.Table, known: pa.Table) -> Placed:
        """Place a batch whose rows are next to what is `known` of their addresses, a table of `KNOWN`.

        A failure that has a content is an image that the model answered with NaN or infinity.

        Raises:
            StoreError: an image has neither vectors nor a failure, and its content has no vectors either.
        """
        batch, known = batch.combine_chunks(), known.combine_chunks()
        rows = _Rows.read(batch, known)
        moved = np.full(len(batch), -1, dtype=np.int64)
        candidates = np.flatnonzero(rows.image & (rows.known_id < 0))
        moved[candidates] = self.vanished.take(rows.keys[:, candidates])
        fresh = rows.image & ~rows.same & (moved < 0)
        ids = np.where(fresh, self.next_id - 1 + np.cumsum(fresh), np.where(rows.same, rows.known_id, moved))
        self.next_id += int(fresh.sum())
        vectors_of, sizes = self._owners(rows, ids, fresh | (rows.same & ~rows.encoded))

        dropped = np.isin(vectors_of, sorted(self.dropped))
        changed, again = fresh & rows.present, rows.same & rows.present
        broken = ~rows.image & rows.present & ~rows.same_file & rows.decodable
        outcomes = {
            "": dropped & ~changed,
            "removed": dropped | broken,
            "changed": changed,
            "moved": moved >= 0,
            "encoded": again & ~rows.encoded,
            "unchanged": again,
            "added": rows.image,
        }
        outcome = np.select(list(outcomes.values()), range(len(outcomes)), 0)  # the first that holds
        counts = dict(zip(outcomes, np.bincount(outcome, minlength=len(outcomes)).tolist(), strict=True)) | {"": 0}
        lost = dropped & fresh
        placement = pa.table(
            [
                to_arrow(ids, lost | (ids < 0)),
                pa.array(fresh & ~lost),
                to_arrow(rows.known_id, ~(changed | broken)),
                to_arrow(vectors_of, dropped | (vectors_of < 0)),
            ],
            schema=PLACEMENT,
        )
        return Placed(
            _corrected(batch, rows, sizes, dropped, lost), placement, ids[(ids >= 0) & ~fresh], +Counter(counts)
        )

    def _owners(self, rows: _Rows, ids: Ids, needed: Mask) -> tuple[Ids, npt.NDArray[np.int32]]:
        """Return whose vectors each row is to have, -1 for none, and the sizes (2, N) of their contents; add owners."""
        wanted = np.flatnonzero(rows.image)
        owner, sizes = np.full(len(ids), -1, dtype=np.int64), rows.sizes.copy()
        owner[wanted], found = self.owners.find(rows.keys[:, wanted])
        sizes[:, wanted] = np.where(found > 0, found, sizes[:, wanted])
        new = np.flatnonzero(needed & (owner < 0))
        if len(new):
            # Of the rows of a content the first that was sent to the model, answered or not, owns its vectors.
            order = new[np.lexsort((new, ~rows.encoded_here[new], rows.keys[1, new], rows.keys[0, new]))]
            begins = np.ones(len(order), dtype=bool)
            begins[1:] = (rows.keys[:, order[1:]] != rows.keys[:, order[:-1]]).any(axis=0)
            first = order[begins][np.cumsum(begins) - 1]
            without = ~rows.encoded_here[first]
            if without.any():
                raise StoreError(
                    f"{int(without.sum()):,} rows of the encoded batch have neither vectors nor a failure, and the "
                    "store has no vectors of the same content",
                    "encode these images, or commit the batch that has their vectors first",
                )
            owner[order], sizes[:, order] = ids[first], sizes[:, first]
            own = np.sort(order[begins])
            self.owners.extend(rows.keys[:, own], ids[own], sizes[:, own])
            self.dropped.update(ids[own[rows.failed[own]]].tolist())
        return np.where(needed, owner, -1), sizes


@dataclass(frozen=True, slots=True)
class _Rows:
    """A batch and what is known, as arrays (N,): `image` has a content; `encoded_here` was sent to the model.

    `same` has the content on record at its address; `decodable` failed in being decoded or encoded, not in being read.
    `keys` (2, N) are of contents, 0 for failures, `sizes` (2, N) pixels, `known_id` -1 for nothing.
    """

    image: Mask
    failed: Mask
    encoded_here: Mask
    decodable: Mask
    same: Mask
    encoded: Mask
    present: Mask
    same_file: Mask
    known_id: Ids
    keys: Keys
    sizes: npt.NDArray[np.int32]

    @staticmethod
    def read(batch: pa.Table, known: pa.Table) -> _Rows:
        import pyarrow.compute as pc

        content, failure = batch.column("sha256"), batch.column("failure")
        image, failed = mask(content.is_valid()), mask(failure.is_valid())
        keys = np.zeros((2, len(batch)), dtype=np.uint64)
        keys[:, image] = keys_of(content.drop_null())
        stage = pc.is_in(pc.struct_field(failure, "stage"), pa.array(["decode", "encode"]))
        sizes = [to_numpy(batch.column(name).fill_null(0)) for name in ("width", "height")]
        return _Rows(
            image=image,
            failed=failed,
            encoded_here=mask(batch.column("joint").is_valid()) | (image & failed),
            decodable=mask(stage),
            same=mask(pc.equal(content, known.column("content_sha256"))),
            **{name: mask(known.column(name)) for name in ("encoded", "present", "same_file")},
            known_id=to_numpy(known.column("image_id").fill_null(-1)),
            keys=keys,
            sizes=np.stack(sizes),
        )


def _corrected(batch: pa.Table, rows: _Rows, sizes: npt.NDArray[np.int32], dropped: Mask, lost: Mask) -> pa.Table:
    """Return a batch with sizes for copies, and as failures exactly those whose content the model did not answer."""
    gone = lost | ~rows.image
    for row, name in enumerate(("width", "height")):
        batch = _replaced(batch, name, to_arrow(sizes[row], gone | (sizes[row] == 0)))
    if lost.any():
        batch = _replaced(batch, "sha256", _null_where(batch.column("sha256"), lost))
    wrong = np.flatnonzero(rows.image & (rows.failed != dropped))
    if len(wrong):
        failures = batch.column("failure").to_pylist()
        for row in wrong.tolist():
            failures[row] = NOT_FINITE if dropped[row] else None
        batch = _replaced(batch, "failure", pa.array(failures, batch.schema.field("failure").type))
    return batch


def _null_where(column: pa.ChunkedArray, where: Mask) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.if_else(pa.array(where), pa.scalar(None, column.type), column)


def _replaced(batch: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), column)


def failures_of(batch: pa.Table) -> list[Failure]:
    """Return the failures of a batch, in its order."""
    failed = batch.select(["address", "failure"]).filter(batch.column("failure").is_valid())
    return [
        Failure(row["address"], row["failure"]["stage"], Reason(row["failure"]["reason"]), row["failure"]["detail"])
        for row in failed.to_pylist()
    ]
