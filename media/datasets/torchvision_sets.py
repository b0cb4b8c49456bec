"""The images and labels of torchvision's data sets, by name.

Most of its classes hold a whole split in memory; at most two splits are held at a time.

The data lie in `$SHOTDEX_TORCHVISION`, or else in `shotdex/torchvision` in the user's cache folder. That folder is the
`root` of torchvision's own classes, so one that exists already can be named. What is not there torchvision downloads.

About pickle: CIFAR10 and CIFAR100 are published as pickles, and torchvision unpickles them. It compares every one of
these files with an MD5 that stands in its own source, each time before it opens it, so what is unpickled is what their
authors published and nothing that somebody put in its place. LSUN unpickles a cache file that nothing is compared
with, so it is refused. No other class of torchvision's unpickles (a test looks).
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import inspect
import os
import socket
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from shotdex.media.files import places
from shotdex.media.files.places import TooManyBytes
from shotdex.store.errors import SourceError
from shotdex.store.types import WEB_SECONDS

from .dataset_rows import WHOLE, Row, image_file, plain

INSTALL = 'pip install "shotdex[torchvision]"'
VARIABLE = "SHOTDEX_TORCHVISION"

# From torchvision 0.28's source: it names the splits of a class only in messages. Unions of others are left out.
SPLITS: Mapping[str, Sequence[str]] = {
    "CLEVRClassification": ("train", "val"),
    "CelebA": ("train", "valid", "test"),
    "Country211": ("train", "valid", "test"),
    "DTD": ("train", "val", "test"),
    "FGVCAircraft": ("train", "val", "test"),
    "Flowers102": ("train", "val", "test"),
    "Food101": ("train", "test"),
    "GTSRB": ("train", "test"),
    "ImageNet": ("train", "val"),
    "Imagenette": ("train", "val"),
    "OxfordIIITPet": ("trainval", "test"),
    "PCAM": ("train", "val", "test"),
    "Places365": ("train-standard", "val"),
    "RenderedSST2": ("train", "val", "test"),
    "STL10": ("train", "test", "unlabeled"),
    "SVHN": ("train", "test", "extra"),
    "StanfordCars": ("train", "test"),
}

REFUSED: Mapping[str, str] = {
    "LSUN": "torchvision unpickles a cache file for it, unchecked",
    "LSUNClass": "torchvision unpickles a cache file for it, unchecked",
    "ImageFolder": "it is any folder",
    "DatasetFolder": "it is any folder",
}

_MAKING = ("transform", "target_transform", "transforms", "download", "loader", "root")


@dataclass(frozen=True, slots=True)
class Original:
    """An image's own file, in place of the image that torchvision would decode."""

    path: Path


def find_class(name: str) -> Any:
    """Return the class of a name.

    Raises:
        SourceError: torchvision is not installed, was built for another torch, or has no such class.
    """
    try:
        import torchvision.datasets as known
    except ModuleNotFoundError as error:
        raise SourceError(f"torchvision:{name} needs {error.name}, which is not installed", INSTALL) from error
    except (ImportError, RuntimeError, OSError) as error:  # built for another torch
        raise SourceError(
            f"torchvision is installed but cannot be loaded: {error}",
            "install the torchvision that was built for your torch: https://pytorch.org/get-started/locally",
        ) from error
    sets = {one: made_by for one in known.__all__ if _is_set(made_by := getattr(known, one), known.VisionDataset)}
    if name not in sets:
        close = difflib.get_close_matches(name.lower(), [one.lower() for one in sets], 3)
        meant = [one for one in sets if one.lower() in close]
        hint = f"did you mean {' or '.join(meant)}?" if meant else "see https://docs.pytorch.org/vision/stable/datasets"
        raise SourceError(f"torchvision has no data set {name}", hint)
    return sets[name]


def _is_set(found: Any, base: Any) -> bool:
    return inspect.isclass(found) and issubclass(found, base) and found is not base


def _takes(made_by: Any) -> dict[str, inspect.Parameter]:
    """Return what a class can be made with; what it hands on to its base by `**kwargs` included."""
    found: dict[str, inspect.Parameter] = {}
    for one in made_by.__mro__:
        if "__init__" in vars(one):
            parameters = inspect.signature(one.__init__).parameters
            found = {**parameters, **found}
            if not any(value.kind is value.VAR_KEYWORD for value in parameters.values()):
                break
    return {key: value for key, value in found.items() if key != "self" and value.kind is not value.VAR_KEYWORD}


def settings_of(name: str, made_by: Any) -> Mapping[str, Mapping[str, Any]]:
    """Return the arguments for each split, by what the class takes.

    Raises:
        SourceError: its splits are not known, or it needs more than can be given here.
    """
    hint = "download it and index its folder"
    if name in REFUSED:
        raise SourceError(f"torchvision:{name} is not read: {REFUSED[name]}", "index its folder")
    if name in SPLITS:
        return {split: {"split": split} for split in SPLITS[name]}
    takes = {key: value for key, value in inspect.signature(made_by).parameters.items() if key not in _MAKING}
    needed = [
        key for key, value in takes.items() if value.default is value.empty and value.kind is not value.VAR_KEYWORD
    ]
    if needed:
        raise SourceError(f"torchvision:{name} needs {' and '.join(needed)}, which cannot be passed here", hint)
    if "train" in takes:
        return {"train": {"train": True}, "test": {"train": False}}
    if "background" in takes:
        return {"background": {"background": True}, "evaluation": {"background": False}}
    if "split" in takes or "image_set" in takes:
        raise SourceError(f"the splits of torchvision:{name} are not known here", hint)
    return {WHOLE: {}}


def root() -> Path:
    """Return the folder that torchvision's data lie in."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "shotdex" / "torchvision"


def make(name: str, made_by: Any, settings: Mapping[str, Any]) -> Any:
    """Return a split of a data set, downloaded where it is not there.

    Raises:
        SourceError: it can neither be loaded nor downloaded.
    """
    takes = _takes(made_by)
    given = dict(settings)
    if "root" in takes:
        given["root"] = str(root())
    if "loader" in takes:
        given["loader"] = lambda path: Original(Path(path))
    try:
        return made_by(**given, **({"download": False} if "download" in takes else {}))
    except (RuntimeError, OSError, ValueError) as error:
        if "download" not in takes:
            raise SourceError(
                f"torchvision:{name} cannot be loaded: {_line(error)}",
                f"torchvision does not download it: put its files in {root()} (or choose another: {VARIABLE}=DIR)",
            ) from error
    try:
        with _patience(), contextlib.redirect_stdout(sys.stderr):  # where its progress belongs
            return made_by(**given, download=True)
    except Exception as error:  # urllib, tarfile, zipfile, gdown: each raises its own
        raise SourceError(
            f"torchvision:{name} cannot be downloaded: {_line(error)}",
            f"check the connection, or put its files in {root()} (or choose another: {VARIABLE}=DIR)",
        ) from error


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Let no connection wait for ever: torchvision sets no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(WEB_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


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
                raise SourceError(f"torchvision:{self.name} has no images", "choose one that does")
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
