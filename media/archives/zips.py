"""A zip archive, read in place by `zipfile`; here is what it leaves open: names, bounds, several threads."""

from __future__ import annotations

import io
import lzma
import struct
import threading
import zipfile
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import IO, cast

from shotdex.media.files.places import Facts, TooManyBytes
from shotdex.store.errors import ContainerFailure
from shotdex.store.types import Reason

from .streams import SharedFile
from .zip_names import ENCODINGS, decoded

ENCRYPTED = 0x1 | 0x40 | 0x2000
UTF8 = 0x800
FAT, UNIX = 0, 3

LOCAL_HEADER = 30
"""Bytes before a member's name; its data follow the name."""

STEP = 4096
"""Packed bytes that are unpacked at once by bzip2 and LZMA, for which zipfile sets no bound to what comes out."""

MEMORY_LIMIT = 256 * 1024 * 1024
"""Bytes that unpacking LZMA may take for its table; `xz -9` needs 65 MiB."""

METHODS = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 96: "JPEG", 97: "WavPack", 98: "PPMd"}


@dataclass(frozen=True, slots=True)
class ZipMember:
    """An entry of the directory. `modified_ns` changes where its content does: the entry's time, and its checksum below
    the two seconds that the time is exact to. `path` is its name with `/`, where a program on Windows wrote another."""

    name: str
    path: str
    size: int
    modified_ns: int
    is_folder: bool
    is_link: bool


class _File:
    """What zipfile takes for the file. Here it only reads; it holds a lock of its own meanwhile."""

    def __init__(self, shared: SharedFile) -> None:
        self._shared, self._at = shared, 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; all that are left without a size."""
        data = self._shared.read_at(self._at, size if size >= 0 else max(0, self._shared.size() - self._at))
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, and return the new position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        position = offset + (self._shared.size() if start is None else start)
        if position < 0:
            raise OSError("a position before the start")
        self._at = position
        return position

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seekable(self) -> bool:
        """Return that it can seek."""
        return True


class _Directory(zipfile.ZipFile):
    """What stands before a damage can be read; `damage` is what was met there."""

    def __init__(self, file: IO[bytes]) -> None:
        self.filelist = []
        self.damage: Exception | None = None
        try:
            super().__init__(file)
        except Exception as error:
            if not self.filelist:
                raise
            self.damage, self.fp = error, file

    def close(self) -> None:
        """Do nothing: whoever opened the file closes it."""


class ZipArchive:
    """One zip archive. Memory: about 0.7 kB a member. Safe for several threads.

    Raises:
        ContainerFailure: it has no directory that can be read.
        OSError: it cannot be read.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._file = SharedFile(place, unpack=False)
        self._lock = threading.Lock()
        self._directory = self._opened()
        entries = self._directory.filelist
        self._entries = {_name(entry): entry for entry in entries}
        self._raw: dict[bytes, zipfile.ZipInfo] | None = None
        ends = {min(max(entry.header_offset, 0), self._directory.start_dir) for entry in entries}
        self._starts = array("Q", sorted(ends | {self._directory.start_dir}))

    def _opened(self) -> _Directory:
        file = cast(IO[bytes], _File(self._file))
        try:
            self._file.size()  # zipfile takes an error of reading for a sign that there is no zip archive
            return _Directory(file)
        except Exception as error:
            is_cut = isinstance(error, zipfile.BadZipFile) and not zipfile.is_zipfile(file)
            self._file.rest()
            if is_cut:
                raise ContainerFailure(Reason.TRUNCATED, "the directory that ends a zip archive is missing") from error
            raise _failure(error) from error

    def __len__(self) -> int:
        return len(self._entries)

    def walk(self, encoding: str | None = None) -> Iterator[ZipMember]:
        """Yield the entries of the directory, folders too; of one name, the last counts.

        `encoding`, one of `ENCODINGS`, is that of names which do not say theirs; CP437 where None.

        Raises:
            ContainerFailure: at the place from which on nothing can be known.
        """
        for entry in self._directory.filelist:
            name = _name(entry, encoding)
            path = name.replace("\\", "/") if entry.create_system == FAT else name
            is_link = entry.create_system == UNIX and entry.external_attr >> 16 & 0o170000 == 0o120000
            yield ZipMember(name, path, entry.file_size, _modified_ns(entry), name.endswith("/"), is_link)
        if self._directory.damage is not None:
            raise _failure(self._directory.damage)

    def undeclared(self, limit: int) -> list[bytes]:
        """Return names that are neither ASCII nor UTF-8 and do not say what they are, as they stand in the file."""
        raw = (_raw(entry) for entry in self._directory.filelist if _is_undeclared(entry))
        return list(islice((name for name in raw if decoded(name, None) is None), limit))

    def read(self, name: str, limit: int) -> bytes:
        """Return a member's content, whole and with the right checksum.

        Raises:
            KeyError: there is no such member.
            TooManyBytes: it has more than `limit`.
            ContainerFailure, OSError: it is broken, encrypted, or packed in a way that cannot be read.
        """
        entry = self._entry(name)
        if entry.file_size > limit:
            raise TooManyBytes(f"more than {limit:,} bytes")
        if entry.flag_bits & ENCRYPTED:
            raise ContainerFailure(Reason.UNREADABLE, "it is encrypted")
        begin = entry.header_offset + LOCAL_HEADER + len(entry.orig_filename.encode(_encoding(entry)))
        # Behind it begins the next member, in the order of the file, or the directory.
        behind = self._starts[min(bisect_right(self._starts, entry.header_offset), len(self._starts) - 1)]
        if entry.header_offset < 0 or begin + entry.compress_size > behind:
            raise ContainerFailure(
                Reason.CORRUPT, "its data overlap with those of another member: it may be a zip bomb"
            )
        try:
            data = self._content(entry)
        except Exception as error:
            raise _failure(error, entry) from error
        if len(data) != entry.file_size:
            raise ContainerFailure(
                Reason.CORRUPT, f"it does not hold the {entry.file_size:,} bytes that the archive says"
            )
        return data

    def facts(self, name: str) -> Facts:
        """Return a member's size and time, as `walk` does.

        Raises:
            KeyError: there is no such member.
        """
        entry = self._entry(name)
        return Facts(entry.file_size, _modified_ns(entry))

    def wake(self) -> None:
        """Keep the file open from now on."""
        self._file.wake()

    def rest(self) -> None:
        """Close the file."""
        self._file.rest()

    def _entry(self, name: str) -> zipfile.ZipInfo:
        """Return the entry of a name, also of one that was read in another encoding, now or by an earlier shotdex."""
        if name in self._entries:
            return self._entries[name]
        if self._raw is None:
            self._raw = {_raw(entry): entry for entry in self._directory.filelist if _is_undeclared(entry)}
        for codec in ENCODINGS.values() if self._raw else ():
            with suppress(UnicodeEncodeError):
                if (entry := self._raw.get(name.encode(codec))) is not None:
                    return entry
        raise KeyError(f"{self.place} has no member {name}")

    def _content(self, entry: zipfile.ZipInfo) -> bytes:
        if entry.compress_type == zipfile.ZIP_LZMA:
            self._check_lzma(entry)
        with self._lock:  # zipfile counts open members, and not in one step
            member = self._directory.open(entry)
        try:
            if entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                return member.read(entry.file_size)
            return b"".join(iter(partial(member.read, STEP), b""))
        finally:
            with self._lock:
                member.close()

    def _check_lzma(self, entry: zipfile.ZipInfo) -> None:
        """Refuse what asks for gigabytes before anything is unpacked (APPNOTE.TXT 5.8.8)."""
        lengths = struct.unpack("<2H", self._file.read_at(entry.header_offset + LOCAL_HEADER - 4, 4))
        head = self._file.read_at(entry.header_offset + LOCAL_HEADER + sum(lengths), 9)
        if int.from_bytes(head[5:], "little") > MEMORY_LIMIT:
            raise ContainerFailure(Reason.CORRUPT, f"its LZMA header asks for more than {MEMORY_LIMIT:,} bytes")


