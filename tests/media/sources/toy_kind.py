"""A kind of source for a test: a text file `*.toy`, one image a line as `NAME BASE64`. A kind takes no more."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shotdex.media.files.places import Facts
from shotdex.media.sources.address import join
from shotdex.media.sources.base import Candidate, Found, Reading


def matches(place: str) -> bool:
    """Tell by its first bytes."""
    return Path(place).read_bytes().startswith(b"toy\n")


def open_source(place: str, reading: Reading) -> ToySource:
    """Return the source."""
    return ToySource(place)


def read(place: str, member: str, limit: int) -> bytes:
    """Return the image of a name."""
    return _images(place)[member]


def facts(place: str, member: str) -> Facts:
    """Return the image's size and the file's time."""
    return Facts(len(_images(place)[member]), Path(place).stat().st_mtime_ns)


@dataclass(frozen=True, slots=True)
class ToySource:
    """The images of the file."""

    root: str
    kind: str = "toy"
    by_path: bool = True
    complete: bool = True
    in_order: bool = False

    def scan(self) -> Iterator[Found]:
        """Yield them."""
        for name in _images(self.root):
            known = facts(self.root, name)
            yield Candidate(join(self.root, name), name, known.size_bytes, known.modified_ns)

    def read(self, address: str, limit: int) -> bytes:
        """Return one."""
        return read(self.root, address.removeprefix(join(self.root, "")), limit)


def _images(place: str) -> dict[str, bytes]:
    lines = Path(place).read_text().splitlines()[1:]
    return {name: base64.b64decode(data) for name, _, data in (line.partition(" ") for line in lines)}
