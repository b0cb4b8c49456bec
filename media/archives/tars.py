"""A tar archive, plain or compressed: a walk through its members, and any one of them by name.

`tarfile` reads the headers; here is what bounds them, since a header may claim any size, and what tells a broken
archive from one that ends. Links and sparse files are named as such and not followed.
"""

from __future__ import annotations

import re
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import IO, cast

from shotdex.media.files import places
from shotdex.media.files.places import Facts, TooManyBytes
from shotdex.store.errors import ContainerFailure
from shotdex.store.file_names import stored
from shotdex.store.types import Reason

from .streams import SharedFile, Stream

BLOCK = tarfile.BLOCKSIZE

EXTENDED_LIMIT = 1024 * 1024
"""Bytes of extended headers (a long name, pax records) that one member may have; a header may claim 8 GiB."""

TRAILING_LIMIT = 64 * 1024 * 1024
"""Unpacked bytes that are read behind the end of the archive, so that the checksum of a compressed one is seen."""

NO_TIME_NS = 315_619_200 * 10**9
"""Times before 1980-01-02 say nothing: 0, 1 and 1980-01-01 are what reproducible builds write."""

LATEST_NS = 2**63 - 1

_PAX_RECORD = re.compile(rb"(\d{1,7}) [^=\n]*=")
_MANY_DIGITS = re.compile(rb"\d{1000}")


class Kind(Enum):
    """What a member is. Only files hold an image."""

    FILE = "file"
    LINK = "link"
    SPARSE = "sparse file"
    FOLDER = "folder"
    OTHER = "device or pipe"


@dataclass(frozen=True, slots=True)
class TarMember:
    """A member; its name is as the catalog keeps it, also where that is not UTF-8.

    `offset` is where its data begin, and `data` are they, where they were wanted. `modified_ns` changes where its
    content does: the header's time; of a compressed archive its seconds with a checksum of the content in place of the
    nanoseconds; of a plain one whose header has no time, the archive's.
    """

    name: str
    kind: Kind
    offset: int
    size: int
    modified_ns: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    offset: int
    size: int
    modified_ns: int


class TarArchive:
    """One tar archive. Memory: about 0.3 kB a member once one is asked for by name. Safe for several threads."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._file = SharedFile(place)
        self._table: dict[str, _Known] | None = None
        self._lock = threading.Lock()  # one table for all threads is enough

    def __len__(self) -> int:
        return len(self._table or ())

    def walk(self, wanted: Callable[[TarMember], bool] | None = None) -> Iterator[TarMember]:
        """Pass the members in their order, with the data of those that are wanted; of one name, the last counts.

        Raises:
            ContainerFailure: at the place from which on nothing can be known.
            OSError: the file cannot be read.
        """
        table: dict[str, _Known] = {}
        archive_ns = places.facts(self.place).modified_ns
        with closing(Stream(self.place)) as stream:
            try:
                for info in _headers(stream):
                    member = _passed(stream, _member(info), wanted, archive_ns)
                    if member.kind is Kind.FILE:
                        table[member.name] = _Known(member.offset, member.size, member.modified_ns)
                    yield member
            except ContainerFailure:
                self._table = table  # what stands before a damage can be read
                raise
            self._table = table
            _drain(stream)

    def read(self, name: str, limit: int) -> bytes:
        """Return a member's content.

        Raises:
            KeyError: there is no such file in it.
            TooManyBytes: it has more than `limit`.
            ContainerFailure, OSError: it cannot be read.
        """
        known = self._find(name)
        if known.size > limit:
            raise TooManyBytes(f"more than {limit:,} bytes")
        data = self._file.read_at(known.offset, known.size)
        if len(data) < known.size:
            raise ContainerFailure(Reason.TRUNCATED, "it ends too early")
        return data

    def facts(self, name: str) -> Facts:
        """Return a member's size, and its time as in a walk.

        Raises:
            KeyError, ContainerFailure, OSError: as for `read`.
        """
        known = self._find(name)
        return Facts(known.size, known.modified_ns)

    def wake(self) -> None:
        """Keep the file open from now on."""
        self._file.wake()

    def rest(self) -> None:
        """Close the file."""
        self._file.rest()

    def _find(self, name: str) -> _Known:
        with self._lock:
            table = self._walked() if self._table is None else self._table
        known = table.get(name) or table.get(stored(name))  # as the catalog keeps it, or as a user types it
        if known is None:
            raise KeyError(f"{self.place} has no file {name}")
        return known

    def _walked(self) -> dict[str, _Known]:
        try:
            for _ in self.walk():
                pass
        except ContainerFailure:
            if self._table is None:  # it cannot even be opened
                raise
        assert self._table is not None
        return self._table


def is_header(block: bytes) -> bool:
    """Tell by its checksum whether a block of 512 bytes is a tar header."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


