"""Vectors that were made elsewhere: a table of images with a column of vectors, or with arrays of numpy's next to it.

That is how `clip-retrieval` leaves them (`metadata_*.parquet` with `img_emb_*.npy`), and what `export parquet` writes.
Image files are read for their hashes and sizes; no pixel is decoded, and no model is loaded.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from shotdex.media.decoding.exif import read_exif
from shotdex.media.files.places import absolute
from shotdex.media.sources import facts, read_bytes
from shotdex.models.own_encoder import PYTHON, identity_of
from shotdex.store.arrow import vectors_to_arrow
from shotdex.store.encoded_batch import batch_schema, commit
from shotdex.store.encoders import number_of
from shotdex.store.engines.writing import write_index
from shotdex.store.errors import SourceError
from shotdex.store.image_columns import PHOTO
from shotdex.store.progress import Progress
from shotdex.store.schema import vectors_table
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Failure, IndexReport, Photo, Reason, Vectors

from .selection import OUTCOME
from .vector_table import Part, VectorTable

COMMIT_WAIT = 600.0
"""Seconds to wait, at a commit, for a reader that holds the catalog."""

OWN = {"image_id", "source", "content_sha256", "width", "height", "size_bytes", "modified_ns", "added_at", "metadata"}
"""Columns of `export parquet` that are not metadata of an image."""

KEPT = 1000
"""Failures that a report names; the catalog has all of them."""


@dataclass(slots=True)
class _Good:
    """An image with its vector."""

    row: dict[str, Any]
    content: str
    size: tuple[int, int]
    bytes: int
    modified_ns: int
    joint: Vectors
    vision: Vectors
    photo: Photo


class Importing:
    """One import. `run` does it all, once."""

    def __init__(
        self, store: Store, table: VectorTable, encoder: EncoderId, columns: Mapping[str, str], progress: Progress
    ) -> None:
        self._store = store
        self._table = table
        self._encoder = encoder
        self._roles = table.roles(columns)
        self._progress = progress
        self._seen: dict[str, int] = {}
        self._tally: Counter[str] = Counter()
        self._first: list[Failure] = []
        self._without_vision = 0
        self._own = table.encoder() is not None

    def run(self) -> IndexReport:
        """Bring the vectors into the store, and return what was done.

        Raises:
            SourceError: no row can be used. StoreError, StoreLocked.
        """
        started = time.monotonic()
        self._progress.start(self._table.count())
        with self._store.indexing():
            self._store.update_storage()
            before, used, number = self._counts(), 0, 0
            for part in self._table.parts():
                used += self._take(part, number)
                number += len(part.rows)
            after = self._counts()
            with self._store.reading() as con:
                encoder_id = number_of(con, self._encoder)
            if encoder_id is not None:
                write_index(self._store, encoder_id, self._encoder)
        failed = sum(self._tally.values())
        if failed and not used:
            first = self._first[0]
            raise SourceError(
                f"none of the {failed:,} rows of {self._table.root} can be used, as {first.path}: {first.detail}",
                'see them all with: shotdex sql "SELECT path, reason, detail FROM failures"',
            )
        added = after[0] - before[0]
        encoded = max(0, after[1] - before[1] - added)
        notes = ["texts need the encoder from Python: shotdex.open(path, model=encoder); images need no model"]
        if self._without_vision:
            notes.append(f"{self._without_vision:,} rows have no vision vectors; zeros stand for them")
        return IndexReport(
            added=max(0, added),
            unchanged=max(0, used - max(0, added) - encoded),
            encoded=encoded,
            failed=failed,
            failures=tuple(self._first),
            reasons=dict(self._tally.most_common()),
            seconds=time.monotonic() - started,
            source=self._table.root,
            kind="vectors",
            encoder=self._encoder,
            notes=tuple(notes[0 if self._encoder.revision == PYTHON else 1 :]),
        )

    def _counts(self) -> tuple[int, int]:
        """Return how many images there are, and how many have vectors of the encoder."""
        with self._store.reading() as con:
            number = number_of(con, self._encoder)
            images = int(con.value("SELECT count(*) FROM images"))
            if number is None:
                return images, 0
            encoded = f"SELECT count(*) FROM {vectors_table(number)} SEMI JOIN images USING (image_id)"
            return images, int(con.value(encoded))

    def _take(self, part: Part, start: int) -> int:
        good: list[_Good] = []
        failures: list[Failure] = []
        for place, (row, vector) in enumerate(zip(part.rows, part.vectors, strict=True), start + 1):
            found = self._read(row, vector, place)
            if isinstance(found, Failure):
                failures.append(found)
                self._tally[found.reason.value] += 1
                self._first += [found] * (len(self._first) < KEPT)
            else:
                good.append(found)
            self._progress.advance(1)
        with self._store.writing(COMMIT_WAIT) as con:
            paths = [one.row["address"] for one in good]
            known = {row[0]: row[1:] for row in con.rows(_KNOWN, {"paths": paths})}
            commit(con, self._batch(good, failures, known))
        return len(good)

    def _read(self, row: dict[str, Any], vector: Any, number: int) -> _Good | Failure:
        name = row.get(self._roles.image)
        if not isinstance(name, str) or not name:
            place = f"{self._table.root}!row {number}"
            return Failure(place, "scan", Reason.UNREADABLE, f"the column {self._roles.image} names no file")
        address = self._address(name)
        if (other := self._seen.setdefault(address, number)) != number:
            place = f"{self._table.root}!row {number}"
            return Failure(place, "scan", Reason.UNREADABLE, f"row {other} has the path {address} already")
        joint = self._checked(vector, self._encoder.dim)
        if isinstance(joint, str):
            return Failure(address, "encode", Reason.MODEL_OUTPUT, joint)
        try:
            data = read_bytes(address)
        except Exception as error:  # whatever is wrong with one image, the others go on
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return Failure(address, "read", Reason.UNREADABLE, f"the image cannot be read: {why}")
        content = hashlib.sha256(data).hexdigest()
        if self._own and row.get("content_sha256") not in (None, content):
            return Failure(address, "read", Reason.UNREADABLE, "it changed since its vector was made")
        size = _size(data)
        if size is None:
            return Failure(address, "decode", Reason.NOT_AN_IMAGE, "no image is recognised in it")
        row["address"] = address
        known = facts(address)
        return _Good(
            row,
            content,
            size,
            len(data) if known is None else known.size_bytes,
            0 if known is None else known.modified_ns,
            joint / np.linalg.norm(joint),
            self._vision(row, joint),
            read_exif(io.BytesIO(data)),
        )

    def _address(self, name: str) -> str:
        if "://" in name or Path(name).is_absolute():
            return absolute(name)
        return absolute(str(Path(self._table.files[0]).parent / name))

    def _checked(self, vector: Any, dim: int) -> Vectors | str:
        """Return a vector, or what is wrong with it."""
        if vector is None:
            return "it has no vector, or a number in it is missing"
        if vector.shape != (dim,):
            return f"the vector has {len(vector)} numbers; {dim} are needed"
        if not np.isfinite(vector).all() or not np.isfinite(np.linalg.norm(vector)):
            return "the vector has NaN, infinity or numbers too large"
        found: Vectors = np.asarray(vector, dtype=np.float32)
        return found if np.linalg.norm(found) > 0 else "the vector is zero"

    def _vision(self, row: dict[str, Any], joint: Vectors) -> Vectors:
        own = row.get("vision")
        if own is not None and own.shape == (self._encoder.vision_dim,) and np.isfinite(own).all():
            found: Vectors = own
            return found
        if self._encoder.revision == PYTHON:
            return joint
        self._without_vision += 1
        return np.zeros(self._encoder.vision_dim, np.float32)

    def _batch(
        self, good: Sequence[_Good], failures: Sequence[Failure], known: Mapping[str, Sequence[str | None]]
    ) -> pa.Table:
        """Return an encoded batch; what `known` says of an image stays where the table says nothing."""
        schema, count = batch_schema(self._encoder), len(good) + len(failures)
        labels: list[Sequence[str | None]] = []
        for one in good:
            says = (self._table.root, *self._labels(one.row))
            old = known.get(one.row["address"], (None,) * len(says))
            labels.append([old[0] or says[0], *(new or kept for new, kept in zip(says[1:], old[1:], strict=True))])
        nothing: list[Any] = [None] * len(failures)
        spaces = []
        for name, dim in (("joint", self._encoder.dim), ("vision", self._encoder.vision_dim)):
            matrix = np.zeros((count, dim), np.float32)
            for i, one in enumerate(good):
                matrix[i] = getattr(one, name)
            spaces.append(vectors_to_arrow(matrix, np.arange(count) >= len(good)))
        columns: list[Any] = [
            [one.row["address"] for one in good] + [failure.path for failure in failures],
            [label[0] for label in labels] + [self._table.root] * len(failures),
            *([label[i] for label in labels] + nothing for i in range(1, 5)),
            *([getattr(one.photo, name) for one in good] + nothing for name in PHOTO.names),
            [one.content for one in good] + nothing,
            [one.size[0] for one in good] + nothing,
            [one.size[1] for one in good] + nothing,
            [one.bytes for one in good] + [0] * len(failures),
            [one.modified_ns for one in good] + [0] * len(failures),
            *spaces,
            [None] * len(good) + [{"reason": f.reason.value, "stage": f.stage, "detail": f.detail} for f in failures],
        ]
        arrays = [
            pa.array(column, field.type) if isinstance(column, list) else column.cast(field.type)
            for column, field in zip(columns, schema, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _labels(self, row: dict[str, Any]) -> tuple[str | None, str | None, str | None, str | None]:
        """Return category, condition, split and metadata of a row."""
        roles = self._roles
        named = [
            None if name is None or row.get(name) is None else str(row[name])
            for name in (roles.category, roles.condition, roles.split)
        ]
        left = {name: value for name, value in row.items() if name not in (*roles.names(), "address", "vision")}
        if self._own:
            text = left.get("metadata")
            left = {name: value for name, value in left.items() if name not in OWN | set(OUTCOME) | set(PHOTO.names)}
            left |= json.loads(text) if text else {}
            left.pop("exif", None)  # which is read from the file again
        kept = {name: value for name, value in left.items() if value is not None}
        text = json.dumps(kept, ensure_ascii=False, default=str) if kept else None
        return named[0], named[1], named[2], text


_KNOWN = """
    SELECT path, source, category, condition, split, metadata::VARCHAR FROM stored_images
    WHERE removed_at IS NULL AND path IN (SELECT unnest($paths::VARCHAR[]))
"""


def _size(data: bytes) -> tuple[int, int] | None:
    """Return the pixels of an image after EXIF orientation, from its header."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112) in (5, 6, 7, 8)
    except Exception:  # Pillow raises what it likes at a broken header
        return None
    return (height, width) if turned else (width, height)


Choose = Callable[[str], EncoderId | None]
"""Returns the encoder of that name that the store or this machine has."""


def import_vectors(
    store: Store, table: VectorTable, name: str, choose: Choose, columns: Mapping[str, str], progress: Progress
) -> IndexReport:
    """Bring vectors into a store under the encoder of that name: the file's, the store's, a model's, or a new one.

    Raises:
        SourceError, OptionError, StoreError, StoreLocked.
    """
    written = table.encoder()
    names = () if written is None else (written.name, written.name.rsplit("/", 1)[-1])
    encoder = written if name in names else choose(name)
    return Importing(store, table, encoder or identity_of(name, table.dim()), columns, progress).run()
