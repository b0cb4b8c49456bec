"""IDX files, the format of MNIST and Fashion-MNIST: a header of sizes, then bytes; often gzipped.

Each image of a file's array is a candidate.

Format: http://yann.lecun.com/exdb/mnist/ ("THE IDX FILE FORMAT").
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shotdex.media.archives.streams import SharedFile, Stream
from shotdex.media.files import places
from shotdex.media.files.kept import Kept
from shotdex.media.files.places import Facts, TooManyBytes
from shotdex.store.errors import ContainerFailure, SourceError
from shotdex.store.file_names import local, stored
from shotdex.store.images import Labels
from shotdex.store.types import Reason

from .address import SEPARATOR, join
from .base import Candidate, Found, Reading
from .kinds import IDX_ENDINGS

UNSIGNED_BYTE = 0x08

ROOT_ENTRIES = 100
"""Entries that a folder may have where it is looked at as a root of torchvision."""

WHOLE_LIMIT = 64 * 1024 * 1024
"""Bytes up to which a compressed file is kept unpacked, so that going back in it is quick; Fashion-MNIST has 47 MB."""

ARRAY_LIMIT = 256 * 1024 * 1024
"""Bytes above which a file is not read as one array."""

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


def open_source(place: str, reading: Reading) -> IdxSource:
    """Return the IDX files at a place; they have no columns."""
    return IdxSource(place)


def read(place: str, member: str, limit: int) -> bytes:
    """Return an image by its position, as a PGM file, a form that any image library reads; see `MemberModule`."""
    file, position = _image(place, member)
    if file.item_bytes > limit:
        raise TooManyBytes(f"more than {limit:,} bytes")
    return f"P5 {file.shape[2]} {file.shape[1]} 255\n".encode("ascii") + file.items(position, 1)


def facts(place: str, member: str) -> Facts:
    """Return the size of an image in bytes, and the file's time; see `MemberModule`."""
    file, _ = _image(place, member)
    return Facts(file.item_bytes, file.facts.modified_ns)


def _image(place: str, member: str) -> tuple[IdxFile, int]:
    file = open_idx(place)
    position = int(member) if member.isascii() and member.isdigit() and len(member) < 20 else -1
    if len(file.shape) != 3 or not 0 <= position < file.shape[0]:
        raise KeyError(f"{place} has no image {member}")
    return file, position


def find_idx_files(place: str | Path) -> list[str]:
    """Return the files of images (`...images-idx3...`) directly in a folder, or the one that `place` itself is.

    A folder without any may be a root of torchvision, which keeps them in `raw/` or `NAME/raw/`.

    Raises:
        SourceError: there are several such folders.
        OSError: the folder cannot be listed.
    """
    text = str(place)
    is_folder = not places.is_url(text) and places.is_folder(text)
    named = sorted(stored(str(path)) for path in Path(local(text)).iterdir()) if is_folder else [text]
    found = _of_images(named)
    return found or (_below_root(named) if is_folder and len(named) <= ROOT_ENTRIES else [])


def _below_root(named: Sequence[str]) -> list[str]:
    """Return the files below a root of torchvision, `raw/` or one `NAME/raw/`; none where there are several sets."""
    inner = [path for path in named if places.is_folder(path) and not Path(path).name.startswith(".")]
    raw = [path for path in (*inner, *(str(Path(each, "raw")) for each in inner)) if Path(path).name == "raw"]
    sets = []
    for path in raw:
        with suppress(OSError):
            entries = sorted(stored(str(each)) for each in Path(local(path)).iterdir())
            sets += [files] if (files := _of_images(entries)) else []
    if len(sets) > 1 and len(inner) == len(named):
        folders = ", ".join(str(Path(files[0]).parent) for files in sets)
        raise SourceError(f"there are several sets of IDX files: {folders}", "index them one by one")
    return sets[0] if len(sets) == 1 else []


def _of_images(named: Sequence[str]) -> list[str]:
    fitting = [path for path in named if path.endswith(IDX_ENDINGS) and "images" in path.rsplit("/", 1)[-1]]
    found = [path for path in fitting if places.is_file(path)]
    # Some keep a file next to its own .gz; they hold the same images.
    return [path for path in found if not path.endswith(".gz") or path.removesuffix(".gz") not in found]


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
        """Whether reading in another order means starting again: where a compressed file is too large to be kept."""
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
            raise SourceError(f"{self.root} has no IDX files of images", "their names contain images-idx3")
        for path in files:
            yield from _candidates(path)

    def read(self, address: str, limit: int) -> bytes:
        """Return an image as a PGM file; safe to call from several threads."""
        place, _, member = address.rpartition(SEPARATOR)
        return read(place, member, limit)


