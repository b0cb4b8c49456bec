"""Data sets by name: `torchvision:CIFAR10`, `hf:NAME[:CONFIG]`, `hf:FOLDER`; their images by `split/position`.

`torchvision:CIFAR10!train/17` is the eighteenth image of the training split.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from shotdex.store.errors import SourceError

from .dataset_rows import Row, Rows

__all__ = ["Row", "Rows", "absolute", "is_dataset", "open_dataset", "read_item"]

TORCHVISION = "torchvision:"
HF = "hf:"

KEPT = 4

_open: OrderedDict[str, Rows] = OrderedDict()
_lock = threading.Lock()


def is_dataset(text: str) -> bool:
    """Tell whether a source or place is a data set by name."""
    return text.startswith((TORCHVISION, HF))


def absolute(dataset: str) -> str:
    """Return a data set's name as the catalog keeps it: a local folder's path made absolute.

    Raises:
        SourceError: there is no name.
    """
    name, config = _parts(dataset)
    if not name:
        raise SourceError(f"{dataset} names no data set", "for example torchvision:FashionMNIST or hf:ylecun/mnist")
    kind = TORCHVISION if dataset.startswith(TORCHVISION) else HF
    return f"{kind}{name}" + (f":{config}" if config else "")


def _parts(dataset: str) -> tuple[str, str | None]:
    """Return name and configuration; a local folder (`./`, `../`, `/`, `~`) as its path."""
    if dataset.startswith(TORCHVISION):
        return dataset.removeprefix(TORCHVISION).strip(), None
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
        from .torchvision_rows import open_torchvision

        return open_torchvision(name)
    from .hf import open_hf

    return open_hf(name, config)


def forget() -> None:
    """Close all data sets, so that the next use sees what has changed on disk."""
    with _lock:
        _open.clear()


def read_item(dataset: str, member: str, limit: int) -> bytes:
    """Return the file of the image `split/position`: its own bytes where the library has them.

    Raises:
        KeyError: there is no such image.
        TooManyBytes: it has more than `limit` bytes.
        SourceError: the data set cannot be opened.
    """
    split, _, position = member.rpartition("/")
    if not (position.isascii() and position.isdigit()):
        raise KeyError(f"{dataset} has no image {member}")
    return open_dataset(dataset).file(split, int(position), limit)
