"""Tar archives of images, plain or compressed, one or several, read in place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice, product
from math import prod

from shotdex.media.archives import TAR_ENDINGS, path_of
from shotdex.media.archives.opening import is_tar, member_facts, open_archive, read_member
from shotdex.media.archives.streams import Stream
from shotdex.media.archives.tars import Kind, TarArchive, TarMember
from shotdex.media.decoding.decode import looks_like_image
from shotdex.media.files import places
from shotdex.store.errors import ContainerFailure, OptionError, SourceError
from shotdex.store.types import Failure, Reason

from .address import SEPARATOR, join
from .base import Candidate, FailedFolder, Found, Ignored, hidden, link_failure, within
from .kinds import IDX_ENDINGS
from .samples import IMAGES_LIMIT, SIDECAR_LIMIT, Sample, check_roles, sample_key, sidecar_kind

__all__ = ["ShardsSource", "TarSource", "facts", "matches", "open_source", "read"]

SHARDS_LIMIT = 100_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,12})\.\.(\d{1,12})")

read, facts = read_member, member_facts


def matches(place: str) -> bool:
    """Tell whether there is a tar archive at a place, or several of them."""
    return bool(find_shards(place)) or (not places.is_folder(place) and is_tar(place))


def open_source(place: str, columns: Mapping[str, str]) -> TarSource | ShardsSource:
    """Return the tar archive or archives at a place; `columns` maps roles to keys of the json next to an image."""
    return ShardsSource(place, columns) if find_shards(place) else TarSource(place, columns)


@dataclass(frozen=True, slots=True)
class TarSource:
    """Every image in a tar file, addressed as `archive.tar!member`, with the metadata next to it (see `samples.py`).

    `columns` maps the roles category, condition and split to keys of the json next to an image. `folder` stands before
    the members' paths for layouts. A member's time is as `TarMember` has it, so that of an archive that grew only the
    new members are read. Of one name, the last member counts, as when tar unpacks. Nothing is known behind a damage:
    what stands before it is indexed.
    """

    root: str
    columns: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    kind: str = "tar"
    by_path: bool = False
    complete: bool = True

    def __post_init__(self) -> None:
        check_roles(self.columns)

    @property
    def in_order(self) -> bool:
        """Whether reading in another order means starting again: where it is compressed, or must be fetched."""
        try:
            if places.is_url(self.root):
                return True
            with closing(Stream(self.root)) as stream:
                return stream.packing is not None
        except (OSError, ContainerFailure):
            return True

    def scan(self) -> Iterator[Found]:
        """Walk the archive, holding one sample at a time.

        Raises:
            SourceError: it is not a tar archive, or broken before its second member.
        """
        met = False
        try:
            for found in self._walk():
                met = True
                yield found
        except (ContainerFailure, OSError) as error:
            damage = error if isinstance(error, ContainerFailure) else ContainerFailure(Reason.UNREADABLE, str(error))
            if not met:
                raise SourceError(
                    f"{self.root} cannot be read as a tar archive: {damage.detail}", "check it with: tar -tf"
                ) from error
            yield FailedFolder(self.root, Failure(self.root, "scan", damage.reason, damage.detail))

    def read(self, address: str, limit: int) -> bytes:
        """Return a member's content; safe to call from several threads, slow where `in_order` is not kept to."""
        return read_member(self.root, address.removeprefix(join(self.root, "")), limit)

    def _walk(self) -> Iterator[Found]:
        sample = Sample("", self.columns)
        try:
            for member in _open(self.root).walk(_is_sidecar):
                name = member.shown
                if member.kind is Kind.FOLDER or hidden(name):
                    continue
                if sample_key(name) != sample.key:
                    yield from sample.found()
                    sample = Sample(sample_key(name), self.columns)
                elif len(sample.images) == IMAGES_LIMIT:
                    yield from sample.found()
                    sample.start_again()
                yield from self._member(member, sample)
        except (ContainerFailure, OSError):
            yield from sample.found()
            raise
        yield from sample.found()

    def _member(self, member: TarMember, sample: Sample) -> Iterator[Found]:
        """Put a member into its sample, or yield what it is where it belongs to none."""
        address = join(self.root, member.shown)
        if member.kind is Kind.FILE and sidecar_kind(member.shown):
            sample.add_sidecar(address, member.data)
        elif member.kind is Kind.OTHER or not looks_like_image(member.shown):
            yield Ignored(address)
        elif member.kind is Kind.SPARSE:
            yield Failure(address, "scan", Reason.UNREADABLE, "a sparse file, which is not put together")
        elif member.name is None:
            yield Failure(address, "scan", Reason.BAD_NAME, "pack it again with names in UTF-8")
        elif member.kind is Kind.LINK:
            yield link_failure(self.root, member.shown)
        else:
            relative = within(f"{self.folder}/{member.shown}")
            sample.images.append(Candidate(address, relative, member.size, member.modified_ns))


