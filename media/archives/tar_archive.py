"""A tar archive, plain or compressed: a walk through its members, and any one of them by name."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from shotdex.media.files import places
from shotdex.media.files.places import Facts, TooManyBytes
from shotdex.store.errors import ContainerFailure

from .member_table import MemberTable
from .reader import Reader, Readers
from .tar_headers import Kind, TarMember, next_member, padding

TRAILING_LIMIT = 64 * 1024 * 1024
"""Unpacked bytes that are read behind the end of the archive, so that the checksum of a compressed one is seen."""

NO_TIME_NS = 315_619_200 * 10**9
"""Times before 1980-01-02 say nothing: 0, 1 and 1980-01-01 are what reproducible builds write."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A member that a walk has passed, with its data where they were wanted.

    `modified_ns` changes where its content does: the header's time; of a compressed archive its seconds with a
    checksum of the content in place of the nanoseconds; of a plain one whose header has no time, the archive's.
    """

    member: TarMember
    modified_ns: int
    data: bytes | None = None


class TarArchive:
    """One tar archive. Memory: 16 bytes a member once one is asked for by name. Safe for several threads."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._readers = Readers(place)
        self._table: MemberTable | None = None
        self._lock = threading.Lock()  # one table for all threads is enough

    def __len__(self) -> int:
        return 0 if self._table is None else len(self._table)

    @property
    def packed(self) -> bool:
        """Whether it is compressed, so that going back means starting anew.

        Raises:
            OSError: it cannot be read.
        """
        with closing(Reader(self.place)) as reader:
            return reader.packed

    def walk(self, wanted: Callable[[TarMember], bool] | None = None) -> Iterator[Passed]:
        """Pass the members in their order, with the data of those that are wanted; of one name, the last counts.

        Raises:
            ContainerFailure: at the place from which on nothing can be known.
            OSError: the file cannot be read.
        """
        table = MemberTable()
        archive_ns = places.facts(self.place).modified_ns
        with closing(Reader(self.place)) as reader:
            try:
                while (member := next_member(reader)) is not None:
                    passed = _pass(reader, member, wanted is not None and wanted(member), archive_ns)
                    if member.kind is Kind.FILE and member.name is not None:
                        table.add(member.name, member.position)
                    yield passed
            except ContainerFailure:
                self._keep(table)
                raise
            self._keep(table)
            _drain(reader)

    def read(self, name: str, limit: int) -> bytes:
        """Return a member's content.

        Raises:
            KeyError: there is no such file in it.
            TooManyBytes: it has more than `limit`.
            Damaged, OSError: it cannot be read.
        """
        for position in self._find(name):
            with self._readers.at(position) as reader:
                member = next_member(reader)
                if member is None or member.name != name:
                    continue
                if member.size > limit:
                    raise TooManyBytes(f"more than {limit:,} bytes")
                return reader.read(member.size)
        raise KeyError(f"{self.place} has no file {name}")

    def facts(self, name: str) -> Facts:
        """Return a member's size, and its time as in a walk.

        Raises:
            KeyError, Damaged, OSError: as for `read`.
        """
        archive_ns = places.facts(self.place).modified_ns
        for position in self._find(name):
            with self._readers.at(position) as reader:
                member = next_member(reader)
                if member is not None and member.name == name:
                    return Facts(member.size, _pass(reader, member, False, archive_ns).modified_ns)
        raise KeyError(f"{self.place} has no file {name}")

    def wake(self) -> None:
        """Keep files open from now on."""
        self._readers.wake()

    def rest(self) -> None:
        """Close what is open."""
        self._readers.rest()

    def _keep(self, table: MemberTable) -> None:
        table.finish()
        self._table = table

    def _find(self, name: str) -> list[int]:
        with self._lock:
            table = self._walked() if self._table is None else self._table
        return table.find(name)

    def _walked(self) -> MemberTable:
        try:
            for _ in self.walk():
                pass
        except ContainerFailure:
            if self._table is None:  # it cannot even be opened
                raise
        assert self._table is not None  # what stands before a damage can be read
        return self._table


def _pass(reader: Reader, member: TarMember, wanted: bool, archive_ns: int) -> Passed:
    data = reader.read(member.size) if wanted else None
    checksum = reader.pass_over(member.size) if data is None else zlib.crc32(data)
    reader.pass_over(padding(member.size))
    if reader.packed:
        return Passed(member, member.modified_ns // 10**9 * 10**9 + checksum % 10**9, data)
    return Passed(member, member.modified_ns if member.modified_ns >= NO_TIME_NS else archive_ns, data)


def _drain(reader: Reader) -> None:
    """Read on to the checksum at the end, behind which a compressed file says whether it was whole."""
    behind = 0
    while reader.packed and behind < TRAILING_LIMIT:
        data = reader.read_some(1024 * 1024)
        if not data:
            return
        behind += len(data)
