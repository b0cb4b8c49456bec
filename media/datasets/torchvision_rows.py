"""The images and labels of torchvision's data sets, by name.

Most of its classes hold a whole split in memory; at most two splits are held at a time.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from shotdex.media.files import places
from shotdex.media.files.places import TooManyBytes
from shotdex.store.errors import SourceError

from .dataset_rows import Row, image_file, plain
from .torchvision_classes import Original, find_class, make, settings_of


@dataclass(slots=True)
class TorchvisionRows:
    """A class of `torchvision.datasets` with the arguments for each of its splits."""

    name: str
    made_by: Any
    settings: Mapping[str, Mapping[str, Any]]
    _open: OrderedDict[str, Any] = field(default_factory=OrderedDict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def splits(self) -> Sequence[str]:
        """The names of its splits."""
        return tuple(self.settings)

    def rows(self, split: str) -> Iterator[Row]:
        """Give the rows of a split."""
        made = self._made(split)
        names = getattr(made, "classes", None) or getattr(made, "categories", None)
        mark = _fingerprint(self.name, split, made)
        for position in range(len(made)):
            image, target = self._item(split, position)
            category, metadata = _label(target, names)
            if isinstance(image, Original):
                facts = image.path.stat()
                yield Row(split, position, facts.st_size, facts.st_mtime_ns, category, metadata)
            else:
                size = image.width * image.height * len(image.getbands())
                yield Row(split, position, size, mark, category, metadata)

    def file(self, split: str, position: int, limit: int) -> bytes:
        """Return an image's file: its own where torchvision reads it from one, else made of its pixels."""
        if split not in self.settings:
            raise KeyError(f"{self.name} has no split {split}")
        image, _ = self._item(split, position)
        data = places.read_all(str(image.path), limit) if isinstance(image, Original) else image_file(image)
        if len(data) > limit:
            raise TooManyBytes(f"more than {limit:,} bytes")
        return data

    def _item(self, split: str, position: int) -> tuple[Image.Image | Original, Any]:
        with self._lock:  # some read from one open file
            made = self._made(split)
            if not 0 <= position < len(made):
                raise KeyError(f"{self.name} has no image {position} in {split}")
            item = made[position]
            if not isinstance(item, tuple) or not isinstance(item[0], (Image.Image, Original)):
                raise SourceError(f"torchvision:{self.name} gives no images", "choose one that does")
            if isinstance(item[0], Image.Image):
                item[0].load()
            return item[0], item[1] if len(item) > 1 else None

    def _made(self, split: str) -> Any:
        with self._lock:
            if split not in self._open:
                while len(self._open) > 1:
                    self._open.popitem(last=False)
                self._open[split] = make(self.name, self.made_by, self.settings[split])
            self._open.move_to_end(split)
            return self._open[split]


def open_torchvision(name: str, split: str | None = None) -> TorchvisionRows:
    """Return a data set by the name of its class, all of it or one split.

    Raises:
        SourceError: torchvision is not installed or does not fit torch, or has no such data set of images or split.
    """
    made_by = find_class(name)
    settings = settings_of(name, made_by)
    if split is not None and split not in settings:
        raise SourceError(f"torchvision:{name} has no split {split}", f"choose one: {', '.join(settings)}")
    return TorchvisionRows(name, made_by, settings if split is None else {split: settings[split]})


def _label(target: Any, names: Sequence[Any] | None) -> tuple[str | None, Mapping[str, Any] | None]:
    """Return the category that a target stands for, or what else it holds."""
    if target is None or isinstance(target, str):
        return target, None
    value = target.tolist() if hasattr(target, "tolist") else target  # numbers of numpy and torch
    if not isinstance(value, int):
        return None, None if isinstance(value, Image.Image) else {"target": plain(value)}
    if names and 0 <= value < len(names):
        # ImageNet gives all the words of a class.
        return str(names[value] if isinstance(names[value], str) else names[value][0]), None
    return (str(value), None) if value >= 0 else (None, None)  # STL10 counts its unlabelled images as -1


def _fingerprint(name: str, split: str, made: Any) -> int:
    """Return a number of 63 bits for images without a file: of their pixels where these lie in memory anyway."""
    mark = hashlib.blake2b(f"{name} {split} {len(made)}".encode(), digest_size=8)
    array: Any = getattr(made, "data", None)
    array = array.numpy() if hasattr(array, "numpy") else array
    if hasattr(array, "shape") and len(array) == len(made):
        for start in range(0, len(made), 4096):
            mark.update(array[start : start + 4096].tobytes())
    return int.from_bytes(mark.digest(), "big") >> 1
