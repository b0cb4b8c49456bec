"""Flat search: every vector is compared with the query, exactly, by FAISS's own inner product, on every core.

`FlatEngine` does so with the vectors of a FAISS file, mapped into memory where they are: opening it reads none of them,
and many searches share them.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt

from shotdex.store.types import Ids, Vectors

from .base import EngineDamaged, EngineSite, Filter
from .faiss_file import VECTORS_AT, FaissFile, head, read_file, read_pieces, remove_file, tail, write_file
from .validation import FileRecord, note_file, rehash, remember_validated, validate

log = logging.getLogger(__name__)

BLOCK = 16_384
"""Rows scored between two looks at the k-th best; bounds memory, and keeps what cannot be among the best off it."""

ALONE = 8_192
"""Rows below which one core does it all: less is done before another has begun."""

SPARSE = 16
"""Ids are looked up in a table of bytes where the highest is at most so many times their number."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rows:
    """Vectors (N, D), in memory or mapped, and the image of each."""

    ids: Ids
    vectors: Vectors

    def positions(self, kept: Filter) -> Ids:
        """Return the positions, rising, of those that a filter keeps."""
        if kept.ids is None and len(kept.without) == 0:
            return np.arange(len(self.ids))
        mask = np.ones(len(self.ids), dtype=np.bool_) if kept.ids is None else among(self.ids, kept.ids)
        if len(kept.without):
            mask &= ~among(self.ids, kept.without)
        return np.flatnonzero(mask)

    def best(self, query: Vectors, k: int, positions: Ids) -> tuple[Ids, Vectors]:
        """Return ids and cosines (k,) of the best of some positions, best first, ties by id."""
        found, products = nearest(self.vectors, query, k, positions)
        return in_order(self.ids[found], products, k)


def in_order(ids: Ids, scores: Vectors, k: int) -> tuple[Ids, Vectors]:
    """Return the k best, best first, ties by id."""
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def faiss_module() -> Any:
    """Import FAISS: late, for commands that do not search; untyped, because its stubs leave out its wrappers."""
    import faiss

    return faiss


def faiss_ahead() -> None:
    """Begin to import FAISS while there is other work to do before a search: for a first answer that is much."""

    def load() -> None:
        with suppress(ImportError):  # said where it is needed
            faiss_module()

    Thread(target=load, name="faiss").start()


def among(ids: Ids, others: Ids) -> Mask:
    """Return for each id whether it is among others; both are above -1."""
    if len(others) == 0 or len(ids) == 0:
        return np.zeros(len(ids), dtype=np.bool_)
    if len(ids) == len(others) and np.array_equal(ids, others):
        return np.ones(len(ids), dtype=np.bool_)
    top = int(max(ids.max(), others.max()))
    if top > SPARSE * (len(ids) + len(others)) or min(ids.min(), others.min()) < 0:
        return np.isin(ids, others)
    table = np.zeros(top + 1, dtype=np.bool_)
    table[others] = True
    found: Mask = table[ids]
    return found


def nearest(vectors: Vectors, query: Vectors, k: int, positions: Ids) -> tuple[Ids, Vectors]:
    """Return the positions and inner products of the k rows nearest to `query` (D,), and of all equal to the k-th.

    In no order. Only the rows at `positions` are looked at; the product of a row is the same whichever others are.
    """
    faiss = faiss_module()
    threads = min(faiss.omp_get_max_threads(), 1 + len(positions) // ALONE)
    if threads == 1:
        return _scan(vectors, query, k, positions)
    # Cores share the rows, as FAISS gives one query to one core; within FAISS each then works alone.
    with ThreadPoolExecutor(threads, initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
        found = list(pool.map(lambda part: _scan(vectors, query, k, part), np.array_split(positions, threads)))
    return _best(np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found]), k)


def _scan(vectors: Vectors, query: Vectors, k: int, positions: Ids) -> tuple[Ids, Vectors]:
    faiss = faiss_module()
    of_query, of_vectors = faiss.swig_ptr(np.ascontiguousarray(query, np.float32)), faiss.swig_ptr(vectors)
    kept, scores = positions[:0], np.empty(0, np.float32)
    for start in range(0, len(positions), BLOCK):
        block = np.ascontiguousarray(positions[start : start + BLOCK], dtype=np.int64)
        products = np.empty(len(block), np.float32)
        faiss.fvec_inner_products_by_idx(
            faiss.swig_ptr(products), of_query, of_vectors, faiss.swig_ptr(block), vectors.shape[1], 1, len(block)
        )
        if len(kept) >= k:  # NaN is kept here and comes last of all
            over = ~(products < scores.min())
            block, products = block[over], products[over]
        kept, scores = _best(np.concatenate([kept, block]), np.concatenate([scores, products]), k)
    return kept, scores


def _best(positions: Ids, scores: Vectors, k: int) -> tuple[Ids, Vectors]:
    """Keep the k best, and those equal to the k-th."""
    if len(scores) <= k:
        return positions, scores
    kth = -np.partition(-scores, k - 1)[k - 1]
    if np.isnan(kth):
        return positions, scores
    over = scores >= kth
    return positions[over], scores[over]


