"""Data sets by name, through torchvision and Hugging Face's datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shotdex.media.datasets import by_name as datasets
from shotdex.media.datasets.dataset_rows import WHOLE
from shotdex.store.images import Labels

from .address import SEPARATOR
from .base import Candidate, Found

__all__ = ["DatasetSource", "facts", "matches", "open_source", "read"]

matches, read = datasets.is_dataset, datasets.read_item


def open_source(place: str, columns: Mapping[str, str]) -> DatasetSource:
    """Return a data set by its name; its columns are its own."""
    return DatasetSource(datasets.absolute(place))


def facts(place: str, member: str) -> None:
    """Return None: that an image changed shows only when it is read."""


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """Every image of a data set. Category and split are the set's own; its further columns become metadata."""

    root: str
    kind: str = "data set"
    by_path: bool = False
    complete: bool = True
    in_order: bool = False

    def scan(self) -> Iterator[Found]:
        """Go through the splits, one after the other.

        Raises:
            SourceError: the data set cannot be opened, or one of its splits cannot be loaded.
        """
        datasets.forget()  # a second scan in one process sees what has changed
        opened = datasets.open_dataset(self.root)
        for split in opened.splits:
            for row in opened.rows(split):
                member = f"{split}/{row.position}"
                labels = Labels(row.category, None, None if split == WHOLE else split)
                address = f"{self.root}{SEPARATOR}{member}"
                yield Candidate(address, member, row.size_bytes, row.modified_ns, labels, row.metadata)

    def read(self, address: str, limit: int) -> bytes:
        """Return an image's file: its own bytes where the library has them."""
        return datasets.read_item(self.root, address.removeprefix(self.root + SEPARATOR), limit)
