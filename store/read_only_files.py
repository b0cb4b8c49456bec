"""Files of a store that a reader's DuckDB may open for reading, and no others: a file system of their own.

Such a DuckDB has none of the machine's (see `opening`).
"""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

SCHEME = "shotdex-predictions"
"""Under which a reader's DuckDB finds the files: `shotdex-predictions:///RUN_ID/folder/file`."""


class _File(io.RawIOBase):
    """A file as DuckDB uses one: its threads share it, each seeks and then reads, and nobody closes it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._own, self._opened = path, threading.local(), [path.open("rb")]
        self._own.file = self._opened[0]

    def _of_thread(self) -> io.BufferedReader:
        if not hasattr(self._own, "file"):
            self._own.file = self._path.open("rb")
            self._opened.append(self._own.file)
        found: io.BufferedReader = self._own.file
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._of_thread().seek(offset, whence)

    def tell(self) -> int:
        return self._of_thread().tell()

    def read(self, size: int = -1) -> bytes:
        return self._of_thread().read(size)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        for file in self._opened:
            file.close()
        super().close()


@cache
def file_system(root: Path) -> Any:
    """Return the file system with the files of one store: connections to one catalog share its DuckDB."""
    from fsspec import AbstractFileSystem

    class ReadOnly(AbstractFileSystem):  # type: ignore[misc]
        protocol = SCHEME
        cachable = False

        def __init__(self) -> None:
            super().__init__()
            self.readable: dict[str, Path] = {}

        def _path(self, path: str) -> Path:
            try:
                return self.readable[self._strip_protocol(path)]
            except KeyError:
                raise FileNotFoundError(f"not among the predictions of this store: {path}") from None

        def _open(self, path: str, mode: str = "rb", **_: Any) -> _File:
            if mode != "rb":
                raise PermissionError("the predictions of a run are only read")
            return _File(self._path(path))

        def info(self, path: str, **_: Any) -> dict[str, Any]:
            return {"name": path, "size": self._path(path).stat().st_size, "type": "file"}

        def exists(self, path: str, **_: Any) -> bool:
            return self._strip_protocol(path) in self.readable

        def modified(self, path: str) -> datetime:
            return datetime.fromtimestamp(self._path(path).stat().st_mtime, UTC)

        def glob(self, path: str, **_: Any) -> list[str]:
            return [self._strip_protocol(path)] if self.exists(path) else []

    return ReadOnly()
