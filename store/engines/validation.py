"""Whether a FAISS file is, to the last bit, the one that was written: the catalog records its name, size and SHA-256.

Every state of an engine is a file of its own, named by a random generation. So a file of another catalog, of an older
or newer copy of this one, or one that was damaged is not read, and needs no comparison with the catalog's vectors.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from .base import EngineDamaged
from .faiss_file import FaissFile, Identity, is_inside, read_pieces

WORTH_REMEMBERING = 1 << 23
"""Bytes of a file from which it is remembered for other processes that it was validated: less is hashed in 6 ms."""

NAME = re.compile(r"encoder-[0-9]+-[0-9a-f]{32}\.faiss")
"""What the name of a FAISS file looks like: the encoder's number and a random generation."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What the catalog says of a FAISS file: its name, its size and SHA-256, and how many vectors it has."""

    file: str
    sha256: str
    bytes: int
    vectors: int

    def as_text(self) -> str:
        """Return the record as it stands in the catalog."""
        return json.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: str) -> FileRecord:
        """Read a record.

        Raises:
            EngineDamaged: it is not one.
        """
        try:
            said = json.loads(text)
            record = cls(str(said["file"]), str(said["sha256"]), int(said["bytes"]), int(said["vectors"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise EngineDamaged("its record in the catalog cannot be read") from error
        if not NAME.fullmatch(record.file):
            raise EngineDamaged("its record in the catalog names another kind of file")
        return record


_validated: dict[Path, tuple[Identity, str]] = {}
_lock = threading.Lock()


def validate(file: FaissFile, record: FileRecord) -> None:
    """Make sure that a file is, to the last bit, the one that the catalog records.

    It is hashed once, and again when size, times or inode are others: 1.5 s for two gigabytes. That it was is known to
    this process, and to others by a small file next to it.

    Raises:
        EngineDamaged: it is another one.
    """
    identity = file.handle.identity()
    known = (identity, record.sha256)
    if _validated.get(file.path) == known:
        return
    if record.bytes >= WORTH_REMEMBERING and _read_validated(file.path) == known:
        return
    if file.size != record.bytes or len(file.ids) != record.vectors:
        raise EngineDamaged(f"it has {file.size:,} bytes, and the catalog records {record.bytes:,}")
    rehash(file, record)
    if file.handle.identity() != identity:
        raise EngineDamaged("it is being changed")
    remember_validated(file, record)


def rehash(file: FaissFile, record: FileRecord) -> None:
    """Read all of a file, and make sure that it is the one that the catalog records.

    Raises:
        EngineDamaged: it is another one.
    """
    hashed = hashlib.sha256()
    for piece in read_pieces(file.path, 0, file.size):
        hashed.update(piece)
    if hashed.hexdigest() != record.sha256:
        raise EngineDamaged("it is not as it was written")


def remember_validated(file: FaissFile, record: FileRecord) -> None:
    """Remember that a file is the recorded one; of a small one, or on a disk that is read-only, in this process."""
    known = (file.handle.identity(), record.sha256)
    with _lock:
        if len(_validated) > 1000:
            _validated.clear()
        _validated[file.path] = known
    if record.bytes < WORTH_REMEMBERING:
        return
    note = note_file(file.path)
    aside = note.with_suffix(f".{os.getpid()}.part")
    with suppress(OSError):
        aside.write_text(json.dumps(known), encoding="utf-8")
        aside.replace(note)
    with suppress(OSError):
        aside.unlink(missing_ok=True)


def note_file(path: Path) -> Path:
    """Return where it is remembered that a FAISS file was validated."""
    return path.with_suffix(".validated")


def _read_validated(path: Path) -> tuple[Identity, str] | None:
    note = note_file(path)
    if not is_inside(path.parent, note):
        return None
    try:
        (size, modified, changed, inode), sha256 = json.loads(note.read_bytes()[:1000])
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return (size, modified, changed, inode), sha256
