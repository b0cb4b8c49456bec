"""A list of images on a stream: one path a line, or divided by NUL bytes as `find -print0` writes them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shotdex.store.file_names import stored

from . import read_bytes
from .base import Found, Reading
from .located import NAME_LIMIT, locate, name_failure

_CHUNK = 64 * 1024
_ITEM_LIMIT = 4 * NAME_LIMIT
_MARK = b"\xef\xbb\xbf"

STANDARD_INPUT = "-"


def matches(place: str) -> bool:
    """Tell whether a place stands for standard input."""
    return place == STANDARD_INPUT


def open_source(place: str, reading: Reading) -> ListedSource:
    """Return the list on standard input; it has no columns."""
    return ListedSource(sys.stdin.buffer)


@dataclass(frozen=True, slots=True)
class ListedSource:
    """Paths, URLs and addresses of archives' members, relative to the working directory; `scan` can be called once.

    Lines may end in CR LF. Where a NUL byte stands in the first 64 KiB, names are divided by NUL and kept as they are.
    """

    lines: BinaryIO
    root: str = "standard input"
    kind: str = "list"
    by_path: bool = False
    complete: bool = False
    in_order: bool = False

    def scan(self) -> Iterator[Found]:
        """Read the list to its end."""
        base = stored(str(Path.cwd()))
        for number, item in enumerate(_items(self.lines), 1):
            if len(item) > _ITEM_LIMIT:
                shown = item[:100].decode("utf-8", "backslashreplace")
                yield name_failure(f"{shown}...", f"entry {number} has more than {_ITEM_LIMIT:,} bytes")
                continue
            yield locate(stored(item.decode("utf-8", "surrogateescape")), base)

    def read(self, address: str, limit: int) -> bytes:
        """Return an image's file; see `Source`."""
        return read_bytes(address, limit)


def _items(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the entries that are not empty; of one beyond the limit, its start."""
    chunk = stream.read(_CHUNK)
    by_nul = b"\0" in chunk
    end = b"\0" if by_nul else b"\n"
    if not by_nul:
        chunk = chunk.removeprefix(_MARK)
    rest = b""
    while chunk:
        *whole, last = chunk.split(end)
        for piece in whole:
            item, rest = _cut(rest + piece), b""
            yield from _named(item, by_nul)
        rest = _cut(rest + last)
        chunk = stream.read(_CHUNK)
    yield from _named(rest, by_nul)


def _cut(item: bytes) -> bytes:
    # An entry without end is not held: what is beyond the limit says no more than that it is too long.
    return item[: _ITEM_LIMIT + 1]


def _named(item: bytes, by_nul: bool) -> Iterator[bytes]:
    name = item if by_nul else item.removesuffix(b"\r")
    if name:
        yield name
