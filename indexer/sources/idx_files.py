"""IDX files: Fashion-MNIST, MNIST and others in their format, one picture of each file's array a candidate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shotdex.store.addresses import join
from shotdex.store.errors import SourceError
from shotdex.store.idx import is_idx_name, read_idx
from shotdex.store.images import Labels

from .base import Candidate, Scan

Array = npt.NDArray[np.uint8]

# Source: https://github.com/zalandoresearch/fashion-mnist#labels
FASHION_MNIST = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

# Fashion-MNIST is known by its pictures, whatever its folder is called: SHA-256 of the first ten of a file. MNIST needs
# no list: its classes are the digits that its labels are; so is any other set whose names nobody gave.
FASHION_MNIST_STARTS = frozenset(
    {
        "76572dc31d5577d692ce9c71a65528a8a5345f8a31aa15089a0585fd02758d1b",
        "c9665db176243f9f0706b99fc7cedd0367466d363943d966ae8d7c50825f681d",
    }
)

SPLITS: Mapping[str, str] = {"train": "train", "t10k": "test", "test": "test"}


def find_idx_files(place: Path) -> list[Path]:
    """Return the files of pictures (`...images-idx3...`) directly in a folder, or the one that `place` itself is."""
    paths = [place] if place.is_file() else sorted(place.iterdir())
    found = [path for path in paths if is_idx_name(path.name) and "images" in path.name and path.is_file()]
    # Some keep a file beside its own .gz; they hold the same pictures.
    return [path for path in found if path.suffix != ".gz" or path.with_suffix("") not in found]


@dataclass(frozen=True, slots=True)
class IdxSource:
    """A folder of IDX files, or one of them: the split is read off the file's name, the category off its labels."""

    root: Path
    kind: str = "IDX files"

    def scan(self) -> Scan:
        """Read the headers and labels.

        Raises:
            SourceError: a file is not IDX, or pictures and labels differ in number.
        """
        scan = Scan()
        for path in find_idx_files(self.root):
            scan.candidates.extend(self._candidates(path))
        return scan

    def _candidates(self, path: Path) -> list[Candidate]:
        pictures, labels = _read(path), self._labels(path)
        if pictures.ndim != 3:
            raise SourceError(f"{path} has {pictures.ndim} dimensions where pictures need 3", "check the file")
        if labels is not None and len(labels) != len(pictures):
            raise SourceError(f"{path} has {len(pictures)} pictures but {len(labels)} labels", "check both files")
        names = _class_names(pictures)
        split = next((split for word, split in SPLITS.items() if path.name.startswith(word)), None)
        modified_ns, size = path.stat().st_mtime_ns, pictures.shape[1] * pictures.shape[2]
        return [
            Candidate(
                join(path, str(i)),
                f"{path.name}/{i}",
                size,
                modified_ns,
                Labels(None if labels is None else _name(names, int(labels[i])), None, split),
            )
            for i in range(len(pictures))
        ]

    def _labels(self, pictures: Path) -> Array | None:
        name = pictures.name.replace("images", "labels").replace("idx3", "idx1")
        for candidate in (name, name.removesuffix(".gz"), name.removesuffix(".gz") + ".gz"):
            if pictures.with_name(candidate).is_file():
                return _read(pictures.with_name(candidate))
        return None


def _name(names: tuple[str, ...] | None, label: int) -> str:
    return names[label] if names is not None and label < len(names) else str(label)


def _class_names(pictures: Array) -> tuple[str, ...] | None:
    start = hashlib.sha256(pictures[:10].tobytes()).hexdigest()
    return FASHION_MNIST if start in FASHION_MNIST_STARTS else None


def _read(path: Path) -> Array:
    try:
        return read_idx(path)
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(f"{path} cannot be read: {error}", "download the file again") from error
