"""Reading within a bound, and what tells one version of a file from another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import BinaryIO

PIECE = 1 << 20
"""Bytes asked of a file at once."""


class TooManyBytes(Exception):
    """A file or member holds more than the limit. Never leaves shotdex: it becomes a failure."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What tells whether a file changed: its size in bytes, and its time in ns since 1970 (or what stands for it)."""

    size_bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that a listing names. `facts` are None where the listing does not give them."""

    url: str
    facts: Facts | None


@dataclass(frozen=True, slots=True)
class NotListed:
    """A folder whose listing could not be read, and why."""

    url: str
    why: str


def read_bounded(file: BinaryIO, limit: int) -> bytes:
    """Return all that is left in an open file.

    Raises:
        TooManyBytes: it is more than `limit` bytes; no more than that were read.
    """
    # In pieces: a file that is asked for half a GiB at once makes room for it first, however small it is.
    parts, wanted = [], limit + 1
    while wanted > 0 and (part := file.read(min(wanted, PIECE))):
        parts.append(part)
        wanted -= len(part)
    if wanted <= 0:
        raise TooManyBytes(f"more than {limit:,} bytes")
    return b"".join(parts)


def number_of(mark: str) -> int:
    """Return a number of 63 bits that stands for a checksum or version of any form."""
    return int.from_bytes(hashlib.blake2b(mark.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") >> 1
