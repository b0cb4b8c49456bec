"""Which image has a content already: a table of content hashes small enough for a hundred million images.

40 bytes an image, against about 300 in a dict of Python objects: the first half of each SHA-256 (its first column once
more), the id, the size in pixels, in sorted numpy rows, with a dict for what came lately. Half a SHA-256 still takes
2**64 tries to collide. The rows are in a few sorted runs, each longer than the next: a new one takes in those that are
not longer, so that each row is sorted again only as often as the table doubles.

A join in the scratch database would need no memory at all, but cannot take its place. The decoders ask for each image
by itself, between reading and decoding it, since known content is not decoded; among 100,000 contents that takes 27 us
here, and 2 ms (indexed) to 4 ms in DuckDB, as long as decoding. The reconciler needs each answer before the next image,
as an image may be a copy of the one before it; even joined 64 at a time an image takes 200 us.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotdex.store.connection import Connection
from shotdex.store.vectors import owners_query

LATELY = 65_536
"""How many arrivals the dict takes before they are sorted in."""

_ROW = np.dtype([("high", "<u8"), ("low", "<u8"), ("image_id", "<i8"), ("width", "<i4"), ("height", "<i4")])


@dataclass(frozen=True, slots=True)
class Owner:
    """The image that a content's vectors are copied from, and the content's size in pixels."""

    image_id: int
    width: int = 0
    height: int = 0


class ContentTable:
    """Content hashes (64 hex digits) with an owner each. Reading from other threads while one adds is safe."""

    def __init__(self) -> None:
        # The first column once more by itself: a search in a column of wider rows would copy it each time.
        self._runs: tuple[tuple[npt.NDArray[np.uint64], npt.NDArray[np.void]], ...] = ()
        self._lately: dict[str, Owner] = {}
        self._gone: set[int] = set()

    def extend(self, contents: Sequence[str], owners: Sequence[Owner]) -> None:
        """Add many at once."""
        arrived = np.empty(len(contents), _ROW)
        digests = np.frombuffer(bytes.fromhex("".join(contents)), dtype=">u8").reshape(-1, 4)
        arrived["high"], arrived["low"] = digests[:, 0], digests[:, 1]
        for name in ("image_id", "width", "height"):
            arrived[name] = [getattr(owner, name) for owner in owners]
        runs, merged = list(self._runs), [arrived]
        while runs and len(runs[-1][0]) <= sum(map(len, merged)):
            merged.append(runs.pop()[1])
        rows = np.sort(np.concatenate(merged), order=["high", "low", "image_id"])
        self._runs = (*runs, (np.ascontiguousarray(rows["high"]), rows))

    def add(self, content: str, owner: Owner) -> None:
        """Add one."""
        self._lately[content] = owner
        if len(self._lately) >= LATELY:
            # The rows first: a reader between the two finds a content twice, never not at all.
            self.extend(list(self._lately), list(self._lately.values()))
            self._lately = {}

    def get(self, content: str) -> Owner | None:
        """Return the owner with the lowest id of those not taken or removed."""
        owner = self._lately.get(content)
        return owner if owner is not None else min(self._found(content), key=lambda one: one.image_id, default=None)

    def __contains__(self, content: str) -> bool:
        return self.get(content) is not None

    def remove(self, content: str) -> None:
        """Forget every owner of a content."""
        self._lately.pop(content, None)
        self._gone.update(owner.image_id for owner in self._found(content))

    def take(self, content: str) -> int | None:
        """Return the lowest id of a content and forget it, so that the next one asked for is another."""
        owner = self.get(content)
        if owner is None:
            return None
        self._lately.pop(content, None)
        self._gone.add(owner.image_id)
        return owner.image_id

    def _found(self, content: str) -> Iterator[Owner]:
        high, low = (np.uint64(int(content[start : start + 16], 16)) for start in (0, 16))
        for highs, rows in self._runs:
            for row in rows[np.searchsorted(highs, high) :]:
                if row["high"] != high:
                    break
                if row["low"] == low and int(row["image_id"]) not in self._gone:
                    yield Owner(int(row["image_id"]), int(row["width"]), int(row["height"]))


def owners_of(con: Connection, encoder_id: int | None) -> ContentTable:
    """Return who has vectors of an encoder by content; nobody where it is None."""
    contents = ContentTable()
    if encoder_id is not None:
        for rows in con.batches(owners_query(encoder_id)):
            columns = [rows.column(name).to_pylist() for name in ("image_id", "width", "height")]
            contents.extend(rows.column("content_sha256").to_pylist(), list(map(Owner, *columns)))
    return contents
