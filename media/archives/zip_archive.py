"""A zip archive: its directory as a stream, and any member by name."""

from __future__ import annotations

import struct
import threading
import zlib
from array import array
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

import numpy as np

from shotdex.media.files.places import Facts, TooManyBytes
from shotdex.store.errors import ContainerFailure
from shotdex.store.types import Reason

from .member_table import MemberTable
from .reader import Reader, Readers
from .unpacking import unpack, zip_decompressor, zip_lzma
from .zip_directory import ENCRYPTED, Directory, ZipEntry, entries, find_directory, read_entry

LOCAL = struct.Struct("<4s5H3L2H")
LZMA_HEAD = 9


@dataclass(frozen=True, slots=True)
class _Index:
    """What is kept of a directory: where entries stand in it, and, in order, where their data begin."""

    directory: Directory
    table: MemberTable
    starts: np.ndarray


class ZipArchive:
    """One zip archive. Memory: 24 bytes a member once one is asked for by name. Safe for several threads."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._readers = Readers(place, unpack=False)
        self._index: _Index | None = None
        self._lock = threading.Lock()  # one table for all threads is enough

    def __len__(self) -> int:
        return 0 if self._index is None else len(self._index.table)

    def walk(self) -> Iterator[ZipEntry]:
        """Yield the entries of the directory, folders too; of one name, the last counts.

        Raises:
            ContainerFailure: at the place from which on nothing can be known.
            OSError: the file cannot be read.
        """
        with closing(Reader(self.place, unpack=False)) as reader:
            for _, entry in entries(reader, find_directory(reader)):
                yield entry

    def read(self, name: str, limit: int) -> bytes:
        """Return a member's content, whole and with the right checksum.

        Raises:
            KeyError: there is no such member.
            TooManyBytes: it has more than `limit`.
            Damaged, OSError: it is broken, encrypted, or packed in a way that cannot be read.
        """
        with self._readers.at(0) as reader:
            entry = self._entry(reader, name)
            if entry.size > limit:
                raise TooManyBytes(f"more than {limit:,} bytes")
            return self._content(reader, entry)

    def facts(self, name: str) -> Facts:
        """Return a member's size, and its time as `ZipEntry` has it.

        Raises:
            KeyError, Damaged, OSError: as for `read`.
        """
        with self._readers.at(0) as reader:
            entry = self._entry(reader, name)
            return Facts(entry.size, entry.modified_ns)

    def wake(self) -> None:
        """Keep files open from now on."""
        self._readers.wake()

    def rest(self) -> None:
        """Close what is open."""
        self._readers.rest()

    def _entry(self, reader: Reader, name: str) -> ZipEntry:
        index = self._indexed(reader)
        for position in index.table.find(name):
            entry = read_entry(reader, index.directory, position)
            if entry.name == name:
                return entry
        raise KeyError(f"{self.place} has no member {name}")

    def _indexed(self, reader: Reader) -> _Index:
        with self._lock:
            if self._index is None:
                self._index = _read_index(reader)
            return self._index

    def _content(self, reader: Reader, entry: ZipEntry) -> bytes:
        if entry.flags & ENCRYPTED:
            raise ContainerFailure(Reason.UNREADABLE, "it is encrypted")
        begin = _data_at(reader, entry)
        if begin + entry.packed > self._behind(entry):
            raise ContainerFailure(Reason.CORRUPT, "its data overlap with what follows: it may be a zip bomb")
        reader.move_to(begin)
        data = _unpacked(reader, entry)
        if zlib.crc32(data) != entry.checksum:
            raise ContainerFailure(Reason.CORRUPT, "its checksum is wrong")
        return data

    def _behind(self, entry: ZipEntry) -> int:
        """Return where the data of the next member begin, in the order of the file, or the directory does."""
        assert self._index is not None
        at = int(np.searchsorted(self._index.starts, np.uint64(entry.header_at), side="right"))
        return int(self._index.starts[at]) if at < len(self._index.starts) else self._index.directory.start


def _read_index(reader: Reader) -> _Index:
    directory, table, starts = find_directory(reader), MemberTable(), array("Q")
    with suppress(ContainerFailure):  # what stands before the damage can be read
        for position, entry in entries(reader, directory):
            starts.append(min(entry.header_at, directory.end))
            if entry.name is not None:
                table.add(entry.name, position)
    table.finish()
    return _Index(directory, table, np.unique(np.array(starts, dtype=np.uint64)))


def _data_at(reader: Reader, entry: ZipEntry) -> int:
    reader.move_to(entry.header_at)
    mark, _, _, _, _, _, _, _, _, name_length, extra_length = LOCAL.unpack(reader.read(LOCAL.size))
    if mark != b"PK\3\4":
        raise ContainerFailure(Reason.CORRUPT, "its data are not where the directory says")
    if reader.read(name_length) != entry.raw:
        raise ContainerFailure(Reason.CORRUPT, "its data have another name than the directory gives")
    return reader.position + int(extra_length)


def _unpacked(reader: Reader, entry: ZipEntry) -> bytes:
    if entry.method == 0:
        if entry.packed != entry.size:
            raise ContainerFailure(Reason.CORRUPT, "it is stored as it is, but with another size")
        return reader.read(entry.size)
    if entry.method == 14:
        if entry.packed < LZMA_HEAD:
            raise ContainerFailure(Reason.CORRUPT, "its LZMA header is missing")
        inner = zip_lzma(reader.read(LZMA_HEAD))
        return unpack(inner, reader.read, entry.packed - LZMA_HEAD, entry.size)
    return unpack(zip_decompressor(entry.method), reader.read, entry.packed, entry.size)
