"""Writing a run's predictions to a folder of the user's, as Parquet files; `prediction_files` reads them.

They are written to a hidden folder, which gets its name, `run=NAME`, once the run is committed. What is killed before
that leaves a hidden folder, which the next run that is written to the same place removes.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .arrow import to_numpy
from .connection import Connection
from .errors import OptionError, StoreError, StoreLocked
from .ids import images_generation
from .location import user_path
from .lock import only_one
from .prediction_files import HIDDEN, LOCK, file_digest, recorded, show
from .store import Store

if TYPE_CHECKING:
    import pyarrow as pa

FOOTER, FORMAT = b"shotdex_predictions", 1

PART_ROWS, GROUP_ROWS = 1_000_000, 65_536
"""Images of a file, and of a row group: fewer would cost a reader more than their rows."""


@contextmanager
def new_folder(store: Store, place: str | os.PathLike[str]) -> Iterator[PredictionFolder]:
    """Make a hidden folder at a place; it goes again where the run is not committed.

    Raises:
        OptionError: the place is a URL, or a file.
        StoreError: the folder cannot be made.
    """
    if "://" in str(place):
        raise OptionError(
            f"predictions are written to a folder, and {place} is a URL", "write them to a folder, then upload that"
        )
    folder = user_path(place).absolute()
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is a file, and predictions are written to a folder", "choose a folder")
    token = secrets.token_hex(8)
    hidden = folder / f"{HIDDEN}{store.identity[:12]}-{token}"
    with writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(store, folder)
        hidden.mkdir()
    made = PredictionFolder(store, hidden, token)
    try:
        with only_one(hidden / LOCK, 0):
            yield made
    finally:
        if made.committed or made.is_on_record():
            made.rename()
        elif made.committed is False:
            shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def writing_errors(folder: Path) -> Iterator[None]:
    """Turn what the system says of a folder that cannot be written to into one of our errors."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write predictions to {folder}: {error.strerror or error}",
            "check the folder's permissions and free space, or choose another: --predictions FOLDER",
        ) from error


def _sweep(store: Store, folder: Path) -> None:
    """Remove the hidden folders of runs of this store that were killed before they were committed."""
    left = [path for path in folder.glob(f"{HIDDEN}{store.identity[:12]}-*") if path.is_dir()]
    if left:
        with store.reading() as con:
            known = {row[0] for row in con.rows("SELECT token FROM prediction_files")}
        for path in left:
            if path.name.rsplit("-", 1)[1] not in known:
                with suppress(StoreLocked, StoreError), only_one(path / LOCK, 0):
                    shutil.rmtree(path, ignore_errors=True)


