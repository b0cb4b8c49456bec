"""An image's address: a file's path or URL, or one with the image's place in it, after an exclamation mark.

/home/me/a.jpg                       a file
/home/me/set.zip!a/b.jpg             a member of a zip or tar archive
/home/me/x-images-idx3-ubyte.gz!17   the image 17, counted from 0, of an IDX file
/home/me/set.parquet!image/17        the bytes in row 17 of a manifest's column
https://host/set.zip!a/b.jpg         all of these at a URL
https://host/get?id=5!!a/b.jpg       a member of an archive at a URL that does not end as archives do
torchvision:CIFAR10!train/17         an item of a data set that a library loads
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shotdex.media.archives import path_of
from shotdex.media.files import places

from .kinds import KINDS, Kind

SEPARATOR = "!"


def join(place: str | Path, member: str) -> str:
    """Return the address of a member of an archive, or of whatever else holds many images."""
    text = str(place)
    bare = places.is_url(text) and kind_by_name(text) is None
    return f"{text}{SEPARATOR * 2 if bare else SEPARATOR}{member}"


def split(address: str) -> tuple[str, str | None]:
    """Return the place to open and the member in it, or None. A file whose own name has `!` is found first."""
    if SEPARATOR not in address:
        return address, None
    if any(kind.is_named(address) for kind in KINDS):
        place, _, member = address.partition(SEPARATOR)
        return place, member
    if not places.is_url(address):
        if places.is_file(address):
            return address, None
        found = next((cut for cut in _cuts(address) if places.is_file(cut[0])), None)
        if found is not None:
            return found
    # A URL, or a file that is gone: by the ending of what holds many images.
    found = next((cut for cut in _cuts(address) if kind_by_name(cut[0]) is not None), None)
    if found is not None:
        return found
    place, mark, member = address.partition(SEPARATOR * 2)
    return (place, member) if mark and places.is_url(address) else (address, None)


def kind_by_name(place: str) -> Kind | None:
    """Return the kind of a place that holds many images, by its name or ending; None where these do not tell."""
    path = path_of(place)
    return next((kind for kind in KINDS if kind.is_named(place) or path.endswith(kind.endings)), None)


def _cuts(address: str) -> Iterator[tuple[str, str]]:
    for position, character in enumerate(address):
        if character == SEPARATOR:
            yield address[:position], address[position + 1 :]
