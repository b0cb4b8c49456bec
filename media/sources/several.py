"""Several archives or tables as one source: a folder of them, a pattern with `*` or `?`, or a list in braces."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from math import prod
from pathlib import Path

from shotdex.media.archives import TAR_ENDINGS, ZIP_ENDINGS, path_of
from shotdex.media.decoding.decode import looks_like_image
from shotdex.media.files import places
from shotdex.store.errors import OptionError, SourceError
from shotdex.store.file_names import local, stored
from shotdex.store.types import Failure, Reason

from . import read_bytes
from .base import FailedFolder, Found, Reading, Source
from .kinds import IDX_ENDINGS, MANIFEST_ENDINGS, PARQUET_ENDINGS
from .left_out import left_folder

SHARDS_LIMIT = 100_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,12})\.\.(\d{1,12})")
_STARS = re.compile(r"[*?\[]")

_NAMED = TAR_ENDINGS + ZIP_ENDINGS + MANIFEST_ENDINGS
_IN_FOLDERS = TAR_ENDINGS + ZIP_ENDINGS + PARQUET_ENDINGS


def matches(place: str) -> bool:
    """Tell whether a place is a pattern for archives or tables, or a folder that holds nothing but such.

    Raises:
        SourceError: it is a pattern that no file fits.
    """
    return is_pattern(place) or bool(find_parts(place))


def open_source(place: str, reading: Reading) -> SeveralSource:
    """Return the archives or tables at a place."""
    return SeveralSource(place, reading)


def is_pattern(place: str) -> bool:
    """Tell whether a place stands for several archives or tables by its name, and is not a file itself."""
    marked = _BRACES.search(place) or (not places.is_url(place) and _STARS.search(place))
    if not marked or (not places.is_url(place) and Path(local(place)).exists()):
        return False
    return path_of(place).endswith(_NAMED) or any(each.endswith(_NAMED) for each in islice(_expanded(place), 1))


def find_parts(place: str) -> list[str]:
    """Return the archives and tables that a pattern stands for, or that a folder holds; none where it is not a set.

    A folder counts where it, and the folders in it, have archives or Parquet files, and neither images nor IDX files.

    Raises:
        OptionError: a pattern stands for too many.
        SourceError: no file fits a pattern.
        OSError: the folder cannot be listed.
    """
    if is_pattern(place):
        return _fitting(place)
    return [] if places.is_url(place) or not places.is_folder(place) else _in_folder(place)


def _fitting(pattern: str) -> list[str]:
    named = expand(pattern)
    if places.is_url(pattern) or not any(map(_STARS.search, named)):
        return named
    found = dict.fromkeys(
        path
        for each in named
        for path in (sorted(map(stored, glob.iglob(local(each), recursive=True))) if _STARS.search(each) else [each])  # noqa: PTH207
        if path.lower().endswith(_NAMED)
    )
    if not found:
        raise SourceError(f"no archive or table matches {pattern}", "check the pattern")
    return list(found)


def _in_folder(folder: str) -> list[str]:
    found, waiting, visited = [], [local(folder)], set[tuple[int, int]]()
    while waiting:
        current = waiting.pop()
        facts = Path(current).stat()
        if (facts.st_dev, facts.st_ino) in visited:
            continue
        visited.add((facts.st_dev, facts.st_ino))
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    if places.is_folder(entry.path):
                        waiting += [entry.path] if left_folder(entry.name) is None else []
                    elif not entry.name.startswith("."):
                        if looks_like_image(entry.name) or entry.name.endswith(IDX_ENDINGS):
                            return []
                        found += [stored(entry.path)] if entry.name.lower().endswith(_IN_FOLDERS) else []
        except OSError:
            if current == local(folder):
                raise
            return []  # what cannot be looked into may hold images
    return sorted(found)


@dataclass(frozen=True, slots=True)
class SeveralSource:
    """Several archives or tables as one source, by a pattern or a folder (see `find_parts`).

    Their images keep their own addresses. One that is missing or broken is named, and the others go on. For layouts
    each archive of a folder, or of a pattern with stars, is a folder of its name without the ending, as ImageNet has
    one archive a class; not where the names only number the parts of a whole, nor for a list in braces.
    """

    root: str
    reading: Reading = field(default_factory=Reading)
    by_path: bool = False
    complete: bool = True
    parts: Mapping[str, Source] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found = find_parts(self.root)
        folders = self._folders(found)
        mixed = len({_kind(place) for place in found}) > 1
        parts = {place: _part(place, folders[place], self.reading, mixed) for place in found}
        object.__setattr__(self, "parts", parts)

    @property
    def kind(self) -> str:
        """Tar archives, zip archives, Parquet files, tables, or several of these."""
        kinds = {_kind(place) for place in self.parts}
        return kinds.pop() if len(kinds) == 1 else "archives and tables"

    @property
    def in_order(self) -> bool:
        """Whether reading in another order means starting again, as of any of the archives."""
        return any(part.in_order for part in self.parts.values())

    def scan(self) -> Iterator[Found]:
        """Walk one after the other.

        Raises:
            SourceError: none of them can be read.
        """
        error, entered = None, False
        for place, part in self.parts.items():
            try:
                yield from part.scan()
                entered = True
            except SourceError as failed:
                error = failed
                yield FailedFolder(place, Failure(place, "scan", Reason.UNREADABLE, str(failed)))
        if error is not None and not entered:
            raise SourceError(f"none of the {self.kind} of {self.root} can be read: {error}", error.hint)

    def read(self, address: str, limit: int) -> bytes:
        """Return an image's file; safe to call from several threads, slow where `in_order` is not kept to."""
        return read_bytes(address, limit)

    def _folders(self, found: Sequence[str]) -> Mapping[str, str]:
        """Return what stands before the paths of the images of each archive."""
        if is_pattern(self.root) and not _STARS.search(self.root):
            return dict.fromkeys(found, "")
        base = self.root if not is_pattern(self.root) else os.path.commonpath([Path(each).parent for each in found])
        stems = {place: _stem(os.path.relpath(place, base)).replace(os.sep, "/") for place in found}
        names: dict[str, list[str]] = {}
        for stem in stems.values():
            names.setdefault(stem.rpartition("/")[0], []).append(stem.rpartition("/")[2])
        numbered = {folder for folder, inner in names.items() if only_numbered(inner)}
        return {
            place: folder if (folder := stem.rpartition("/")[0]) in numbered else stem for place, stem in stems.items()
        }


