"""A tar archive of images, plain or compressed, read in place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from shotdex.media.archives.opening import is_tar, member_facts, open_archive, read_member
from shotdex.media.archives.streams import Stream
from shotdex.media.archives.tars import Kind, TarArchive, TarMember
from shotdex.media.decoding.decode import looks_like_image
from shotdex.media.files import places
from shotdex.store.errors import ContainerFailure, SourceError
from shotdex.store.types import Failure, Reason

from .address import join
from .base import Candidate, FailedFolder, Found, Reading, link_failure, paired, within
from .label_cells import LabelCells
from .left_out import Hiding, Ignored, left_file
from .samples import IMAGES_LIMIT, SIDECAR_LIMIT, Sample, check_roles, sample_key, sidecar_kind

__all__ = ["TarSource", "facts", "matches", "open_source", "read"]

matches, read, facts = is_tar, read_member, member_facts


def open_source(place: str, reading: Reading) -> TarSource:
    """Return the tar archive at a place; its columns map roles to keys of the json next to an image."""
    return TarSource(place, reading)


@dataclass(frozen=True, slots=True)
class TarSource:
    """Every image in a tar file, addressed as `archive.tar!member`, with the metadata next to it (see `samples.py`).

    The columns of `reading` map category, condition and split to keys of the json next to an image. `folder` stands
    before the members' paths for layouts. A member's time is as `TarMember` has it, so that of an archive that
    grew only the new members are read. Of one name, the last member counts, as when tar unpacks. Nothing is known
    behind a damage: what stands before it is indexed.
    """

    root: str
    reading: Reading = field(default_factory=Reading)
    folder: str = ""
    kind: str = "tar"
    by_path: bool = False
    complete: bool = True

    def __post_init__(self) -> None:
        check_roles(self.reading.columns)

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
        return paired(self._scan())

    def _scan(self) -> Iterator[Found]:
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
        cells, hiding = LabelCells(self.reading.labels_as_written), Hiding(self.reading.all_folders)
        sample = Sample("", self.reading.columns, cells)
        try:
            for member in _open(self.root).walk(_is_sidecar):
                name = member.name
                if member.kind is Kind.FOLDER:
                    continue
                if left := hiding.look(name, join(self.root, "")):
                    if isinstance(left, Ignored):
                        yield left
                    continue
                if sample_key(name) != sample.key:
                    yield from sample.found()
                    sample = Sample(sample_key(name), self.reading.columns, cells)
                elif len(sample.images) == IMAGES_LIMIT:
                    yield from sample.found()
                    sample.start_again()
                yield from self._member(member, sample)
        except (ContainerFailure, OSError):
            yield from sample.found()
            raise
        yield from sample.found()
        yield from cells.found()

    def _member(self, member: TarMember, sample: Sample) -> Iterator[Found]:
        """Put a member into its sample, or yield what it is where it belongs to none."""
        address = join(self.root, member.name)
        if member.kind is Kind.FILE and sidecar_kind(member.name):
            sample.add_sidecar(address, member.data)
        elif member.kind is Kind.OTHER or not looks_like_image(member.name):
            yield Ignored(address, left_file(member.name))
        elif member.kind is Kind.SPARSE:
            yield Failure(address, "scan", Reason.UNREADABLE, "a sparse file, which is not put together")
        elif member.kind is Kind.LINK:
            yield link_failure(self.root, member.name)
        else:
            relative = within(f"{self.folder}/{member.name}")
            sample.images.append(Candidate(address, relative, member.size, member.modified_ns))


def _open(place: str) -> TarArchive:
    archive = open_archive(place)
    if not isinstance(archive, TarArchive):
        raise ContainerFailure(Reason.NOT_AN_IMAGE, "it is a zip archive")
    return archive


def _is_sidecar(member: TarMember) -> bool:
    wanted = member.kind is Kind.FILE and member.size <= SIDECAR_LIMIT
    return wanted and sidecar_kind(member.name) is not None