def _candidates(path: str) -> Iterator[Candidate]:
    try:
        file = open_idx(path)
        file.check()
        labels = _labels(path)
    except (OSError, ContainerFailure) as error:
        raise SourceError(f"{path} cannot be read: {error}", "download the file again") from error
    if len(file.shape) != 3 or not file.item_bytes:
        raise SourceError(f"{path} has the shape {file.shape} where images need three sizes", "check the file")
    count, name = file.shape[0], path.rsplit("/", 1)[-1]
    if labels is not None and len(labels) != count:
        raise SourceError(f"{path} has {count} images but {len(labels)} labels", "check both files")
    start = hashlib.sha256(file.items(0, min(10, count))).hexdigest()
    names = FASHION_MNIST if start in FASHION_MNIST_STARTS else ()
    split_name = next((split for word, split in SPLITS.items() if name.startswith(word)), None)
    for i in range(count):
        category = None if labels is None else names[labels[i]] if labels[i] < len(names) else str(labels[i])
        known = Labels(category, None, split_name)
        yield Candidate(join(path, str(i)), f"{name}/{i}", file.item_bytes, file.facts.modified_ns, known)


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


class IdxFile:
    """An IDX file of unsigned bytes; `shape` is that of its array. Safe for several threads.

    Attributes:
        in_memory: whether reading it in any order is quick.

    Raises:
        ContainerFailure: it is not one.
        OSError: it cannot be read.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.facts = places.facts(place)
        with closing(Stream(place)) as stream:
            self.shape, self._start = _shape(stream), stream.tell()
            self._packed = stream.packing is not None
        self.item_bytes = math.prod(self.shape[1:])
        self.in_memory = not self._packed or self.shape[0] * self.item_bytes <= WHOLE_LIMIT
        self._file = SharedFile(place)
        self._whole: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return 0

    def check(self) -> None:
        """Read it to the end.

        Raises:
            ContainerFailure: it has more or less data than its header says, or a wrong checksum.
        """
        with closing(Stream(self.place)) as stream:
            stream.pass_over(math.prod(_shape(stream)))
            _check_end(stream)

    def items(self, first: int, count: int) -> bytes:
        """Return the bytes of some images or labels that follow each other.

        Raises:
            ContainerFailure: the file ends before them or is broken.
        """
        if self._packed and self.in_memory:
            whole = self._whole if self._whole is not None else read_idx(self.place)
            self._whole = whole
            return whole[first : first + count].tobytes()
        data = self._file.read_at(self._start + first * self.item_bytes, count * self.item_bytes)
        if len(data) < count * self.item_bytes:
            raise ContainerFailure(Reason.TRUNCATED, "it ends too early")
        return data

    def wake(self) -> None:
        """Keep the file open from now on."""
        self._file.wake()

    def rest(self) -> None:
        """Close the file, and forget what was kept unpacked."""
        self._file.rest()
        self._whole = None


_kept: Kept[IdxFile] = Kept(IdxFile)


def open_idx(place: str) -> IdxFile:
    """Return the IDX file at a place; opened again where it changed.

    Raises:
        ContainerFailure, OSError: as for `IdxFile`.
    """
    return _kept.get(place)


def read_idx(place: str) -> npt.NDArray[np.uint8]:
    """Return the array of an IDX file of unsigned bytes, as (N,) labels or (N, H, W) images; read-only.

    Raises:
        ContainerFailure: not an IDX file of unsigned bytes, not as long as its header says, or too large for an array.
        OSError: it cannot be read.
    """
    with closing(Stream(place)) as stream:
        shape = _shape(stream)
        if math.prod(shape) > ARRAY_LIMIT:
            raise ContainerFailure(Reason.TOO_LARGE, f"more than {ARRAY_LIMIT:,} bytes")
        data = stream.read_exactly(math.prod(shape))
        _check_end(stream)
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _shape(stream: Stream) -> tuple[int, ...]:
    head = stream.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] != UNSIGNED_BYTE or not head[3]:
        raise ContainerFailure(Reason.NOT_AN_IMAGE, "it is not an IDX file of unsigned bytes")
    return tuple(int(size) for size in np.frombuffer(stream.read_exactly(4 * head[3]), dtype=">u4"))


def _check_end(stream: Stream) -> None:
    if stream.read(1):
        raise ContainerFailure(Reason.CORRUPT, "it has more data than its header says")
