"""A file that several threads read by position, and that may be closed meanwhile: it is opened again when needed."""

from __future__ import annotations

import io
import threading
from typing import BinaryIO

from shotdex.media.files import places


class RestingFile:
    """A file at a path or URL, with what `zipfile` asks of a file. `read_at` may be called from several threads.

    Its methods that read raise an OSError where it cannot be opened or read.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._at = 0
        self._keep = True

    def read_at(self, position: int, count: int) -> bytes:
        """Return the bytes at a position, fewer than `count` only at the end; all that follow for a negative one."""
        with self._lock:
            file = self._open()
            try:
                file.seek(position)
                return file.read(count)
            finally:
                self._leave()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; all that are left without a size."""
        data = self.read_at(self._at, size)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, and return the new position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        if start is None:
            start = self.size()
        if start + offset < 0:
            raise ValueError("a position before the start")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seekable(self) -> bool:
        """Return that it can seek."""
        return True

    def size(self) -> int:
        """Return the size in bytes."""
        with self._lock:
            try:
                return self._open().seek(0, io.SEEK_END)
            finally:
                self._leave()

    def wake(self) -> None:
        """Keep the file open from now on."""
        self._keep = True

    def rest(self) -> None:
        """Close the file; from now on it is closed after each read."""
        with self._lock:
            self._keep = False
            self._leave()

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._file = places.open_binary(self._place)
        return self._file

    def _leave(self) -> None:
        if self._file is not None and not self._keep:
            self._file.close()
            self._file = None
