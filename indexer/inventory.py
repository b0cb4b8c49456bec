"""What a walk over a source found, in a scratch database of its own.

A source may have more images than memory has room for, so nothing here is a Python list: the scratch database holds
up to `MEMORY` bytes in memory and moves the rest to the system's folder for temporary files.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import duckdb
import pyarrow as pa

from shotdex.media.sources.base import Candidate, FailedFolder, Found, Note, Source
from shotdex.media.sources.label_cells import LabelCells
from shotdex.media.sources.left_out import Ignored, Left, excluding
from shotdex.store.connection import Connection
from shotdex.store.errors import SourceError, StoreError
from shotdex.store.images import Labels
from shotdex.store.types import Failure, LeftOut, Reason

from .scratch import ARRIVING, ORDERED

MEMORY = "512MB"
CHUNK, CHUNK_CHARACTERS = 8192, 32 * 1024 * 1024
"""Rows that wait to be moved there, and the characters of metadata among them, whichever is reached first."""

LEFT_OUT, EXTENSIONS = 10_000, 10
"""Paths of each kind that are kept of what is left out, and kinds of files that are named."""

FOLDERS, SOME = 100_000, 2000
"""Folders, and paths, that a layout is guessed from."""

READ_ROWS = 2048
"""Rows that are read back at once."""


class Inventory:
    """A finished walk. `candidates`, `failed`, `ignored` and `repeated` are counts; close it when done.

    `repeated` candidates had an address that came again later in the scan; the last one counts.
    """

    def __init__(self, source: Source, exclude: Sequence[str] = ()) -> None:
        """`exclude` are glob patterns of images to leave out: see `left_out.excluding`."""
        self.source = source
        root = source.root.rstrip("/") + "/"
        self._excluded = excluding([pattern.removeprefix(root) for pattern in exclude])
        self.candidates = self.failed = self.ignored = self.repeated = self.without_metadata = 0
        spill = Path(tempfile.gettempdir()) / f"shotdex-scan-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY,
            "temp_directory": str(spill),
            "preserve_insertion_order": "true",
        }
        self.con = Connection(duckdb.connect(":memory:", config=config))
        for name, schema in ARRIVING.items():
            with self.con.holding("empty", schema.empty_table()):
                self.con.run(f"CREATE TABLE {name} AS FROM empty")
        self.left_out: dict[str, LeftOut] = {}
        self._notes: dict[Note, None] = {}
        self._extensions: Counter[str] = Counter()
        self._cells: LabelCells | None = None
        self._characters = 0
        arriving = ("found", "scan_failures", "not_entered", "excluded")
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in arriving}

    def walk(self, seen: Callable[[int], None] | None = None) -> None:
        """Take in all that the source has; `seen` is called now and then with how many more were met.

        Raises:
            SourceError: the source as a whole cannot be read.
            StoreError: there is no room for the scratch database.
        """
        with _room_named():
            for found in self.source.scan():
                self._add(found)
                if sum(map(len, self._rows.values())) >= CHUNK or self._characters >= CHUNK_CHARACTERS:
                    self._flush(seen)
            self._flush(seen)
            self.arrange()

    def arrange(self) -> None:
        """Put what was found into the order of the work, each address once."""
        order = "string_split(relative, '/'), position" if self.source.by_path else "position"
        self.con.run(ORDERED.format(order=order))
        self.con.run("DROP TABLE found")
        kept = int(self.con.value("SELECT count(*) FROM ordered"))
        self.repeated, self.candidates = self.candidates - kept, kept

    def shape(self) -> tuple[dict[str, int], list[str]]:
        """Return what `guess_layout` takes: a path within the source for each folder, with its number of images, and
        some paths from all over it."""
        folders = self.con.rows(
            "SELECT min(relative), count(*) FROM ordered WHERE NOT given "
            f"GROUP BY regexp_replace(relative, '[^/]*$', '') ORDER BY 1 LIMIT {FOLDERS}"
        )
        every = max(1, self.candidates // SOME)
        some = self.con.rows(f"SELECT relative FROM ordered WHERE NOT given AND step % {every} = 0")
        return dict(folders), [row[0] for row in some]

    def tells_labels(self) -> bool:
        """Tell whether the source itself labels its images."""
        return bool(self.con.value("SELECT coalesce(bool_or(given), false) FROM ordered"))

    def chunks(self, table: str, columns: str = "*") -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of a table that has a `step` from 0, in that order."""
        count = int(self.con.value(f"SELECT count(*) FROM {table}"))
        for start in range(0, count, READ_ROWS):
            limits = {"start": start, "end": start + READ_ROWS}
            query = f"SELECT {columns} FROM {table} WHERE step >= $start AND step < $end ORDER BY step"
            yield self.con.table(query, limits).to_pylist()

    def failures(self, limit: int, table: str = "scan_failures") -> list[Failure]:
        """Return what the scan itself could not use, or what another such table has; the first of each reason first."""
        rows = self.con.rows(
            f"SELECT path, stage, reason, detail FROM {table} "
            f"ORDER BY row_number() OVER (PARTITION BY reason ORDER BY rowid) > 1, rowid LIMIT {limit}"
        )
        return [Failure(row[0], row[1], Reason(row[2]), row[3]) for row in rows]

    def all_left_out(self) -> tuple[LeftOut, ...]:
        """Return what was left out, by kind: how much, and the first paths of each."""
        if Left.OTHER in self.left_out and self._extensions:
            self.left_out[Left.OTHER].extensions = dict(self._extensions.most_common(EXTENSIONS))
        return tuple(self.left_out[kind] for kind in Left if kind in self.left_out)

    def notes(self, unlabelled: bool = False) -> tuple[str, ...]:
        """Return what a user should know of the scan, in sentences; `unlabelled`: some images have no category."""
        said = {
            "{:,} were named twice; what came last counts": self.repeated,
            "further columns of {:,} could not be kept: they cannot be written as JSON": self.without_metadata,
        }
        sentences = [sentence.format(count) for sentence, count in said.items() if count]
        sentences += [self._cells.note()] if self._cells is not None else []
        return (*sentences, *(note.text for note in self._notes if unlabelled or not note.if_unlabelled))

    def __enter__(self) -> Inventory:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.con.close()
        if isinstance(error, duckdb.Error):  # the catalog's own are named where it is opened
            with _room_named():
                raise error

    def _add(self, found: Found) -> None:
        if isinstance(found, Ignored):
            self._leave_out(found)
        elif isinstance(found, Note):
            self._notes[found] = None
        elif isinstance(found, LabelCells):
            self._cells = self._cells or LabelCells()
            self._cells.add(found)
        elif isinstance(found, Candidate):
            self._add_candidate(found)
        elif isinstance(found, FailedFolder):
            self._rows["not_entered"].append((_utf8(found.path),))
            self._add_failure(found.failure)
        else:
            self._add_failure(found)

    def _leave_out(self, found: Ignored) -> None:
        left = self.left_out.setdefault(found.why, LeftOut(found.why))
        left.count += 1
        if len(left.paths) < LEFT_OUT:
            left.paths.append(_utf8(found.path))
        if found.why in (Left.OTHER, Left.ARCHIVE, Left.TABLE):
            self.ignored += 1
        if found.why == Left.OTHER and len(self._extensions) < LEFT_OUT:
            self._extensions[_utf8(PurePath(found.path).suffix.lower())] += 1

    def _add_candidate(self, found: Candidate) -> None:
        if self._excluded is not None and self._excluded.fullmatch(found.relative):
            self._leave_out(Ignored(found.address, Left.EXCLUDED))
            self._rows["excluded"].append((_utf8(found.address),))
            return
        try:
            (found.address + found.relative).encode()
        except UnicodeEncodeError:
            self._add_failure(Failure(found.address, "scan", Reason.BAD_NAME, "rename the file, then index again"))
            return
        labels = (found.labels or Labels()).one_form()
        said = [None if label is None else _utf8(label) for label in (labels.category, labels.condition, labels.split)]
        row = (found.address, found.relative, found.size_bytes, found.modified_ns, *said)
        metadata = self._metadata(found.metadata) if found.metadata else None
        self._rows["found"].append((self.candidates, *row, metadata, found.labels is not None))
        self.candidates += 1

    def _metadata(self, metadata: Mapping[str, Any]) -> str | None:
        try:
            text = as_json(metadata)
            self._characters += len(text)
            return text
        except (TypeError, ValueError, RecursionError):
            self.without_metadata += 1
            return None

    def _add_failure(self, failure: Failure) -> None:
        self.failed += 1
        parts = (failure.path, failure.stage, failure.reason.value, failure.detail)
        self._rows["scan_failures"].append(tuple(map(_utf8, parts)))

    def _flush(self, seen: Callable[[int], None] | None) -> None:
        if seen is not None:
            seen(sum(map(len, self._rows.values())))
        self._characters = 0
        for name, rows in self._rows.items():
            schema = ARRIVING[name]
            if rows:
                columns = dict(zip(schema.names, map(list, zip(*rows, strict=True)), strict=True))
                self.con.append(name, pa.table(columns, schema))
                rows.clear()