@dataclass(slots=True)
class PredictionFolder:
    """A folder that is being filled; `written` has the name and the number of images of each file."""

    store: Store
    hidden: Path
    token: str
    folder: Path | None = None
    committed: bool | None = False
    generation: str = ""
    written: dict[str, int] = field(default_factory=dict)
    _writer: Any = None

    def write(self, parts: Iterator[tuple[pa.Table, pa.Table]], said: dict[str, Any]) -> None:
        """Write the rows of `predictions` and `truths` of some images after some; `said` stands in each file's footer.

        Raises:
            StoreError: there is no room, or images were removed from the store meanwhile.
        """
        with writing_errors(self.hidden.parent):
            waiting: list[pa.Table] = []
            for predictions, truths in parts:
                waiting.append(_outcomes(predictions, truths))
                if sum(map(len, waiting)) >= GROUP_ROWS:
                    self._write(waiting, said)
                    waiting.clear()
            if waiting:
                self._write(waiting, said)
            self._finish()

    def _write(self, waiting: list[pa.Table], said: dict[str, Any]) -> None:
        """Add a row group to the file that is being written, or to a new one if that is full."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self.store.reading() as con:  # for each group, as DuckDB keeps in memory whatever it has read until then
            self.generation = self.generation or images_generation(con)  # labels of two generations are not current
            rows = _with_labels(con, pa.concat_tables(waiting))
        name = next(reversed(self.written), "")
        if self._writer is None or self.written[name] + len(rows) > PART_ROWS:
            self._finish()
            name = f"part-{len(self.written):05d}.parquet"
            self.written[name] = 0
            self._writer = pq.ParquetWriter(self.hidden / name, rows.schema, compression="zstd")
            self._writer.add_key_value_metadata({FOOTER: json.dumps({"format": FORMAT, **said})})
        self._writer.write_table(rows, len(rows))
        self.written[name] += len(rows)
        pa.default_memory_pool().release_unused()  # pyarrow would keep about as much again as a row group takes

    def _finish(self) -> None:
        """Close the file that is being written, and wait until it is on the disk."""
        if self._writer is not None:
            self._writer.close()
            with (self.hidden / next(reversed(self.written))).open("rb+") as file:
                os.fsync(file.fileno())

    def record(self, con: Connection, run_id: int, name: str) -> None:
        """Put the files on record as those of a run, within its transaction, and let queries read them."""
        escaped = f"run={quote(name, safe=' ')[:120]}"
        place = self.hidden.parent
        names = (f"{escaped}-{number}" if number > 1 else escaped for number in range(1, 1 << 30))
        self.folder = next(place / each for each in names if not os.path.lexists(place / each))
        folder = recorded(self.folder, self.store.root)
        for file, images in self.written.items():
            found = (self.hidden / file).stat()
            con.run(
                "INSERT INTO prediction_files VALUES ($run, $folder, $name, $images, $bytes, $modified, $sha256, "
                "$token, $generation)",
                {
                    "run": run_id,
                    "folder": folder,
                    "name": file,
                    "images": images,
                    "bytes": found.st_size,
                    "modified": found.st_mtime_ns,
                    "sha256": file_digest(self.hidden / file, found.st_size, found.st_mtime_ns),
                    "token": self.token,
                    "generation": self.generation,
                },
            )
        show(con, self.store.root, writing=True, fresh=run_id)

    def is_on_record(self) -> bool:
        """Return whether the run was committed after all, as where Ctrl-C comes while the catalog is being closed.

        `committed` is None from then on if the catalog cannot say so; the next run that is written there can.
        """
        if self.folder is None:
            return False
        try:
            with self.store.reading() as con:
                of = {"token": self.token}
                self.committed = bool(con.value("SELECT count(*) FROM prediction_files WHERE token = $token", of))
        except (StoreError, OSError):
            self.committed = None
        return bool(self.committed)

    def rename(self) -> None:
        """Give the folder its name; where that does not work now, the next who reads the run does so."""
        assert self.folder is not None
        with suppress(OSError):
            (self.hidden / LOCK).unlink(missing_ok=True)
            self.hidden.rename(self.folder)


def _outcomes(predictions: pa.Table, truths: pa.Table) -> pa.Table:
    """Return the rows of a file, but for paths and labels, of the rows of both tables, k for each image and one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    count = len(truths)
    k = len(predictions) // max(count, 1)
    plain = pa.table({name: _plain(predictions.column(name)) for name in predictions.column_names})
    best = plain.take(pa.array(range(0, count * k, k), pa.int64()))
    ranked = plain.drop_columns(["image_id"]).to_struct_array().combine_chunks()
    ends = pa.array(range(0, count * k + 1, k), pa.int32())
    category = _plain(truths.column("category"))
    known = truths.column("true_rank").is_valid()
    return pa.table(
        {
            "image_id": truths.column("image_id"),
            "category": category,
            "predicted": best.column("category"),
            **{name: best.column(name) for name in ("prompt", "cosine", "probability")},
            **{name: truths.column(name) for name in ("true_rank", "true_cosine", "true_probability")},
            "correct": pc.if_else(known, pc.equal(best.column("category"), category), None),
            "predictions": pa.ListArray.from_arrays(ends, ranked),
        }
    )


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _with_labels(con: Connection, rows: pa.Table) -> pa.Table:
    """Return rows with the paths and labels of their images, in the order of the view `outcomes`."""
    ids = to_numpy(rows.column("image_id"))
    with con.holding("arriving_rows", rows):
        found = con.table(
            "SELECT image_id, path, a.category, condition, split, a.* EXCLUDE (image_id, category) "
            "FROM arriving_rows a JOIN stored_images USING (image_id) "
            f"WHERE image_id BETWEEN {ids.min()} AND {ids.max()} ORDER BY image_id"
        )
    if len(found) != len(rows):
        raise StoreError("images were removed during classification", "run the command again")
    return found
