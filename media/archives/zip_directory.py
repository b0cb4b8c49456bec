"""The directory at the end of a zip archive, read entry by entry: a million entries are never in memory at once.

Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3 to 4.5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from shotdex.store.errors import ContainerFailure
from shotdex.store.types import Reason

from .reader import Reader

END = struct.Struct("<4s4H2LH")
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
ENTRY = struct.Struct("<4s2B5H3L5H2L")

ENCRYPTED = 0x1 | 0x40 | 0x2000
UTF8 = 0x800
FAT, UNIX, MACOS = 0, 3, 19


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the directory stands in the file. `shift` is the number of bytes before the archive's own first one."""

    start: int
    end: int
    shift: int
    entries: int


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One entry. `name` is None where it is not UTF-8 though it says so; `shown` then has its odd bytes escaped.

    `header_at` is where its data's own header stands in the file, `next_at` where the next entry of the directory does.
    `packed` and `size` are in bytes. `modified_ns` changes where its content does: its time, with its checksum below
    the two seconds that the time is exact to.
    """

    name: str | None
    shown: str
    raw: bytes
    flags: int
    method: int
    checksum: int
    packed: int
    size: int
    header_at: int
    next_at: int
    modified_ns: int
    system: int
    mode: int

    @property
    def is_folder(self) -> bool:
        """Whether it stands for a folder."""
        return self.shown.endswith("/")

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link, whose content is the path that it leads to."""
        return self.system == UNIX and self.mode & 0o170000 == 0o120000


def find_directory(reader: Reader) -> Directory:
    """Find the directory of a zip archive, whatever stands before the archive or, as a comment, behind it.

    Raises:
        ContainerFailure: there is none, or not where it is said to be.
    """
    assert reader.size is not None  # it was opened as it is
    length = min(reader.size, END.size + 0xFFFF)
    tail_at = reader.size - length
    reader.move_to(tail_at)
    tail = reader.read(length)
    at = tail.rfind(b"PK\5\6")
    while at >= 0 and not _fits(tail, at):
        at = tail.rfind(b"PK\5\6", 0, at)
    if at < 0:
        raise ContainerFailure(Reason.TRUNCATED, "the directory that ends a zip archive is missing")
    _, disk, first_disk, _, entries, size, offset, _ = END.unpack_from(tail, at)
    end = tail_at + at
    wide = _wide(reader, end)
    if wide is not None:
        end, entries, size, offset = wide
    elif (disk, first_disk) != (0, 0):
        raise ContainerFailure(Reason.UNSUPPORTED, "it is one of several parts")
    start = end - size
    if start < 0 or start < offset:
        raise ContainerFailure(Reason.CORRUPT, "its directory is not where it is said to be")
    return Directory(start, end, start - offset, entries)


def entries(reader: Reader, directory: Directory) -> Iterator[tuple[int, ZipEntry]]:
    """Yield the entries, each with its position in the file.

    Raises:
        ContainerFailure: at an entry from which on nothing can be known, or where their number is not as stated.
    """
    position, count = directory.start, 0
    while position < directory.end:
        entry = read_entry(reader, directory, position)
        yield position, entry
        position, count = entry.next_at, count + 1
    if count % 0x10000 != directory.entries % 0x10000:  # some programs write more than fit, and drop the upper digits
        raise ContainerFailure(
            Reason.CORRUPT, f"its directory has {count:,} entries where it says {directory.entries:,}"
        )


def read_entry(reader: Reader, directory: Directory, position: int) -> ZipEntry:
    """Return the entry that stands at a position.

    Raises:
        ContainerFailure: there is none.
    """
    reader.move_to(position)
    mark, _, system, _, *numbers, attributes, offset = ENTRY.unpack(reader.read(ENTRY.size))
    flags, method, clock, date, checksum, packed, size, name_length, extra_length, comment_length, _, _ = numbers
    if mark != b"PK\1\2":
        raise ContainerFailure(Reason.CORRUPT, f"its directory is broken at byte {position:,}")
    raw = reader.read(name_length)
    extra = _extra(reader.read(extra_length))
    size, packed, offset = _widened(extra.get(1, b""), size, packed, offset)
    name = _name(raw, flags, extra.get(0x7075, b""), system)
    return ZipEntry(
        name=name,
        shown=raw.decode("utf-8", "backslashreplace") if name is None else name,
        raw=raw,
        flags=flags,
        method=method,
        checksum=checksum,
        packed=packed,
        size=size,
        header_at=offset + directory.shift,
        next_at=position + ENTRY.size + name_length + extra_length + comment_length,
        modified_ns=_seconds(date, clock) * 10**9 + checksum % (2 * 10**9),
        system=system,
        mode=attributes >> 16,
    )


def _fits(tail: bytes, at: int) -> bool:
    return at + END.size <= len(tail) and at + END.size + int.from_bytes(tail[at + 20 : at + 22], "little") <= len(tail)


def _wide(reader: Reader, end: int) -> tuple[int, int, int, int] | None:
    """Return the 64-bit record's own position, and number, size and offset of the directory, or None without one."""
    if end < LOCATOR_64.size + END_64.size:
        return None
    reader.move_to(end - LOCATOR_64.size)
    mark, _, offset, disks = LOCATOR_64.unpack(reader.read(LOCATOR_64.size))
    if mark != b"PK\6\7":
        return None
    if disks > 1:
        raise ContainerFailure(Reason.UNSUPPORTED, "it is one of several parts")
    for position in (end - LOCATOR_64.size - END_64.size, offset):
        if position + END_64.size > end:
            continue
        reader.move_to(position)
        record = END_64.unpack(reader.read(END_64.size))
        if record[0] == b"PK\6\6":
            return position, record[7], record[8], record[9]
    raise ContainerFailure(Reason.CORRUPT, "its 64-bit directory is not where it is said to be")


def _extra(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("<2H", data, at)
        found.setdefault(kind, data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _widened(wide: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Put 64-bit numbers in the place of those that do not fit into 32 bits (APPNOTE.TXT 4.5.3)."""
    found, at = [], 0
    for value in (size, packed, offset):
        if value != 0xFFFFFFFF:
            found.append(value)
            continue
        if len(wide) < at + 8:
            raise ContainerFailure(Reason.CORRUPT, "a 64-bit size is missing in its directory")
        found.append(int.from_bytes(wide[at : at + 8], "little"))
        at += 8
    return found[0], found[1], found[2]


def _name(raw: bytes, flags: int, unicode_path: bytes, system: int) -> str | None:
    """Decode a name: Info-ZIP's Unicode field (APPNOTE.TXT 4.6.9), else UTF-8 where it says so, else code page 437.

    macOS and Info-ZIP on Unix often write UTF-8 and do not say so.
    """
    fits = len(unicode_path) > 5 and unicode_path[0] == 1
    if fits and int.from_bytes(unicode_path[1:5], "little") == zlib.crc32(raw):
        raw, flags = unicode_path[5:], flags | UTF8
    try:
        return raw.decode("utf-8" if flags & UTF8 or system in (UNIX, MACOS) else "cp437")
    except UnicodeDecodeError:
        return None if flags & UTF8 else raw.decode("cp437")


def _seconds(date: int, clock: int) -> int:
    parts = (date >> 9) + 1980, date >> 5 & 15, date & 31, clock >> 11, clock >> 5 & 63, (clock & 31) * 2
    try:
        return int(datetime(*parts, tzinfo=UTC).timestamp())
    except ValueError:  # month 0 and the like, which some programs write
        return 0