def scan_source(
    source: Source,
    seen: Callable[[int], None] | None = None,
    *,
    may_be_empty: bool = False,
    exclude: Sequence[str] = (),
) -> Inventory:
    """Look for images at a source, before a model is loaded or a store made; `seen` is called with how many more.

    What fits one of the glob patterns `exclude` is left out.
    `may_be_empty` is for a source that had images once: that they are gone is what there is to find.

    Raises:
        SourceError: there are none, or the source as a whole cannot be read.
    """
    inventory = Inventory(source, exclude)
    try:
        inventory.walk(seen)
        if not inventory.candidates and not may_be_empty:
            raise _nothing_there(inventory)
    except BaseException:
        inventory.con.close()
        raise
    return inventory


def _nothing_there(inventory: Inventory) -> SourceError:
    root = inventory.source.root
    if inventory.failed:
        first = the_first(inventory.failures(1))
        return SourceError(f"no image in {root} can be used; {first}", "check the source")
    if excluded := inventory.left_out.get(Left.EXCLUDED):
        raise SourceError(
            f"all {excluded.count:,} images in {root} are excluded", "exclude fewer images, or none: --exclude ''"
        )
    others = f" ({inventory.ignored:,} files there are no images by their names)" if inventory.ignored else ""
    return SourceError(f"there are no images in {root}{others}", "pass the folder that contains the images")


def the_first(failures: Sequence[Failure]) -> str:
    """Return the first of some failures as part of a sentence."""
    return f"the first: {failures[0].path}: {failures[0].reason.value} ({failures[0].detail})"


@contextmanager
def _room_named() -> Iterator[None]:
    """Turn what DuckDB says where the scratch database has no room into one of our errors; its other errors pass."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise StoreError(
            f"not enough room for temporary files in {tempfile.gettempdir()}: {str(error).splitlines()[0]}",
            "make room there, or choose another folder with the environment variable TMPDIR",
        ) from error


def as_json(metadata: Mapping[str, Any]) -> str:
    """Return metadata as JSON text in one spelling: sorted keys, no NaN or infinity (they become null), valid UTF-8.

    Raises:
        TypeError, ValueError, RecursionError: it cannot be written as JSON.
    """
    return _utf8(json.dumps(_finite(metadata), sort_keys=True, ensure_ascii=False, allow_nan=False, default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
