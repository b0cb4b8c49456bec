"""What every kind of source gives: candidates in a fixed order, and what it could not look into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from shotdex.store.images import Labels
from shotdex.store.words import Rejection


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that may be indexed. `relative` is its path within the source, with `/`, which layouts speak of.

    `labels` are set where the source itself knows them (IDX files); otherwise a layout reads them off the path.
    """

    address: str
    relative: str
    size_bytes: int
    modified_ns: int
    labels: Labels | None = None


@dataclass(slots=True)
class Scan:
    """What a walk over a source found. `ignored` counts files that are no pictures by their names.

    `not_entered` are folders that could not be looked into: what the catalog has from there may still be there.
    """

    candidates: list[Candidate] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    not_entered: list[str] = field(default_factory=list)
    ignored: int = 0


class Source(Protocol):
    """A place with pictures."""

    @property
    def root(self) -> Path:
        """The folder or archive, absolute."""

    @property
    def kind(self) -> str:
        """A word for the summary: folder, zip, IDX files."""

    def scan(self) -> Scan:
        """Walk the source; the candidates come in one order every time."""


def natural_order(candidates: Iterator[Candidate]) -> list[Candidate]:
    """Return candidates by their path within the source, compared part by part."""
    return sorted(candidates, key=lambda candidate: candidate.relative.split("/"))
