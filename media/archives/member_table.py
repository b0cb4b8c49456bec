"""Where each member of an archive stands, in 16 bytes a member: a million take 16 MB."""

from __future__ import annotations

import hashlib
from array import array

import numpy as np


class MemberTable:
    """Names and positions, in the order of the archive. Filled once, then asked; then safe for several threads."""

    def __init__(self) -> None:
        self._new = array("Q"), array("Q")
        self._keys = self._positions = np.empty(0, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, name: str, position: int) -> None:
        """Add a member; the same name may come again."""
        self._new[0].append(_key(name))
        self._new[1].append(position)

    def finish(self) -> None:
        """Make it ready to be asked."""
        keys, positions = (np.array(values, dtype=np.uint64) for values in self._new)
        order = np.argsort(keys, kind="stable")
        self._keys, self._positions = keys[order], positions[order]
        self._new = array("Q"), array("Q")

    def find(self, name: str) -> list[int]:
        """Return positions where a member of that name may stand, the last one first: two names may share a hash."""
        key = np.uint64(_key(name))
        first = np.searchsorted(self._keys, key, side="left")
        behind = np.searchsorted(self._keys, key, side="right")
        return [int(position) for position in self._positions[first:behind][::-1]]


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8"), digest_size=8).digest(), "little")
