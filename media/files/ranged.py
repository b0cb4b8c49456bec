"""A file of known size that is fetched in parts as it is read."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

BLOCK = 1 << 20
"""Bytes of the smallest part that is fetched: 1 MiB."""

KEPT = 32
LONGEST = 8
"""Blocks that are kept, and blocks that are fetched at once when reading goes straight on."""


class RangedFile(io.RawIOBase):
    """A file over `fetch(start, end)`, which gives exactly those bytes. At most 32 MiB of it are in memory.

    For one thread at a time, as files are.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, first: bytes = b"") -> None:
        self.size = size
        self._fetch = fetch
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next, self._ahead = 0, 1
        if len(first) == min(BLOCK, size):
            self._blocks[0] = first
            self._next = 1

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can seek."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, and return the new position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("a position before the start")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the block at the position goes, and return the bytes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._at >= self.size or not len(view):
            return 0
        block = self._block(self._at // BLOCK)
        part = block[self._at % BLOCK :][: len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            # Straight on: ask for more each time, since every request costs a way there and back.
            self._ahead = min(self._ahead * 2, LONGEST) if number == self._next else 1
            start, end = number * BLOCK, min((number + self._ahead) * BLOCK, self.size)
            data = self._fetch(start, end)
            for i in range(0, len(data), BLOCK):
                self._blocks[number + i // BLOCK] = data[i : i + BLOCK]
            self._next = number + self._ahead
            while len(self._blocks) > KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]
