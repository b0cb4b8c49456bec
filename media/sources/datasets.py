"""Data sets by name: `torchvision:CIFAR10[:SPLIT]`, `hf:NAME[:CONFIG]`, `hf:FOLDER`; images by `split/position`.

`torchvision:CIFAR10!train/17` is the eighteenth image of the training split.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shotdex.media.datasets.dataset_rows import WHOLE, Rows
from shotdex.store.errors import SourceError
from shotdex.store.images import Labels

from .address import SEPARATOR
from .base import Candidate, Found, Reading
from .label_cells import LabelCells

TORCHVISION = "torchvision:"
HF = "hf:"

KEPT = 4

_open: OrderedDict[str, Rows] = OrderedDict()
_lock = threading.Lock()


def matches(place: str) -> bool:
    """Tell whether a place is a data set by name."""
    return place.startswith((TORCHVISION, HF))


def absolute(dataset: str) -> str:
    """Return a data set's name as the catalog keeps it: a local folder's path made absolute.

    Raises:
        SourceError: there is no name.
    """
    name, config = _parts(dataset)
    if not name:
        raise SourceError(
            f"{dataset} does not name a data set", "for example torchvision:FashionMNIST or hf:ylecun/mnist"
        )
    kind = TORCHVISION if dataset.startswith(TORCHVISION) else HF
    return f"{kind}{name}" + (f":{config}" if config else "")


def _parts(dataset: str) -> tuple[str, str | None]:
    """Return name and split or configuration; a local folder (`./`, `../`, `/`, `~`) as its path."""
    if dataset.startswith(TORCHVISION):
        name, _, split = dataset.removeprefix(TORCHVISION).strip().partition(":")
        return name, split or None
    text = dataset.removeprefix(HF).strip()
    if not text.startswith(("/", "./", "../", "~")) and text not in (".", ".."):
        name, _, config = text.partition(":")
        return name, config or None
    # A folder may have a colon in its name; what follows the last is a configuration only where it has not.
    name, mark, config = text.rpartition(":")
    if not mark or Path(text).expanduser().exists():
        name, config = text, ""
    return str(Path(name).expanduser().resolve()), config or None


def open_dataset(dataset: str) -> Rows:
    """Return an open data set; the last four are kept open.

    Raises:
        SourceError: the library for it is not installed, there is no such data set, or it has no images.
    """
    with _lock:
        if dataset not in _open:
            name, config = _parts(dataset)
            while len(_open) >= KEPT:
                _open.popitem(last=False)
            _open[dataset] = _opened(dataset, name, config)
        _open.move_to_end(dataset)
        return _open[dataset]


def _opened(dataset: str, name: str, config: str | None) -> Rows:
    if dataset.startswith(TORCHVISION):
        from shotdex.media.datasets.torchvision_sets import open_torchvision

        return open_torchvision(name, config)
    from shotdex.media.datasets.hf import open_hf

    return open_hf(name, config)


def forget() -> None:
    """Close all data sets, so that the next use sees what has changed on disk."""
    with _lock:
        _open.clear()


def read(place: str, member: str, limit: int) -> bytes:
    """Return the file of the image `split/position`: its own bytes where the library has them.

    Raises:
        KeyError: there is no such image.
        TooManyBytes: it has more than `limit` bytes.
        SourceError: the data set cannot be opened.
    """
    split, _, position = member.rpartition("/")
    if not (position.isascii() and position.isdigit()):
        raise KeyError(f"{place} has no image {member}")
    return open_dataset(place).file(split, int(position), limit)


def facts(place: str, member: str) -> None:
    """Return None: that an image changed shows only when it is read."""


def open_source(place: str, reading: Reading) -> DatasetSource:
    """Return a data set by its name; its columns are its own."""
    return DatasetSource(absolute(place), reading.labels_as_written)


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """Every image of a data set. Category and split are the set's own; its further columns become metadata."""

    root: str
    labels_as_written: bool = False
    kind: str = "data set"
    by_path: bool = False
    complete: bool = True
    in_order: bool = False

    def scan(self) -> Iterator[Found]:
        """Go through the splits, one after the other.

        Raises:
            SourceError: the data set cannot be opened, or one of its splits cannot be loaded.
        """
        forget()  # a second scan in one process sees what has changed
        opened, cells = open_dataset(self.root), LabelCells(self.labels_as_written)
        for split in opened.splits:
            for row in opened.rows(split):
                member = f"{split}/{row.position}"
                labels = Labels(cells.label(row.category), None, None if split == WHOLE else split)
                address = f"{self.root}{SEPARATOR}{member}"
                yield Candidate(address, member, row.size_bytes, row.modified_ns, labels, row.metadata)
        yield from cells.found()

    def read(self, address: str, limit: int) -> bytes:
        """Return an image's file: its own bytes where the library has them."""
        return read(self.root, address.removeprefix(self.root + SEPARATOR), limit)
