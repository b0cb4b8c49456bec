"""A source that is not there any more: renamed, deleted, or on a disk that is not plugged in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .base import Found


def is_gone(root: str) -> bool:
    """Tell whether a source on this machine is not there; False for URLs, data sets, and what cannot be looked at."""
    try:
        # Shards have a name with braces, of which no file has.
        return Path(root).is_absolute() and "{" not in root and not Path(root).exists()
    except (OSError, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class GoneSource:
    """Nothing, under the name of what once was there: indexing it marks all that the store has from it as gone."""

    root: str
    kind: str
    by_path: bool = True
    complete: bool = True
    in_order: bool = False

    def scan(self) -> Iterator[Found]:
        """Find nothing."""
        return iter(())

    def read(self, address: str, limit: int) -> bytes:
        """Raise: there is nothing to read."""
        raise FileNotFoundError(address)
