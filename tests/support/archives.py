"""Tar and zip archives made on the spot, hostile ones included."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

MTIME = 1_700_000_000
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def tar_bytes(members: Iterable[tuple[str | tarfile.TarInfo, bytes]], kind: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for member, data in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.mtime = info.mtime or MTIME
            if data:
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def save_tar(path: Path, members: Iterable[tuple[str | tarfile.TarInfo, bytes]], **options: int) -> Path:
    packing = next(ending for ending in (".gz", ".bz2", ".xz", "") if path.name.endswith(ending))
    path.write_bytes(PACKINGS[packing](tar_bytes(members, **options)))
    return path


def header(
    name: bytes, size: int | bytes, kind: bytes = b"0", mtime: int | bytes = MTIME, prefix: bytes = b""
) -> bytes:
    """A ustar header that may claim anything."""
    fields = [number if isinstance(number, bytes) else b"%011o\0" % number for number in (size, mtime)]
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + fields[0] + fields[1] + b" " * 8 + kind
    block = (block + bytes(100) + b"ustar\x0000" + bytes(80)).ljust(345, b"\0") + prefix.ljust(155, b"\0") + bytes(12)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    return header(b"pax", len(records), kind) + padded(records)


def record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


END = bytes(1024)


def zip_bytes(members: Iterable[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
        warnings.simplefilter("ignore")  # of a name twice
        for member, data in members:
            info = member if isinstance(member, zipfile.ZipInfo) else zipfile.ZipInfo(member, (2023, 4, 5, 6, 7, 8))
            info.compress_type = method
            archive.writestr(info, data)
    return out.getvalue()


def entry(name: bytes, data: bytes, offset: int, flags: int = 0, method: int = 0, **claims: int) -> tuple[bytes, bytes]:
    """A member's own header with its data, and its entry in the directory, which may claim anything."""
    claimed = {"crc": zlib.crc32(data), "packed": len(data), "size": len(data), "extra": 0} | claims
    numbers = claimed["crc"], claimed["packed"], claimed["size"]
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 33, *numbers, len(name), 0) + name + data
    central = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 20, 20, flags, method, 0, 33, *numbers, len(name), 0, 0, 0, 0, 0, offset
    )
    return local, central + name


def zip_end(entries: int, size: int, offset: int, comment: bytes = b"") -> bytes:
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, entries, entries, size, offset, len(comment)) + comment


def raw_zip(members: Iterable[tuple[bytes, bytes, int]]) -> bytes:
    """A zip of stored members: name in bytes, data, flags."""
    body, directory = b"", b""
    count = 0
    for name, data, flags in members:
        local, central = entry(name, data, len(body), flags)
        body, directory, count = body + local, directory + central, count + 1
    return body + directory + zip_end(count, len(directory), len(body))


def overlapping_zip(names: Iterable[str], kernel: bytes) -> bytes:
    """Members that share one kernel of packed data, each quoting the headers of those behind it (David Fifield, 2019).

    Every program that does not look for overlaps unpacks each of them to the whole kernel and more.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed, content = packer.compress(kernel) + packer.flush(), kernel
    made: list[tuple[bytes, bytes, int]] = []
    for name in reversed(list(names)):
        if made:  # a stored block of deflate that quotes the next member's header
            quoted = made[-1][0]
            packed = struct.pack("<BHH", 0, len(quoted), len(quoted) ^ 0xFFFF) + quoted + packed
            content = quoted + content
        raw, numbers = name.encode(), (zlib.crc32(content), len(packed), len(content))
        local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, *numbers, len(raw), 0) + raw
        central = struct.pack("<4s6H3L5HL", b"PK\1\2", 20, 20, 0, 8, 0, 33, *numbers, len(raw), 0, 0, 0, 0, 0)
        made.append((local, central, len(packed)))
    body = made[-1][0] + packed
    directory = b"".join(
        central + struct.pack("<L", len(body) - len(local) - length) + local[30:]
        for local, central, length in reversed(made)
    )
    return body + directory + zip_end(len(made), len(directory), len(body))


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    """Check how many bytes Python held at most."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()