def only_numbered(names: Sequence[str]) -> bool:
    """Tell whether names only number the parts of a whole: 0 and 1, train-00000-of-00002, set_1; n01440764 does not."""
    return all(re.fullmatch(r"(?:.*[-_. ])?\d+(?:-of-\d+)?", name) for name in names)


def _kind(place: str) -> str:
    path = path_of(place)
    if path.endswith(MANIFEST_ENDINGS):
        return "Parquet files" if path.endswith(PARQUET_ENDINGS) else "tables"
    return "zip archives" if path.endswith(ZIP_ENDINGS) else "tar archives"


def _part(place: str, folder: str, reading: Reading, mixed: bool) -> Source:
    path = path_of(place)
    if path.endswith(MANIFEST_ENDINGS):
        from .manifest import ManifestSource

        return ManifestSource(place, reading)
    if path.endswith(ZIP_ENDINGS):
        from .zipped import ZipSource

        return ZipSource(place, reading, folder)
    from .tarred import TarSource

    if mixed:  # what the columns say of tables says nothing here
        reading = replace(reading, columns={role: name for role, name in reading.columns.items() if role != "image"})
    return TarSource(place, reading, folder)


def _stem(place: str) -> str:
    ending = max((ending for ending in _NAMED if place.lower().endswith(ending)), key=len)
    return place[: -len(ending)]


def expand(pattern: str) -> list[str]:
    """Return the names that a pattern with braces stands for, as in a shell: `{00..12}` and `{train,test}`.

    Raises:
        OptionError: there are more than 100,000.
    """
    return list(_expanded(pattern))


def _expanded(pattern: str) -> Iterator[str]:
    parts = _BRACES.split(pattern)
    choices = [_choices(part) if i % 2 else [part] for i, part in enumerate(parts)]
    if prod(map(len, choices)) > SHARDS_LIMIT:
        raise OptionError(f"{pattern} stands for more than {SHARDS_LIMIT:,} archives", "check the numbers in braces")
    return ("".join(chosen) for chosen in product(*choices))


def _choices(text: str) -> list[str]:
    match = _RANGE.fullmatch(text)
    if match is None:
        return text.split(",") if "," in text else [f"{{{text}}}"]
    first, last = (int(number) for number in match.groups())
    # Where one begins with a zero, all get as many digits.
    padded = any(len(number) > 1 and number.startswith("0") for number in match.groups())
    width = max(map(len, match.groups())) if padded else 0
    step = 1 if first <= last else -1
    # One more than allowed is enough to exceed the limit, and not a billion of them.
    numbers = islice(range(first, last + step, step), SHARDS_LIMIT + 1)
    return [f"{number:0{width}}" for number in numbers]
