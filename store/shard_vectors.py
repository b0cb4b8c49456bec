"""Vectors that stay in shards: the catalog has for each image a shard and a row, and queries read the Parquet file.

The table `vector_places` has for such a vector the shard, one of `vector_shards`, and the row in it. In a connection to
a store that has some, a temporary view `vectors_N` has them, bit for bit, next to those of the table of that name;
whoever changes the table calls it `stored_vectors`. What is read of a file is compared with what was committed: by the
digest in its footer, and by the checksums of its pages.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .arrow import fixed_lists, mask, to_numpy, vectors_to_arrow
from .connection import Connection
from .errors import StoreError
from .ids import renew_images_generation
from .prediction_files import recorded
from .schema import vectors_table
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


class VectorFile(NamedTuple):
    """A shard in which vectors of an encoder stay: its number, where it is, and the digest of its rows."""

    shard_id: int
    encoder_id: int
    source: str
    sha256: str
    path: Path

    @property
    def lost(self) -> str:
        """Say what is wrong with the file, as far as its footer tells; nothing where it is as it was committed."""
        try:
            _open(self)
        except _Lost as error:
            return str(error)
        return ""

    def error(self, why: str) -> StoreError:
        """Return the error for a file that cannot be used."""
        return StoreError(f"vectors of the store are in {self.path}, which {why}", LOST_HINT)


class _Lost(Exception):
    """A file that is not the one that was committed; what is wrong with it."""


def vector_files(con: Connection, root: Path) -> dict[int, VectorFile]:
    """Return the shards in which vectors of the store in the folder `root` stay, by their numbers."""
    rows = con.rows("SELECT shard_id, encoder_id, source, sha256, place, name FROM vector_shards ORDER BY shard_id")
    return {
        number: VectorFile(number, encoder_id, source, sha256, root.absolute() / place / name)
        for number, encoder_id, source, sha256, place, name in rows
    }


def stored_vectors(encoder_id: int) -> str:
    """Return the name of the table with those vectors of an encoder that are in the catalog, also next to the view."""
    return f"catalog.main.{vectors_table(encoder_id)}"


def delete_vectors(con: Connection, encoder_id: int, which: str) -> int:
    """Delete the vectors of an encoder whose `image_id` a condition holds for; return how many there were."""
    deleted = int(con.value(f"DELETE FROM {stored_vectors(encoder_id)} WHERE {which}"))
    return deleted + int(con.value(f"DELETE FROM vector_places WHERE encoder_id = {encoder_id} AND ({which})"))


def add_file(con: Connection, root: Path, file: VectorFile) -> int:
    """Return the number of a shard whose vectors stay in it, recording it, within a transaction, where it is new."""
    for known in vector_files(con, root).values():
        if known[1:] == file[1:]:
            return known.shard_id
    con.run(
        "INSERT INTO vector_shards SELECT coalesce(max(shard_id), 0) + 1, $encoder, $source, $sha256, $place, $name "
        "FROM vector_shards",
        {"encoder": file.encoder_id, "source": file.source, "sha256": file.sha256}
        | {"place": recorded(file.path.parent, root), "name": file.path.name},
    )
    return int(con.value("SELECT max(shard_id) FROM vector_shards"))


def find_again(con: Connection, root: Path, encoder_id: int, source: str, here: Mapping[str, Path]) -> int:
    """Follow, within a transaction, the shards that moved; return how many vectors were in shards that are lost.

    `here` has shards that are there, by the digests of their rows. The places of vectors of this encoder that are in a
    lost shard of this source, and not here, are forgotten, so that indexing takes the vectors from other shards.
    """
    forgotten = 0
    for file in vector_files(con, root).values():
        if file.encoder_id != encoder_id or not file.lost:
            continue
        now, which = here.get(file.sha256), {"shard": file.shard_id}
        if now is not None:
            where = {"place": recorded(now.parent, root), "name": now.name}
            con.run("UPDATE vector_shards SET place = $place, name = $name WHERE shard_id = $shard", where | which)
        elif file.source == source:
            forgotten += con.value("DELETE FROM vector_places WHERE shard_id = $shard", which)
            con.run("DELETE FROM vector_shards WHERE shard_id = $shard", which)
    if forgotten:
        renew_images_generation(con)
    return forgotten


@contextmanager
def in_shards_shown(con: Connection, root: Path, *, leave_out_lost: bool = False) -> Iterator[None]:
    """Let queries read the vectors that are in shards like those of the catalog, for what runs inside.

    Raises:
        StoreError: a query needs vectors whose shard is lost, unless all those of lost ones are to be left out.
    """
    files = vector_files(con, root)
    if not files:
        yield
        return
    reader = _Reader(files)
    lost = [str(number) for number, file in files.items() if leave_out_lost and file.lost]
    kept = f" AND shard_id NOT IN ({', '.join(lost)})" if lost else ""
    encoders = con.rows("SELECT encoder_id, dim, vision_dim FROM encoders SEMI JOIN vector_shards USING (encoder_id)")
    with ExitStack() as made:
        for number, *dims in encoders:
            values = []
            for space, dim in zip(("joint", "vision"), dims, strict=True):
                name = f"shard_{space}_{secrets.token_hex(8)}"  # others of this process share the catalog
                work = reader.function(space, dim)
                made.enter_context(con.function(name, work, ["INTEGER", "INTEGER"], f"FLOAT[{dim}]", arrow=True))
                values.append(f"{name}(shard_id, shard_row) AS {space}")
            con.vector_parts[number] = [
                f"SELECT image_id, joint, vision, content_hash FROM {stored_vectors(number)} WHERE true",
                f"SELECT image_id, {', '.join(values)}, content_hash FROM catalog.main.vector_places "
                f"WHERE encoder_id = {number}{kept}",
            ]
            rows = " UNION ALL ".join(con.vector_parts[number])
            con.run(f"CREATE OR REPLACE TEMP VIEW {vectors_table(number)} AS {rows}")
        try:
            yield
        except Exception as error:
            if reader.error is None or error is reader.error:
                raise
            raise reader.error from error


class _Reader:
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
        except _Lost as error:
            assert file is not None
            self.error = file.error(str(error))
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
            raise _Lost("does not have all of them")
        found, groups = np.empty((len(rows), dim), dtype=np.float32), np.searchsorted(ends, rows, side="right")
        for group in np.unique(groups).tolist():
            key, own = (file.shard_id, group, space), np.flatnonzero(groups == group)
            if key not in self._groups:
                _make_room(self._groups, GROUPS)
                self._groups[key] = _group(table, group, space, dim)
            vectors, present = self._groups[key]
            inside = rows[own] - (ends[group] - len(vectors))
            if not present[inside].all():
                raise _Lost("has no vectors in some of their rows")
            found[own] = vectors[inside]
        return found


def _open(file: VectorFile) -> tuple[Any, Ids]:
    """Return an open shard and how many rows it has up to the end of each row group (G,)."""
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file.path, page_checksum_verification=True)
        said = json.loads((table.metadata.metadata or {}).get(FOOTER, b"{}"))
        groups = range(table.metadata.num_row_groups)
        ends = np.cumsum([table.metadata.row_group(number).num_rows for number in groups], dtype=np.int64)
    except FileNotFoundError as error:
        raise _Lost("is not there") from error
    except Exception as error:  # pyarrow has errors of many types for files that are damaged
        raise _Lost(f"cannot be read: {_line(error)}") from error
    if not isinstance(said, dict) or said.get("sha256") != file.sha256:
        raise _Lost("is not the shard that was committed: its digest is another one")
    return table, ends


def _group(table: Any, group: int, space: str, dim: int) -> tuple[Vectors, Any]:
    """Return the vectors (N, D) of a row group, and which rows (N,) have one."""
    import pyarrow as pa

    try:
        column = table.read_row_group(group, columns=[space], use_threads=False).column(space)
        lists = fixed_lists(column, space, pa.list_(pa.float32(), dim))
    except Exception as error:
        raise _Lost(f"is damaged: {_line(error)}") from error
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
