"""Tar archives of images, plain or compressed, one or several, read in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from shotdex.media.archives.names import TAR_ENDINGS
from shotdex.media.archives.opening import is_tar, member_facts, open_archive, read_member
from shotdex.media.archives.streams import Stream
from shotdex.media.archives.tars import Kind, TarArchive, TarMember
from shotdex.media.decoding.decode import looks_like_image
from shotdex.media.files import places
from shotdex.store.errors import ContainerFailure, SourceError
from shotdex.store.types import Failure, Reason

from .address import SEPARATOR, join
from .base import Candidate, FailedFolder, Found, Ignored, hidden, member_failure, within
from .samples import IMAGES_LIMIT, SIDECAR_LIMIT, Sample, check_roles, sample_key, sidecar_kind
from .shards import find_shards

__all__ = ["ShardsSource", "TarSource", "facts", "matches", "open_source", "read"]

read, facts = read_member, member_facts


def matches(place: str) -> bool:
    """Tell whether there is a tar archive at a place, or several of them."""
    return bool(find_shards(place)) or (not places.is_folder(place) and is_tar(place))


def open_source(place: str, columns: Mapping[str, str]) -> TarSource | ShardsSource:
    """Return the tar archive or archives at a place; `columns` maps roles to keys of the json next to an image."""
    return ShardsSource(place, columns) if find_shards(place) else TarSource(place, columns)


@dataclass(frozen=True, slots=True)
class TarSource:
    """Every image in a tar file, addressed as `archive.tar!member`, with the metadata beside it (see `samples.py`).

    `columns` maps the roles category, condition and split to keys of the json beside an image. `folder` stands before
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
        """Whether reading in another order costs starting anew: where it is compressed, or must be fetched."""
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
        failure = member_failure(self.root, member.shown, member.name is not None, member.kind is Kind.LINK)
        if member.kind is Kind.SPARSE and looks_like_image(member.shown):
            failure = Failure(address, "scan", Reason.UNREADABLE, "a sparse file, which is not put together")
        if failure is not None and member.kind is not Kind.OTHER:
            yield failure
        elif member.kind is Kind.FILE and sidecar_kind(member.shown):
            sample.add_sidecar(address, member.data)
        elif member.kind is Kind.FILE and looks_like_image(member.shown):
            relative = within(f"{self.folder}/{member.shown}")
            sample.images.append(Candidate(address, relative, member.size, member.modified_ns))
        else:
            yield Ignored(address)


@dataclass(frozen=True, slots=True)
class ShardsSource:
    """Several tar archives as one source, by a pattern or a folder (see `shards.py`); members keep their own address.

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
        """Whether reading in another order costs starting anew, as of any of the archives."""
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