@dataclass(frozen=True, slots=True)
class ShardsSource:
    """Several tar archives as one source, by a pattern or a folder (see `find_shards`); members keep their own address.

    An archive that is missing or broken is named, and the others go on. Of a folder, layouts see each archive as a
    folder of its name, without the ending: ImageNet has one archive a class. Those of a pattern are taken as one.
    """

    root: str
    columns: Mapping[str, str] = field(default_factory=dict)
    kind: str = "tar archives"
    by_path: bool = False
    complete: bool = True
    shards: Mapping[str, None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shards", dict.fromkeys(find_shards(self.root)))
        check_roles(self.columns)

    @property
    def in_order(self) -> bool:
        """Whether reading in another order means starting again, as of any of the archives."""
        return any(source.in_order for source in self._sources())

    def scan(self) -> Iterator[Found]:
        """Walk one archive after the other.

        Raises:
            SourceError: none of them can be read.
        """
        error, entered = None, False
        for source in self._sources():
            try:
                yield from source.scan()
                entered = True
            except SourceError as failed:
                error = failed
                yield FailedFolder(source.root, Failure(source.root, "scan", Reason.UNREADABLE, str(failed)))
        if error is not None and not entered:
            raise SourceError(f"none of the archives of {self.root} can be read: {error}", error.hint)

    def read(self, address: str, limit: int) -> bytes:
        """Return a member's content; safe to call from several threads, slow where `in_order` is not kept to."""
        for at, character in enumerate(address):
            if character == SEPARATOR and address[:at] in self.shards:
                return read_member(address[:at], address[at + 1 :], limit)
        raise KeyError(f"{address} is in none of the archives of {self.root}")

    def _sources(self) -> Iterator[TarSource]:
        is_pattern = not places.is_folder(self.root)
        for place in self.shards:
            yield TarSource(place, self.columns, "" if is_pattern else _stem(place))


def _stem(place: str) -> str:
    name = place.rsplit("/", 1)[-1]
    ending = max((ending for ending in TAR_ENDINGS if name.lower().endswith(ending)), key=len)
    return name[: -len(ending)]


def _open(place: str) -> TarArchive:
    archive = open_archive(place)
    if not isinstance(archive, TarArchive):
        raise ContainerFailure(Reason.NOT_AN_IMAGE, "it is a zip archive")
    return archive


def _is_sidecar(member: TarMember) -> bool:
    wanted = member.kind is Kind.FILE and member.size <= SIDECAR_LIMIT
    return wanted and sidecar_kind(member.shown) is not None and not hidden(member.shown)


def find_shards(place: str) -> list[str]:
    """Return the archives that a pattern stands for, or that a folder has; none where it is not a set of archives.

    A folder counts where it has tar archives, and neither images nor folders nor IDX files next to them.

    Raises:
        OptionError: a pattern stands for too many.
        OSError: the folder cannot be listed.
    """
    if path_of(place).endswith(TAR_ENDINGS) and _BRACES.search(place) and not _is_there(place):
        return expand(place)
    if places.is_url(place) or not places.is_folder(place):
        return []
    found = []
    with os.scandir(place) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if looks_like_image(name) or name.endswith(IDX_ENDINGS) or entry.is_dir():
                return []
            if name.lower().endswith(TAR_ENDINGS) and entry.is_file():
                found.append(entry.path)
    return sorted(found)


def _is_there(place: str) -> bool:
    return not places.is_url(place) and places.is_file(place)


def expand(pattern: str) -> list[str]:
    """Return the names that a pattern with braces stands for, as in a shell: `{00..12}` and `{train,test}`.

    Raises:
        OptionError: there are more than 100,000.
    """
    parts = _BRACES.split(pattern)
    choices = [_choices(part) if i % 2 else [part] for i, part in enumerate(parts)]
    if prod(map(len, choices)) > SHARDS_LIMIT:
        raise OptionError(f"{pattern} stands for more than {SHARDS_LIMIT:,} archives", "check the numbers in braces")
    return ["".join(chosen) for chosen in product(*choices)]


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
