"""Which image has a content already: tables of content hashes small enough for a hundred million images.

32 bytes an image, against about 300 in a dict of Python objects: the first half of each SHA-256, the id, the size in
pixels, in sorted numpy columns. Half a SHA-256 still takes 2**64 tries to collide. The columns are in a few sorted
runs, each longer than the next: a new one takes in those that are not longer, so that each row is merged again only as
often as the table doubles.

A join in the scratch database would need no memory at all, but cannot take its place. The decoders ask for each image
by itself, between reading and decoding it, since known content is not decoded; among 100,000 contents that takes 27 us
here, and 2 ms (indexed) to 4 ms in DuckDB, as long as decoding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotdex.store.arrow import joined, to_numpy
from shotdex.store.connection import Connection
from shotdex.store.types import Ids
from shotdex.store.vectors import owners_query

Keys = npt.NDArray[np.uint64]
"""The first halves of content hashes, (2, N): their first and their next 64 bits."""

Sizes = npt.NDArray[np.int32]
"""Widths and heights in pixels, (2, N)."""

_Run = tuple[Keys, Ids, Sizes]


def keys_of(contents: pa.ChunkedArray) -> Keys:
    """Return the keys of a column of hashes, 64 hex digits each."""
    digests = np.frombuffer(bytes.fromhex(joined(contents).decode()), dtype=">u8").reshape(-1, 4)
    return digests[:, :2].T.astype(np.uint64)


class ContentTable:
    """Content hashes with the image that each is owned by, one a content. Other threads may read while one adds."""

    def __init__(self) -> None:
        self._runs: tuple[_Run, ...] = ()

    def extend(self, keys: Keys, ids: Ids, sizes: Sizes) -> None:
        """Add contents that it does not have: their keys (2, N), the ids (N,) of their images, and sizes (2, N)."""
        if not len(ids):
            return
        runs, merged = list(self._runs), [(keys, ids, sizes)]
        while runs and len(runs[-1][1]) <= sum(len(run[1]) for run in merged):
            merged.insert(0, runs.pop())
        keys, ids, sizes = (np.concatenate(columns, axis=-1) for columns in zip(*merged, strict=True))
        order = np.argsort(keys[0], kind="stable")  # which merges what is sorted already
        self._runs = (*runs, (np.ascontiguousarray(keys[:, order]), ids[order], sizes[:, order]))

    def find(self, keys: Keys) -> tuple[Ids, Sizes]:
        """Return the owners (N,) of contents by their keys (2, N), -1 for none, and their sizes (2, N)."""
        ids, sizes = np.full(keys.shape[1], -1, dtype=np.int64), np.zeros(keys.shape, dtype=np.int32)
        for run_keys, run_ids, run_sizes in self._runs:
            place = _places(run_keys, keys)
            found = np.flatnonzero(place >= 0)
            ids[found], sizes[:, found] = run_ids[place[found]], run_sizes[:, place[found]]
        return ids, sizes

    def __contains__(self, content: str) -> bool:
        key = np.array([[int(content[:16], 16)], [int(content[16:32], 16)]], dtype=np.uint64)
        return any(_places(run[0], key)[0] >= 0 for run in self._runs)

    def nbytes(self) -> int:
        """Return the memory that it takes."""
        return sum(column.nbytes for run in self._runs for column in run)


def _places(run: Keys, keys: Keys) -> npt.NDArray[np.int64]:
    """Return where each of some keys (2, N) stands first in a run that is sorted by its first row; -1 for nowhere."""
    place = np.searchsorted(run[0], keys[0])
    while True:  # a second turn only where two hashes begin with the same 64 bits
        inside = np.minimum(place, run.shape[1] - 1)
        near = (place < run.shape[1]) & (run[0, inside] == keys[0])
        wrong = near & (run[1, inside] != keys[1])
        if not wrong.any():
            return np.where(near, place, -1)
        place = place + wrong


class Vanished:
    """Images that are no longer where they were, by content. Each is taken once, the lowest id of a content first."""

    def __init__(self, keys: Keys, ids: Ids) -> None:
        order = np.lexsort((ids, keys[1], keys[0]))
        self._keys, self._ids = keys[:, order], ids[order]
        self._taken = np.zeros(len(ids), dtype=np.int64)  # at the first place of each content: how many of its images

    def take(self, keys: Keys) -> Ids:
        """Return an image for each of some contents, by their keys (2, N) in the order of asking; -1 for none."""
        if not len(self._ids):
            return np.full(keys.shape[1], -1, dtype=np.int64)
        first = _places(self._keys, keys)
        place = first + self._taken[first] + counted(first)
        inside = np.minimum(place, len(self._ids) - 1)
        there = (first >= 0) & (place < len(self._ids)) & (self._keys[:, inside] == keys).all(axis=0)
        np.add.at(self._taken, first[there], 1)
        return np.where(there, self._ids[inside], -1)


def counted(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return for each of N values how many equal ones are before it."""
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order] = np.arange(len(values)) - np.searchsorted(values[order], values[order])
    return ranks


def owners_of(con: Connection, encoder_id: int | None) -> ContentTable:
    """Return who has vectors of an encoder by content; nobody where it is None."""
    contents = ContentTable()
    if encoder_id is not None:
        for rows in con.batches(owners_query(encoder_id)):
            sizes = np.stack([to_numpy(rows.column(name)) for name in ("width", "height")])
            contents.extend(keys_of(rows.column("content_sha256")), to_numpy(rows.column("image_id")), sizes)
    return contents
