"""An image's address: a file's path or URL, or one with the image's place in it, after an exclamation mark.

/home/me/a.jpg                       a file
/home/me/set.zip!a/b.jpg             a member of a zip or tar archive
/home/me/x-images-idx3-ubyte.gz!17   the image 17, counted from 0, of an IDX file
/home/me/set.parquet!image/17        the bytes in row 17 of a manifest's column
https://host/set.zip!a/b.jpg         all of these at a URL
https://host/get?id=5!!a/b.jpg       so where a URL does not end as archives do
torchvision:CIFAR10!train/17         an item of a data set that a library loads
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shotdex.store.types import BYTES_LIMIT

from .archives.idx import IDX_ENDINGS, image_facts, image_file, is_idx_name
from .archives.opening import ENDINGS, is_regular, member_facts, path_of, read_member
from .files import places
from .files.places import Facts

SEPARATOR = "!"

MANIFEST_ENDINGS = (".csv", ".tsv", ".parquet", ".pq", ".jsonl", ".ndjson")

DATASETS = ("torchvision:", "hf:")

_HOLDERS = ENDINGS + MANIFEST_ENDINGS + IDX_ENDINGS


def join(place: str | Path, member: str) -> str:
    """Return the address of a member of an archive, or of whatever else holds many images."""
    text = str(place)
    bare = places.is_url(text) and not path_of(text).endswith(_HOLDERS)
    return f"{text}{SEPARATOR * 2 if bare else SEPARATOR}{member}"


def split(address: str) -> tuple[str, str | None]:
    """Return the place to open and the member in it, or None. A file whose own name has `!` is found first."""
    if SEPARATOR not in address:
        return address, None
    if address.startswith(DATASETS):
        place, _, member = address.partition(SEPARATOR)
        return place, member
    if not places.is_url(address):
        if places.is_file(address):
            return address, None
        found = next((cut for cut in _cuts(address) if places.is_file(cut[0])), None)
        if found is not None:
            return found
    # A URL, or a file that is gone: by the ending of what holds many images.
    found = next((cut for cut in _cuts(address) if path_of(cut[0]).endswith(_HOLDERS)), None)
    if found is not None:
        return found
    place, mark, member = address.partition(SEPARATOR * 2)
    return (place, member) if mark and places.is_url(address) else (address, None)


def _cuts(address: str) -> Iterator[tuple[str, str]]:
    for position, character in enumerate(address):
        if character == SEPARATOR:
            yield address[:position], address[position + 1 :]


def read_bytes(address: str, limit: int = BYTES_LIMIT) -> bytes:
    """Return the file that an address names, archives included.

    Raises:
        TooManyBytes: it has more than `limit`; no more were read.
        OSError: the file or archive cannot be read.
        KeyError: the archive has no such member.
        Exception: of other types, where the archive is broken, encrypted or packed in an unknown way.
    """
    place, member = split(address)
    if member is None:
        return places.read_all(place, limit)
    if place.startswith(DATASETS):
        from .datasets.by_name import read_item

        return read_item(place, member, limit)
    if is_idx_name(path_of(place)):
        return image_file(place, _position(place, member), limit)
    if path_of(place).endswith(MANIFEST_ENDINGS):
        from .tables.manifest_rows import read_cell

        return read_cell(place, member, limit)
    return read_member(place, member, limit)


def facts(address: str) -> Facts | None:
    """Return size and time as a scan gives them; None where only reading tells (manifests' cells, data sets).

    Raises:
        OSError: there is no file.
        KeyError: the archive has no such member.
        Exception: of other types, where the archive is broken.
    """
    place, member = split(address)
    if place.startswith(DATASETS):
        return None
    if member is None:
        if not places.is_url(place) and not is_regular(place):
            raise OSError(f"{place} is no regular file")
        return places.facts(place)
    if is_idx_name(path_of(place)):
        return image_facts(place, _position(place, member))
    return None if path_of(place).endswith(MANIFEST_ENDINGS) else member_facts(place, member)


def _position(place: str, member: str) -> int:
    if not (member.isascii() and member.isdigit() and len(member) < 20):
        raise KeyError(f"{place} has no image {member}")
    return int(member)
