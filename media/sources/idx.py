"""IDX files: Fashion-MNIST, MNIST and others in their format, one image of each file's array a candidate."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shotdex.media.archives.idx import IdxFile, image_facts, image_file, open_idx, read_idx
from shotdex.media.files import places
from shotdex.media.files.places import Facts
from shotdex.store.errors import ContainerFailure, SourceError
from shotdex.store.images import Labels
from shotdex.store.types import Reason

from .address import join, split
from .base import Candidate, Found
from .kinds import IDX_ENDINGS

# Source: https://github.com/zalandoresearch/fashion-mnist#labels
FASHION_MNIST = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

# Fashion-MNIST is known by its images, whatever its folder is called: SHA-256 of the first ten of a file. MNIST needs
# no list: its classes are the digits that its labels are; so is any other set whose names nobody gave.
FASHION_MNIST_STARTS = frozenset(
    {
        "76572dc31d5577d692ce9c71a65528a8a5345f8a31aa15089a0585fd02758d1b",
        "c9665db176243f9f0706b99fc7cedd0367466d363943d966ae8d7c50825f681d",
    }
)

SPLITS: Mapping[str, str] = {"train": "train", "t10k": "test", "test": "test"}


def matches(place: str) -> bool:
    """Tell whether there is an IDX file of images at a place, or a folder with one."""
    return bool(find_idx_files(place))


def open_source(place: str, columns: Mapping[str, str]) -> IdxSource:
    """Return the IDX files at a place; they have no columns."""
    return IdxSource(place)


def read(place: str, member: str, limit: int) -> bytes:
    """Return an image as a PGM file, by its position; see `KindModule`."""
    return image_file(place, _position(place, member), limit)


def facts(place: str, member: str) -> Facts:
    """Return the size of an image in bytes, and the file's time; see `KindModule`."""
    return image_facts(place, _position(place, member))


def _position(place: str, member: str) -> int:
    if not (member.isascii() and member.isdigit() and len(member) < 20):
        raise KeyError(f"{place} has no image {member}")
    return int(member)


def find_idx_files(place: str | Path) -> list[str]:
    """Return the files of images (`...images-idx3...`) directly in a folder, or the one that `place` itself is.

    Raises:
        OSError: the folder cannot be listed.
    """
    text = str(place)
    if places.is_url(text):
        named = [text]
    else:
        named = sorted(map(str, Path(text).iterdir())) if places.is_folder(text) else [text]
    found = [path for path in named if _is_of_images(path) and places.is_file(path)]
    # Some keep a file beside its own .gz; they hold the same images.
    return [path for path in found if not path.endswith(".gz") or path.removesuffix(".gz") not in found]


def _is_of_images(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return name.endswith(IDX_ENDINGS) and "images" in name


@dataclass(frozen=True, slots=True)
class IdxSource:
    """A folder of IDX files, or one of them: the split is read off the file's name, the category off its labels.

    An image's time is its file's, so that a file that changed is read as a whole.
    """

    root: str
    kind: str = "IDX files"
    by_path: bool = False
    complete: bool = True

    @property
    def in_order(self) -> bool:
        """Whether reading in another order costs starting anew: where a compressed file is too large to be kept."""
        try:
            return not all(open_idx(path).in_memory for path in find_idx_files(self.root))
        except (OSError, ContainerFailure):
            return True

    def scan(self) -> Iterator[Found]:
        """Read each file to its end, to know that it is whole, and its labels; then name its images.

        Raises:
            SourceError: a file is not IDX, broken, or images and labels differ in number.
        """
        files = find_idx_files(self.root)
        if not files:
            raise SourceError(f"{self.root} has no IDX files of images", "their names hold images-idx3")
        for path in files:
            yield from _candidates(path)

    def read(self, address: str, limit: int) -> bytes:
        """Return an image as a PGM file; safe to call from several threads."""
        place, member = split(address)
        return image_file(place, int(member or -1), limit)


def _candidates(path: str) -> Iterator[Candidate]:
    try:
        file, labels = _checked(path), _labels(path)
    except (OSError, ContainerFailure) as error:
        raise SourceError(f"{path} cannot be read: {error}", "download the file again") from error
    if len(file.shape) != 3 or not file.item_bytes:
        raise SourceError(f"{path} has the shape {file.shape} where images need three sizes", "check the file")
    count, name = file.shape[0], path.rsplit("/", 1)[-1]
    if labels is not None and len(labels) != count:
        raise SourceError(f"{path} has {count} images but {len(labels)} labels", "check both files")
    names = _class_names(file)
    split_name = next((split for word, split in SPLITS.items() if name.startswith(word)), None)
    for i in range(count):
        category = None if labels is None else _name(names, labels[i])
        told = Labels(category, None, split_name)
        yield Candidate(join(path, str(i)), f"{name}/{i}", file.item_bytes, file.facts.modified_ns, told)


def _checked(path: str) -> IdxFile:
    file = open_idx(path)
    file.check()
    return file


def _labels(images: str) -> bytes | None:
    folder, slash, file_name = images.rpartition("/")
    name = file_name.replace("images", "labels").replace("idx3", "idx1")
    for candidate in (name, name.removesuffix(".gz"), name.removesuffix(".gz") + ".gz"):
        if places.is_file(folder + slash + candidate):
            labels = read_idx(folder + slash + candidate)
            if labels.ndim != 1:
                raise ContainerFailure(Reason.CORRUPT, f"its labels have {labels.ndim} dimensions where they need 1")
            return labels.tobytes()
    return None


def _name(names: tuple[str, ...] | None, label: int) -> str:
    return names[label] if names is not None and label < len(names) else str(label)


def _class_names(file: IdxFile) -> tuple[str, ...] | None:
    start = hashlib.sha256(file.items(0, min(10, file.shape[0]))).hexdigest()
    return FASHION_MNIST if start in FASHION_MNIST_STARTS else None
