"""The headers of a tar archive: old, ustar, GNU and pax, bounded where a header may claim any size.

Formats: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format".
Not followed: links, sparse files (they are named as such), and what a pax header says for all members after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum

from shotdex.store.errors import ContainerFailure
from shotdex.store.types import Reason

from .reader import Reader

BLOCK = 512

EXTENDED_LIMIT = 1024 * 1024
"""Bytes above which an extended header (a long name, pax records) is refused; a header may claim 8 GiB."""

LATEST_NS = 2**63 - 1


class Kind(Enum):
    """What a member is. Only files hold an image."""

    FILE = "file"
    LINK = "link"
    SPARSE = "sparse file"
    FOLDER = "folder"
    OTHER = "device or pipe"


@dataclass(frozen=True, slots=True)
class TarMember:
    """One member. `name` is None where it is not UTF-8; `shown` then has it with its odd bytes escaped.

    `position` is that of its first header, `size` that of its stored data, in bytes; `modified_ns` is 0 where the
    header has no time.
    """

    name: str | None
    shown: str
    kind: Kind
    position: int
    size: int
    modified_ns: int


@dataclass(slots=True)
class _Extended:
    """What extended headers say about the member behind them."""

    name: bytes | None = None
    size: int | None = None
    modified_ns: int | None = None
    sparse: bool = False


def next_member(reader: Reader) -> TarMember | None:
    """Read the headers of the next member and stop where its data begin; None at the end of the archive.

    Raises:
        ContainerFailure: there is no header here, or the file ends without an end of the archive.
    """
    position, extended = reader.position, _Extended()
    while True:
        block = reader.read_some(BLOCK)
        if len(block) < BLOCK:
            raise ContainerFailure(Reason.TRUNCATED, "it ends without the two empty blocks that end a tar archive")
        if not any(block):
            return None
        if not is_header(block):
            raise ContainerFailure(Reason.CORRUPT, f"no valid header at byte {reader.position - BLOCK:,}")
        kind = block[156:157]
        if kind in b"LKxXg":
            _extend(extended, kind, _payload(reader, _number(block[124:136])))
            continue
        return _member(reader, block, position, extended)


def is_header(block: bytes) -> bool:
    """Tell by its checksum whether a block of 512 bytes is a tar header."""
    if len(block) < BLOCK or not any(block):
        return False
    wanted = _octal(block[148:156])
    blank = block[:148] + b" " * 8 + block[156:]
    # Some very old programs summed signed bytes.
    return wanted == sum(blank) or wanted == sum(blank) - 256 * sum(byte > 127 for byte in blank)


def padding(size: int) -> int:
    """Return how many bytes fill up the last block of data."""
    return -size % BLOCK


def _member(reader: Reader, block: bytes, position: int, extended: _Extended) -> TarMember:
    code = block[156:157]
    raw = extended.name if extended.name is not None else _short_name(block)
    if code == b"5" or raw.endswith(b"/"):
        kind = Kind.FOLDER
    elif code in (b"0", b"\0", b"7"):
        kind = Kind.FILE
    elif code in b"12":
        kind = Kind.LINK
    else:
        kind = Kind.SPARSE if code == b"S" else Kind.OTHER
    if extended.sparse and kind is Kind.FILE:
        kind = Kind.SPARSE
    # Links, devices, folders and pipes have no data, whatever their size says: a link's is that of its target.
    size = 0 if code in b"123456" else (_number(block[124:136]) if extended.size is None else extended.size)
    if size < 0:
        raise ContainerFailure(Reason.CORRUPT, f"a size below 0 at byte {position:,}")
    if code == b"S":
        more = block[482]
        while more:
            more = reader.read(BLOCK)[504]
    seconds = _number(block[136:148]) if extended.modified_ns is None else 0
    modified_ns = seconds * 10**9 if extended.modified_ns is None else extended.modified_ns
    try:
        name: str | None = raw.decode("utf-8")
    except UnicodeDecodeError:
        name = None
    shown = raw.decode("utf-8", "backslashreplace")
    return TarMember(name, shown, kind, position, size, max(0, min(modified_ns, LATEST_NS)))


def _short_name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _payload(reader: Reader, size: int) -> bytes:
    if not 0 <= size <= EXTENDED_LIMIT:
        raise ContainerFailure(Reason.CORRUPT, f"an extended header of {size:,} bytes")
    data = reader.read(size)
    reader.read(padding(size))
    return data


def _extend(extended: _Extended, kind: bytes, data: bytes) -> None:
    if kind == b"L":
        extended.name = data.partition(b"\0")[0]
    elif kind in b"xX":
        for key, value in _records(data):
            _apply(extended, key, value)


def _records(data: bytes) -> list[tuple[bytes, bytes]]:
    """Split pax records, `length key=value\\n` each, where the length counts itself."""
    found, at = [], 0
    while at < len(data) and data[at]:
        digits, space, _ = data[at : at + 20].partition(b" ")
        length = int(digits) if digits.isdigit() and space else 0
        record = data[at + len(digits) + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n") or at + length > len(data):
            raise ContainerFailure(Reason.CORRUPT, "a pax header that cannot be read")
        found.append((key, value[:-1]))
        at += length
    return found


def _apply(extended: _Extended, key: bytes, value: bytes) -> None:
    if key == b"path":
        extended.name = value
    elif key == b"size":
        if not value.isdigit() or len(value) > 19:
            raise ContainerFailure(Reason.CORRUPT, "a pax header whose size is no number")
        extended.size = int(value)
    elif key == b"mtime":
        extended.modified_ns = _nanoseconds(value)
    elif key.startswith(b"GNU.sparse."):
        extended.sparse = True
        if key == b"GNU.sparse.name":
            extended.name = value


def _nanoseconds(value: bytes) -> int:
    try:
        seconds = Decimal(value[:40].decode("ascii"))
        return int(seconds * 10**9) if abs(seconds) < 10**12 else 0
    except (InvalidOperation, ValueError, OverflowError):  # also for NaN, which compares with nothing
        return 0


def _number(field: bytes) -> int:
    """Read a number: octal digits, or, after a byte of 128 or 255, binary (GNU)."""
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big") - (256 ** (len(field) - 1) if field[0] == 0xFF else 0)
    found = _octal(field)
    if found is None:
        raise ContainerFailure(Reason.CORRUPT, "a header with a number that is none")
    return found


def _octal(field: bytes) -> int | None:
    digits = field.partition(b"\0")[0].strip() or b"0"
    return int(digits, 8) if digits.isdigit() and not digits.strip(b"01234567") else None
