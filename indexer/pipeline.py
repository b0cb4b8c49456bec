"""From addresses to vectors: images are decoded ahead, batches filled, in flight through the model, then encoded.

Nothing here knows a catalog, only which contents need no vectors. Results come out whole batches at a time, in the
order of the images. So an interrupted run, started again, cuts the rest of the source into the same batches, and the
model, whose last bits depend on what shares a batch, gives the same vectors as without the interruption.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotdex.media.sources import Source
from shotdex.models.protocols import ImageEncoder, Launching, Prepared, launch, shares_cores
from shotdex.store.arrow import to_arrow, vectors_to_arrow
from shotdex.store.image_columns import PHOTO
from shotdex.store.progress import Progress
from shotdex.store.types import Failure, ImageVectors, Limits, Photo, Reason

from .decode_pool import Decoder, Result

RESULTS = ("sha256", "width", "height", *PHOTO.names, "joint", "vision", "failure")
"""The columns of an encoded batch that come out of a pipeline; the others are those of its source."""

AHEAD = 64
"""Images that may be decoded beyond the next two batches: small batches, too, have some in hand while one is slow."""

NOT_FINITE = {"reason": Reason.MODEL_OUTPUT.value, "stage": "encode", "detail": "the vector is not finite"}
"""The failure of an image that the model answers with NaN or infinity. Its row keeps its content and size."""


@dataclass(slots=True)
class _Batch:
    """The rows of one batch, in order. `prepared` are the images that the model is to see, `own` their row numbers."""

    contents: list[str | None] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    photos: list[Photo | None] = field(default_factory=list)
    failures: dict[int, dict[str, str]] = field(default_factory=dict)
    prepared: list[Prepared] = field(default_factory=list)
    own: list[int] = field(default_factory=list)


class Pipeline:
    """Encodes the images of one source in batches."""

    def __init__(
        self, encoder: ImageEncoder, schema: pa.Schema, size: int, most_rows: int, known: Callable[[str], bool]
    ) -> None:
        """`size` images go through the model at once; a batch of copies and failures ends at `most_rows`.

        `known` tells which contents have vectors already; it is asked from other threads, too. `schema` is that of the
        encoder's batches.
        """
        self._encoder = encoder
        self._schema = pa.schema([schema.field(name) for name in RESULTS])
        self._size, self._most_rows, self._known = size, most_rows, known
        self._most_flying = encoder.in_flight if isinstance(encoder, Launching) else 1
        self._flying: deque[tuple[_Batch, Callable[[], ImageVectors] | None]] = deque()
        self._batch = _Batch()
        self._sent: set[str] = set()
        self._unencodable: set[str] = set()

    def is_known(self, content: str) -> bool:
        """Tell whether an image of this content need not be decoded."""
        return content in self._sent or self._known(content)

    def encoded(
        self,
        source: Source,
        addresses: Iterable[str],
        limits: Limits,
        progress: Progress,
        stop: Callable[[int], bool] = lambda _: False,
    ) -> Generator[pa.Table, None, None]:
        """Read, decode and encode images of a source; yield each batch as a table of the columns `RESULTS`.

        `stop` is asked after each failure, with the number of those that have not come out yet, whether that is all.
        """
        encoder = self._encoder
        how = limits, source.in_order, shares_cores(encoder)
        decoder = Decoder(encoder.prepare, encoder.portable, self.is_known, source.read, *how)
        # Closed here, by name: what is left to the collector of garbage cannot be interrupted in order.
        with closing(decoder.decode_ahead(addresses, ahead=2 * self._size + AHEAD)) as results:
            for result in results:
                progress.advance(1)
                yield from self.add(result)
                if isinstance(result, Failure) and stop(self._waiting()):
                    break
        yield from self.push(last=True)

    def add(self, result: Result) -> Iterator[pa.Table]:
        """Take in an image; yield the batches that are due now, as tables of the columns `RESULTS`."""
        batch, row = self._batch, len(self._batch.contents)
        content, size, photo = None, (0, 0), None
        if isinstance(result, Failure):
            batch.failures[row] = {"reason": result.reason.value, "stage": result.stage, "detail": result.detail}
        else:
            content, size, photo = result.content_sha256, (result.width, result.height), result.photo
            if result.prepared is not None and not self.is_known(content):
                self._sent.add(content)
                batch.own.append(row)
                batch.prepared.append(result.prepared)
        batch.contents.append(content)
        batch.sizes.append(size)
        batch.photos.append(photo)
        # Copies and failures need no encoder, so a batch of nothing else ends by its rows.
        if len(batch.own) >= self._size or len(batch.contents) >= self._most_rows:
            yield from self.push()

    def push(self, last: bool = False) -> Iterator[pa.Table]:
        """Send the batch to the model as it is; yield the batches due now, which after the last are all of them."""
        batch, self._batch = self._batch, _Batch()
        self._flying.append((batch, launch(self._encoder, batch.prepared) if batch.prepared else None))
        while self._flying and len(self._flying) >= (1 if last else self._most_flying):
            yield self._finish(*self._flying.popleft())

    def _waiting(self) -> int:
        return len(self._batch.failures) + sum(len(batch.failures) for batch, _ in self._flying)

    def forget(self, rows: pa.Table) -> None:
        """Forget what was sent to the model: the contents of rows that came out, which are known elsewhere by now."""
        self._sent.difference_update(rows.column("sha256").to_pylist())

    def _finish(self, batch: _Batch, fetch: Callable[[], ImageVectors] | None) -> pa.Table:
        vectors = fetch() if fetch is not None else None
        own = np.array(batch.own, dtype=np.int64)
        if vectors is not None:
            finite = np.isfinite(vectors.joint).all(axis=1) & np.isfinite(vectors.vision).all(axis=1)
            self._unencodable.update(str(batch.contents[row]) for row in own[~finite].tolist())
            vectors, own = ImageVectors(vectors.joint[finite], vectors.vision[finite]), own[finite]
        failures = batch.failures
        if self._unencodable:  # copies come after what they are copied from
            failures |= {row: NOT_FINITE for row, content in enumerate(batch.contents) if content in self._unencodable}
        rows = len(batch.contents)
        joint, vision = (self._schema.field(space).type.list_size for space in ("joint", "vision"))
        sizes = np.array(batch.sizes, dtype=np.int32).reshape(-1, 2)
        columns = {
            "sha256": batch.contents,
            "width": to_arrow(sizes[:, 0], sizes[:, 0] == 0),
            "height": to_arrow(sizes[:, 1], sizes[:, 1] == 0),
            **{name: [getattr(photo, name, None) for photo in batch.photos] for name in PHOTO.names},
            "joint": _spread(rows, own, None if vectors is None else vectors.joint, joint),
            "vision": _spread(rows, own, None if vectors is None else vectors.vision, vision),
            "failure": [failures.get(row) for row in range(rows)] if failures else [None] * rows,
        }
        return pa.table(columns, self._schema)


def _spread(rows: int, own: npt.NDArray[np.int64], vectors: np.ndarray | None, dim: int) -> pa.Array:
    """Return a column with the vectors of the rows that were encoded."""
    if vectors is not None and len(own) == rows:
        return vectors_to_arrow(vectors)
    column, missing = np.zeros((rows, dim), dtype=np.float32), np.ones(rows, dtype=bool)
    if vectors is not None:
        column[own], missing[own] = vectors, False
    return vectors_to_arrow(column, missing)
