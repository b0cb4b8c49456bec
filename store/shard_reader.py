"""Reading vectors of shards: Parquet files in a folder, or in S3 or Google Cloud Storage, of which only the row groups
that hold them are read.

What is read of a file is compared with what was committed: by the digest in its footer, and by the checksums of its
pages.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .arrow import fixed_lists, mask, to_numpy, vectors_to_arrow
from .errors import StoreError
from .object_stores import file_system, in_bucket
from .types import Ids, Vectors

if TYPE_CHECKING:
    import pyarrow as pa

FOOTER = b"shotdex_shard"
"""The key in a Parquet file's footer under which it says of what work it is the result; see docs/shards.md."""

GROUPS, FILES = 4, 16
"""Row groups that a reader keeps in memory, and files that it keeps open."""

LOST_HINT = (
    "bring the file back; if the shards lie elsewhere now, or were encoded again, point the store to them: "
    "shotdex index PLACE --vectors shards"
)
"""What to do where a shard with vectors is lost."""

AWAY_HINT = "check the connection, the credentials and the permissions, then run the command again"
"""What to do where a shard may be there and cannot be read."""


class VectorFile(NamedTuple):
    """A shard in which vectors of an encoder stay: its number, the digest of its rows, and where it is.

    `place` is a folder's absolute path, or the URL of a prefix.
    """

    shard_id: int
    encoder_id: int
    source: str
    sha256: str
    place: str
    name: str

    @property
    def path(self) -> str:
        """Where the file is, as messages name it."""
        return f"{self.place.rstrip('/')}/{self.name}"

    def check_there(self) -> bool:
        """Return whether the file is as it was committed, as far as its footer tells.

        Raises:
            StoreError: the file, or the place where it may be, cannot be read now.
        """
        try:
            _open(self)
        except Away as error:
            raise self.error(error) from error
        except Lost:
            return False
        return True

    def error(self, why: Lost) -> StoreError:
        """Return the error for a file that cannot be used."""
        return StoreError(f"vectors of the store are in {self.path}, which {why}", why.hint)


class Lost(Exception):
    """A file that is not the one that was committed; what is wrong with it, and what to do."""

    hint = LOST_HINT


class Away(Lost):
    """A file that may be the one that was committed, and cannot be read now."""

    hint = AWAY_HINT


def lost_files(files: Iterable[VectorFile]) -> dict[int, Lost]:
    """Return what is wrong with those files that are not as they were committed, by their numbers.

    Of a bucket that does not answer only one file is requested, as each request takes a second or more.
    """
    wrong: dict[int, Lost] = {}
    away: dict[str, Away] = {}
    for file in files:
        if file.place in away:
            wrong[file.shard_id] = away[file.place]
            continue
        try:
            _open(file)
        except Lost as error:
            wrong[file.shard_id] = error
            if isinstance(error, Away) and in_bucket(file.place):
                away[file.place] = error
    return wrong


class Reader:
    """Reads rows of shards for one connection, whose threads take turns."""

    def __init__(self, files: Mapping[int, VectorFile]) -> None:
        self.error: StoreError | None = None
        self._files = files
        self._turn = threading.Lock()
        self._opened: dict[int, tuple[Any, Ids]] = {}
        self._groups: dict[tuple[int, int, str], tuple[Vectors, Any]] = {}

    def function(self, space: str, dim: int) -> Callable[[pa.Array, pa.Array], pa.Array]:
        """Return the function that gives the vectors (N, D) of a space for numbers of shards and of rows (N,)."""

        def read(shards: Any, rows: Any) -> Any:  # DuckDB would look up the names of types that are not imported
            numbers, places = _numbers(shards), _numbers(rows)
            found = np.empty((len(numbers), dim), dtype=np.float32)
            with self._turn:
                for number in np.unique(numbers).tolist():
                    own = np.flatnonzero(numbers == number)
                    found[own] = self._rows(number, places[own], space, dim)
            return vectors_to_arrow(found)

        return read

    def _rows(self, number: int, rows: Ids, space: str, dim: int) -> Vectors:
        file = self._files.get(number)
        try:
            if file is None:
                raise StoreError(f"the catalog has no shard {number}, in which it has vectors", "see: shotdex verify")
            return self._read(file, rows, space, dim)
        except Lost as error:
            assert file is not None
            self.error = file.error(error)
            raise self.error from error
        except StoreError as error:
            self.error = error
            raise

    def _read(self, file: VectorFile, rows: Ids, space: str, dim: int) -> Vectors:
        if file.shard_id not in self._opened:
            _make_room(self._opened, FILES)
            self._opened[file.shard_id] = _open(file)
        table, ends = self._opened[file.shard_id]
        if len(rows) and not 0 <= rows.min() <= rows.max() < ends[-1]:
            raise Lost("does not have all of them")
        found, groups = np.empty((len(rows), dim), dtype=np.float32), np.searchsorted(ends, rows, side="right")
        for group in np.unique(groups).tolist():
            key, own = (file.shard_id, group, space), np.flatnonzero(groups == group)
            if key not in self._groups:
                _make_room(self._groups, GROUPS)
                self._groups[key] = _group(file, table, group, space, dim)
            vectors, present = self._groups[key]
            inside = rows[own] - (ends[group] - len(vectors))
            if not present[inside].all():
                raise Lost("has no vectors in some of their rows")
            found[own] = vectors[inside]
        return found


def _open(file: VectorFile) -> tuple[Any, Ids]:
    """Return an open shard and how many rows it has up to the end of each row group (G,)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        files, path = file_system(file.path)
        opened = files.open_input_file(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Lost("is not there") from error
    except (OSError, pa.ArrowException) as error:
        if not in_bucket(file.place) and Path(path).is_dir():
            raise Lost("is a folder") from error
        raise Away(f"cannot be read now: {_line(error)}") from error
    try:
        table = pq.ParquetFile(opened, page_checksum_verification=True)
        said = json.loads((table.metadata.metadata or {}).get(FOOTER, b"{}"))
        groups = range(table.metadata.num_row_groups)
        ends = np.cumsum([table.metadata.row_group(number).num_rows for number in groups], dtype=np.int64)
    except Exception as error:  # pyarrow has errors of many types for files that are damaged
        raise Lost(f"cannot be read: {_line(error)}") from error
    if not isinstance(said, dict) or said.get("sha256") != file.sha256:
        raise Lost("is not the shard that was committed: its digest is another one")
    return table, ends


def _group(file: VectorFile, table: Any, group: int, space: str, dim: int) -> tuple[Vectors, Any]:
    """Return the vectors (N, D) of a row group, and which rows (N,) have one."""
    import pyarrow as pa

    try:
        column = table.read_row_group(group, columns=[space], use_threads=False).column(space)
        lists = fixed_lists(column, space, pa.list_(pa.float32(), dim))
    except Exception as error:
        damaged = "cannot be read, or is damaged" if in_bucket(file.place) else "is damaged"
        raise Lost(f"{damaged}: {_line(error)}") from error
    lists = lists.chunk(0) if isinstance(lists, pa.ChunkedArray) else lists
    flat = lists.values.slice(lists.offset * dim, len(lists) * dim)
    numbers = np.frombuffer(flat.buffers()[1], dtype=np.float32, count=len(flat), offset=4 * flat.offset)
    return numbers.reshape(-1, dim), mask(lists.is_valid())


def _numbers(column: pa.Array) -> Ids:
    import pyarrow as pa

    return to_numpy(column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])).astype(np.int64)


def _make_room(kept: dict[Any, Any], most: int) -> None:
    while len(kept) >= most:
        kept.pop(next(iter(kept)))


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
