"""The lines of a file, each with where it begins, so that a reader can come back to it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

LINE_LIMIT = 64 * 1024 * 1024
"""Bytes above which a line is skipped: room for an image of 48 MB written as base64."""

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its end: where it begins in the file, and its number from 1. `data` is None where it is too long."""

    offset: int
    number: int
    data: bytes | None


class Lines:
    """A walk over the lines of a file, which can be sent back to a line that it gave."""

    def __init__(self, file: BinaryIO, offset: int = 0, number: int = 1) -> None:
        self._file = file
        self.number = number
        self.offset = offset
        file.seek(offset)

    def __iter__(self) -> Iterator[Line]:
        while (line := self.read()) is not None:
            yield line

    def read(self) -> Line | None:
        """Return the next line, or None at the end. A line beyond the limit is read past and never held."""
        offset, number = self.offset, self.number
        data = self._file.readline(LINE_LIMIT + 1)
        if not data:
            return None
        self.offset += len(data)
        self.number += 1
        if len(data) <= LINE_LIMIT:
            return Line(offset, number, data)
        while not data.endswith(b"\n") and (data := self._file.readline(_CHUNK)):
            self.offset += len(data)
        return Line(offset, number, None)

    def back_to(self, offset: int, number: int) -> None:
        """Go on from a line given before."""
        self._file.seek(offset)
        self.offset, self.number = offset, number


def buffered(file: BinaryIO) -> BinaryIO:
    """Return the file with a `readline` that takes a limit, which the files of fsspec lack; closing it closes both."""
    return io.BufferedReader(cast(io.RawIOBase, file), _CHUNK)