def _failure(error: Exception, entry: zipfile.ZipInfo | None = None) -> Exception:
    """Return what an error of zipfile means; one of reading the file is passed on."""
    if isinstance(error, NotImplementedError) and entry is not None:
        method = METHODS.get(entry.compress_type, "unknown")
        return ContainerFailure(Reason.UNSUPPORTED, f"packed by method {entry.compress_type} ({method})")
    if isinstance(error, NotImplementedError):
        return ContainerFailure(Reason.UNSUPPORTED, str(error))
    bzip2_is_broken = entry is not None and entry.compress_type == zipfile.ZIP_BZIP2 and error.args[1:] == ()
    if isinstance(error, OSError) and not bzip2_is_broken:
        return error
    if isinstance(error, UnicodeDecodeError):
        return ContainerFailure(Reason.BAD_NAME, "a name in its directory is marked as UTF-8 but is not valid UTF-8")
    if isinstance(error, (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, struct.error, OSError)):
        return ContainerFailure(Reason.CORRUPT, str(error) or type(error).__name__)
    return error


def _encoding(entry: zipfile.ZipInfo) -> str:
    return "utf-8" if entry.flag_bits & UTF8 else "cp437"


def _name(entry: zipfile.ZipInfo, encoding: str | None = None) -> str:
    """Return a name: from the Unicode field of Info-ZIP where there is one (APPNOTE.TXT 4.6.9); as UTF-8 where it says
    so, or where it is that and says nothing; else in an encoding, CP437 where None."""
    if entry.orig_filename.isascii() and not entry.extra:
        return entry.orig_filename
    field = _unicode_field(entry)
    if field is not None:
        return field.decode("utf-8", "replace")
    found = None if entry.flag_bits & UTF8 else decoded(_raw(entry), encoding)
    return entry.orig_filename if found is None else found


def _raw(entry: zipfile.ZipInfo) -> bytes:
    return entry.orig_filename.encode(_encoding(entry))


def _unicode_field(entry: zipfile.ZipInfo) -> bytes | None:
    at = 0
    while at + 4 <= len(entry.extra):
        kind, length = struct.unpack_from("<2H", entry.extra, at)
        field = entry.extra[at + 4 : at + 4 + length]
        if kind == 0x7075:
            of_name = len(field) > 5 and int.from_bytes(field[1:5], "little") == zlib.crc32(_raw(entry))
            return field[5:] if of_name else None
        at += 4 + length
    return None


def _is_undeclared(entry: zipfile.ZipInfo) -> bool:
    """Tell whether a name is not ASCII and does not say how it is encoded."""
    return not (entry.flag_bits & UTF8 or entry.orig_filename.isascii() or _unicode_field(entry) is not None)


def _modified_ns(entry: zipfile.ZipInfo) -> int:
    try:
        seconds = int(datetime(*entry.date_time, tzinfo=UTC).timestamp())
    except ValueError:  # month 0 and the like, which some programs write
        seconds = 0
    return seconds * 10**9 + entry.CRC % (2 * 10**9)
