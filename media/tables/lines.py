"""The lines of a text file in whatever encoding people save tables, each bounded."""

from __future__ import annotations

import io
import re
from typing import BinaryIO, cast

LINE_LIMIT = 64 * 1024 * 1024
"""Characters above which a line is skipped: room for an image of 48 MB written as base64."""

_BUFFER = 1024 * 1024
_CHUNK = 64 * 1024

_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_ESCAPED = re.compile("[\udc80-\udcff]")


class Lines:
    """The lines of a file, with their ends, as text. Closing it closes the file.

    A byte-order mark decides the encoding: UTF-8 or UTF-16. Without a mark the file is UTF-8, and a line that is not
    valid UTF-8 is read as Windows-1252, which spreadsheets write in western languages (its five undefined bytes as
    Latin-1, with which it otherwise agrees in letters). So one line never decides how another is read, and a file that
    was put together from several reads right.
    """

    def __init__(self, file: BinaryIO, newline: str) -> None:
        """Start at the first line. `newline` is as for `open`: "" ends lines at LF, CR LF and CR, a LF only there."""
        file.seek(0)
        start = file.read(3)
        file.seek(0)
        encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")
        errors = "surrogateescape" if encoding == "utf-8" else "replace"
        self._text = io.TextIOWrapper(file, encoding, errors, newline)
        self._text._CHUNK_SIZE = _CHUNK  # type: ignore[attr-defined]  # 8 KiB by default: a third slower
        self.number = 1
        """The number of the line that comes next, from 1."""
        self.characters = 0
        """Characters read so far; whoever notes places may set it back."""
        self.not_utf8 = 0
        """The number of the first line that was read as Windows-1252, or 0."""

    def read(self) -> str | None:
        """Return the next line, or an empty string at the end; None where it is too long: it is read past, not held."""
        number, line = self.number, self._text.readline(LINE_LIMIT)
        self.number += 1
        self.characters += len(line)
        if len(line) >= LINE_LIMIT and line[-1] not in "\r\n":
            while line and line[-1] not in "\r\n":
                line = self._text.readline(_BUFFER)
                self.characters += len(line)
            return None
        if number == 1:
            line = line.removeprefix("\ufeff")
        if not line.isascii() and _ESCAPED.search(line):
            self.not_utf8 = self.not_utf8 or number
            line = _western(line.encode("utf-8", "surrogateescape"))
        return line

    def start(self, characters: int) -> str:
        """Return the first characters of the file, and go back to the first line."""
        text = self._text.read(characters).removeprefix("\ufeff")
        self.go_to()
        return text

    def close(self) -> None:
        """Close the file."""
        self._text.close()

    def place(self) -> tuple[int, int]:
        """Return what `go_to` takes to come back to the next line."""
        return self._text.tell(), self.number

    def go_to(self, place: tuple[int, int] = (0, 1)) -> None:
        """Go on from the first line, or from where `place` was called, and count characters from there."""
        self._text.seek(place[0])
        self.number, self.characters = place[1], 0


def _western(line: bytes) -> str:
    try:
        return line.decode("cp1252")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def buffered(file: BinaryIO) -> BinaryIO:
    """Return the file with a `read1`, which the files of fsspec lack; closing it closes both."""
    return io.BufferedReader(cast(io.RawIOBase, file), _BUFFER)
