"""JSONL: one JSON object a line, row by row, with where each row begins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from shotdex.store.errors import SourceError

from .csv_records import Record
from .lines import LINE_LIMIT, Lines

_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class JsonTable:
    """An open JSONL file."""

    file: BinaryIO

    def records(self, offset: int | None = None, line: int = 0) -> Iterator[Record]:
        """Yield the lines from the first one on, or from one at a known place. Empty lines are left out."""
        for found in Lines(self.file) if offset is None else Lines(self.file, offset, line):
            if found.data is None:
                yield Record(found.offset, found.number, None, f"longer than {LINE_LIMIT:,} bytes")
            elif found.data.strip():
                yield Record(found.offset, found.number, found.data)


def open_jsonl(file: BinaryIO) -> JsonTable:
    """Return a JSONL file as a table.

    Raises:
        SourceError: it is one JSON array, as a .json file is.
    """
    file.seek(0)
    if file.read(1024).removeprefix(_MARK).lstrip().startswith(b"["):
        raise SourceError("it is one JSON list, not one JSON object a line", "convert it: jq -c '.[]' IN > OUT.jsonl")
    return JsonTable(file)


def json_object(line: bytes) -> Mapping[str, Any]:
    """Return the object that a line holds. NaN and infinity, which Python writes and JSON lacks, are None.

    Raises:
        ValueError: it is no JSON object, or has text that is not Unicode.
    """
    try:
        value = json.loads(line.removeprefix(_MARK).decode(), parse_constant=lambda _: None)
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("no JSON that can be read: nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    if b"\\ud" in line or b"\\uD" in line:  # half of a pair of surrogates is JSON, but no text that can be stored
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except (UnicodeEncodeError, RecursionError) as error:
            raise ValueError("it has text that is not Unicode") from error
    return value