class FlatEngine:
    """Exact search over the vectors of a FAISS file, which is replaced whole: each state is a file of its own."""

    exact = True
    stamped_as = "flat"

    def __init__(self, site: EngineSite) -> None:
        # Not the site, which knows this engine: in a circle the file would stay open until garbage is collected.
        self._folder, self._encoder_id, self._dim = site.folder, site.encoder_id, site.dim
        self._record: FileRecord | None = None
        self.rows = no_rows(site.dim)
        self._file: FaissFile | None = None
        try:
            self._open(site.stamps.get(self.stamped_as))
        except (EngineDamaged, OSError, ValueError, MemoryError) as error:
            reason = (str(error).splitlines() or [""])[0]
            warn_unused(f"the FAISS file of encoder {site.encoder_id}", reason)

    @property
    def stamp(self) -> str | None:
        """The record of the file."""
        return None if self._record is None else self._record.as_text()

    @property
    def covers(self) -> Ids:
        """The ids of the file's vectors."""
        return self.rows.ids

    def check(self) -> None:
        """Make sure that the vectors can be read: see `FaissFile.check`."""
        if self._file is not None:
            self._file.check()

    def read(self, places: Ids) -> Vectors:
        """Return the vectors at some places (N,), rising; see `FaissFile.read`."""
        assert self._file is not None
        return self._file.read(places)

    def search(self, vectors: Vectors, k: int, among: Filter) -> tuple[Ids, Vectors]:
        """Compare every vector that the filter keeps."""
        self.check()
        positions = self.rows.positions(among)
        k = min(k, len(positions))
        return stacked_hits([self.rows.best(vector, k, positions) for vector in vectors], k)

    def add(self, ids: Ids, vectors: Iterable[Vectors]) -> None:
        """Write a file with the old vectors and then the new ones."""
        self._write(np.concatenate([self.covers, ids]), chain(self._old_vectors(), map(_bytes, vectors)))

    def remove(self, ids: Ids) -> None:
        """Write a file without some of the vectors."""
        kept = np.flatnonzero(~among(self.covers, ids))
        if self._file is None or self._record is None or len(kept) == len(self.covers):
            return
        # Read again: what a file lost since it was last hashed would be written and hashed as if it were right.
        rehash(self._file, self._record)
        parts = (self.rows.vectors[kept[start : start + BLOCK]] for start in range(0, len(kept), BLOCK))
        self._write(self.covers[kept], map(_bytes, parts))

    def drop(self) -> None:
        """Delete the file."""
        if self._file is not None:
            for path in (self._file.path, note_file(self._file.path)):
                remove_file(path)
        self._file, self._record, self.rows = None, None, no_rows(self._dim)

    def _open(self, stamp: str | None) -> None:
        if stamp is None:
            return
        record = FileRecord.of_text(stamp)
        path = self._folder / record.file
        if self._folder.is_symlink() or path.is_symlink():
            raise EngineDamaged(f"{path} is a link, or in a linked folder")
        if not path.is_file():
            return  # `verify` says so
        file = read_file(path)
        if file.dim != self._dim:
            raise EngineDamaged("it has vectors of another length")
        validate(file, record)
        self._file, self._record, self.rows = file, record, Rows(file.ids, file.vectors)

    def _write(self, ids: Ids, vectors: Iterable[bytes]) -> None:
        """Write a file under a new name; the one there was stays as it is."""
        target = self._folder / f"encoder-{self._encoder_id}-{secrets.token_hex(16)}.faiss"
        file, sha256 = write_file(target, chain([head(len(ids), self._dim)], vectors, [tail(ids)]))
        record = FileRecord(target.name, sha256, file.size, len(ids))
        remember_validated(file, record)
        self._file, self._record, self.rows = file, record, Rows(file.ids, file.vectors)

    def _old_vectors(self) -> Iterator[bytes]:
        """Yield the vectors of the file there is, and see that it is whole."""
        file, record = self._file, self._record
        if file is None or record is None:
            return
        hashed = hashlib.sha256(head(len(file.ids), file.dim))
        for piece in read_pieces(file.path, VECTORS_AT, 4 * file.vectors.size):
            hashed.update(piece)
            yield piece
        hashed.update(tail(file.ids))
        if hashed.hexdigest() != record.sha256:
            raise EngineDamaged("it is not as it was written")


def warn_unused(what: str, reason: object) -> None:
    """Say in the log that something is not searched, as it is damaged."""
    log.warning("%s is not used: %s; reading the catalog (repair it: shotdex verify --repair)", what, reason)


def no_rows(dim: int) -> Rows:
    """Return rows of no image."""
    return Rows(np.empty(0, np.int64), np.empty((0, dim), np.float32))


def stacked_hits(hits: Sequence[tuple[Ids, Vectors]], k: int) -> tuple[Ids, Vectors]:
    """Return ids and cosines (Q, k) of the hits of Q queries, each of which has k."""
    ids, cosines = np.empty((len(hits), k), np.int64), np.empty((len(hits), k), np.float32)
    for row, (found, scores) in enumerate(hits):
        ids[row], cosines[row] = found, scores
    return ids, cosines


def _bytes(vectors: Vectors) -> bytes:
    return vectors.astype("<f4", copy=False).tobytes()