class _Headers:
    """What tarfile takes for the file: reads are bounded between two members, and the last block is kept."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._payload = b""
        self.seek, self.tell = stream.seek, stream.tell
        self.block, self.taken = b"", 0

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        self.taken += count
        if self.taken > EXTENDED_LIMIT:
            raise ContainerFailure(Reason.CORRUPT, f"an extended header of {count:,} bytes")
        data = self._stream.read(count)
        if len(data) < count and (self._payload or count != BLOCK):
            raise ContainerFailure(Reason.TRUNCATED, "it ends too early")
        if self._payload:
            if self._payload in b"xXg":
                _check_records(data)
            self._payload = b""
        elif count == BLOCK:
            self.block = data
            self._payload = data[156:157] if data[156:157] in (b"L", b"K", b"x", b"X", b"g") else b""
        return data

    def damage(self) -> ContainerFailure:
        """Return why nothing follows the last block."""
        if len(self.block) < BLOCK:
            return ContainerFailure(Reason.TRUNCATED, "it ends without the two empty blocks that end a tar archive")
        return ContainerFailure(Reason.CORRUPT, f"no valid header at byte {self.tell() - BLOCK:,}")


def _check_records(data: bytes) -> None:
    """Check pax records, `length key=value\\n` each: tarfile takes hours for some that are not."""
    at = 0
    while at < len(data) and data[at]:
        record = _PAX_RECORD.match(data, at)
        length = int(record[1]) if record else 0
        if record is None or at + length > len(data) or at + length <= record.end() or _MANY_DIGITS.search(data):
            raise ContainerFailure(Reason.CORRUPT, "a pax header that cannot be read")
        at += length


def _headers(stream: Stream) -> Iterator[tarfile.TarInfo]:
    """Yield the members, each when the stream stands where its data begin.

    Raises:
        ContainerFailure: there is no header where one has to be, or the file ends without an end of the archive.
    """
    headers = _Headers(stream)
    archive: tarfile.TarFile | None = None
    while True:
        headers.taken = 0
        try:
            if archive is None:
                archive = tarfile.TarFile(fileobj=cast(IO[bytes], headers), encoding="utf-8", errors="surrogateescape")
            info = archive.next()
        except (ContainerFailure, OSError):
            raise
        except Exception as error:  # tarfile lets through what int(), struct and deep recursion raise
            raise headers.damage() from error
        if info is None:  # for tarfile, an archive also ends with whatever is not a header
            if headers.block == bytes(BLOCK):
                return
            raise headers.damage()
        archive.members.clear()  # type: ignore[attr-defined]  # or all of them would be held
        if info.size < 0:
            raise ContainerFailure(Reason.CORRUPT, f"a size below 0 at byte {info.offset:,}")
        yield info


def _member(info: tarfile.TarInfo) -> TarMember:
    if info.isdir() or info.name.endswith("/"):
        kind = Kind.FOLDER
    elif info.issparse() or any(key.startswith("GNU.sparse.") for key in info.pax_headers):
        kind = Kind.SPARSE
    elif info.isreg():
        kind = Kind.FILE
    else:
        kind = Kind.LINK if info.issym() or info.islnk() else Kind.OTHER
    pax_time = info.pax_headers.get("mtime")
    modified_ns = int(info.mtime) * 10**9 if pax_time is None else _nanoseconds(pax_time)
    return TarMember(stored(info.name), kind, info.offset_data, info.size, max(0, min(modified_ns, LATEST_NS)))


def _nanoseconds(value: str) -> int:
    try:
        seconds = Decimal(value[:40])
        return int(seconds * 10**9) if abs(seconds) < 10**12 else 0
    except (InvalidOperation, ValueError, OverflowError):  # also for NaN, which compares with nothing
        return 0


def _passed(
    stream: Stream, member: TarMember, wanted: Callable[[TarMember], bool] | None, archive_ns: int
) -> TarMember:
    """Read over a file's data, and return the member with its data, if wanted, and the time as `TarMember` has it."""
    if member.kind is not Kind.FILE:
        return member
    data = stream.read_exactly(member.size) if wanted is not None and wanted(member) else None
    checksum = stream.pass_over(member.size) if data is None else zlib.crc32(data)
    modified_ns = member.modified_ns
    if stream.packing is not None:
        modified_ns = modified_ns // 10**9 * 10**9 + checksum % 10**9
    elif modified_ns < NO_TIME_NS:
        modified_ns = archive_ns
    return replace(member, modified_ns=modified_ns, data=data)


def _drain(stream: Stream) -> None:
    """Read on to the checksum at the end, behind which a compressed file says whether it was whole."""
    if stream.packing is not None:
        stream.seek(stream.tell() + TRAILING_LIMIT)
