"""Predictions outside the catalog: the outcomes of a run as Parquet files in a folder of the user's, read back.

The table `prediction_files` has what was written, and `show` makes temporary views of the names `predictions`,
`truths`, `outcomes` and `disagreements` in which such runs stand like those of the catalog. A reader's DuckDB has no
file system (see `opening`), so it reads these files, and no others, through one that opens them for reading only.

A file has one row for each image: what `outcomes` has but for the run, and a list of its `predictions`. Its paths and
labels count until an image of the store changes; from then on they are those of the catalog.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import duckdb

from .connection import Connection
from .errors import BadSql, OptionError, StoreError
from .ids import images_generation
from .read_only_files import SCHEME, file_system
from .schema import DISAGREEMENTS, STORED_OUTCOMES
from .types import Run

HIDDEN, LOCK = ".shotdex-", "writing.lock"
"""How the name of a folder begins that is not finished, and the file in it whose lock its writer holds."""

_PREDICTED = {"rank": "INTEGER", "category": "VARCHAR", "prompt": "VARCHAR", "cosine": "FLOAT", "probability": "DOUBLE"}
_TRUE = {"category": "VARCHAR", "true_rank": "INTEGER", "true_cosine": "FLOAT", "true_probability": "DOUBLE"}
_OUTCOME = {
    **dict.fromkeys(("path", "category", "condition", "split", "predicted", "prompt"), "VARCHAR"),
    **{"cosine": "FLOAT", "probability": "DOUBLE", "true_rank": "INTEGER", "true_cosine": "FLOAT"},
    **{"true_probability": "DOUBLE", "correct": "BOOLEAN"},
}
"""The columns of `predictions`, `truths` and `outcomes` after `run_id` (in `outcomes` also `run`) and `image_id`."""


class PredictionFile(NamedTuple):
    """A file with predictions, as it was written: its name, size, time and content."""

    name: str
    bytes: int
    modified_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files of a run's predictions in their folder; `lost` says why they cannot be read, if they cannot.

    `current`: no image of the store changed since, so that paths and labels in the files are those of the catalog.
    """

    run_id: int
    run: str
    folder: Path
    files: tuple[PredictionFile, ...]
    current: bool
    lost: str

    @property
    def bytes(self) -> int:
        """The size of all files together."""
        return sum(file.bytes for file in self.files)

    def key(self, file: PredictionFile) -> str:
        """Return where DuckDB finds a file, after `SCHEME`."""
        return f"/{self.run_id}{(self.folder / file.name).absolute().as_posix()}"

    def read_through(self) -> RunFiles:
        """Return what is found when all files are read, also where they have the time that they had."""
        lost = (lost_file(self.folder / file.name, file._replace(modified_ns=-1)) for file in self.files)
        return self if self.lost else replace(self, lost=next(filter(None, lost), ""))

    @property
    def error(self) -> StoreError:
        """The error for files that cannot be read."""
        name = shlex.quote(self.run)
        return StoreError(
            f"the predictions of the run {self.run!r} in {self.folder} {self.lost}",
            f"restore the folder, or pass its new location: shotdex runs moved {name} FOLDER   or remove the run, and "
            f"classify again: shotdex runs remove {name}   (accuracies and confusions are still available: shotdex "
            f"runs)",
        )


def _run_files(con: Connection, root: Path, *, writing: bool, fresh: int | None) -> dict[int, RunFiles]:
    """Return the runs of the store in the folder `root` that have their predictions in files, by their numbers."""
    rows = con.rows(
        "SELECT run_id, r.name, f.folder, f.token, f.images_generation, f.name, f.bytes, f.modified_ns, f.sha256 "
        "FROM prediction_files f JOIN runs r USING (run_id) ORDER BY run_id, f.name"
    )
    found: dict[int, RunFiles] = {}
    for run_id, run, written, token, generation, *_ in rows:
        if run_id not in found:
            folder = _found(root / written, token, rename=not writing)
            files = tuple(PredictionFile(*row[5:]) for row in rows if row[0] == run_id)
            lost = next(filter(None, (lost_file(folder / file.name, file) for file in files)), "")
            current = generation == images_generation(con) and not (writing and run_id != fresh)
            found[run_id] = RunFiles(run_id, run, folder, files, current, lost)
    return found


def _found(folder: Path, token: str, *, rename: bool) -> Path:
    """Return where a run's folder is; one whose writer was killed after the commit gets its own name now."""
    hidden = None if folder.is_dir() else next(folder.parent.glob(f"{HIDDEN}*-{token}"), None)
    if hidden is not None and rename:
        with suppress(OSError):
            (hidden / LOCK).unlink(missing_ok=True)
            return hidden.rename(folder)
    return hidden or folder


def lost_file(path: Path, written: PredictionFile) -> str:
    """Say what is wrong with a file: nothing where it has the size and time, or the size and content, that it had."""
    try:
        found = path.stat()
        same = found.st_size == written.bytes and (
            found.st_mtime_ns == written.modified_ns
            or file_digest(path, found.st_size, found.st_mtime_ns) == written.sha256
        )
    except FileNotFoundError:
        return f"are missing: there is no {path.name}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if same else f"are damaged: {path.name} is not as it was written"


@cache
def file_digest(path: Path, size: int, modified_ns: int) -> str:
    """Return the SHA-256 of a file, which is read once for each size and time that it has."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def show(
    con: Connection, root: Path, *, leave_out_lost: bool = False, writing: bool = False, fresh: int | None = None
) -> None:
    """Let queries read the predictions that are in files, too.

    A query that needs some that are lost raises the error that says so, unless they are to be left out. To a writer,
    who may change images, the labels are always those of the catalog, but for the run `fresh`, just written.
    """
    con.run_files = _run_files(con, root, writing=writing, fresh=fresh)
    if not con.run_files:
        return
    system = file_system(root)
    for files in con.run_files.values():
        system.readable.update({files.key(file): files.folder / file.name for file in files.files})
    con.register(system)
    shown = [files for files in con.run_files.values() if not (files.lost and leave_out_lost)]
    unnested = "image_id, unnest(predictions, recursive := true)"
    for table, columns, chosen in (
        ("predictions", _PREDICTED, unnested),
        ("truths", _TRUE, f"image_id, {', '.join(_TRUE)}"),
    ):
        parts = [f"FROM catalog.main.{table}", *(_rows(files, columns, chosen) for files in shown)]
        con.run(f"CREATE OR REPLACE TEMP VIEW {table} AS {_UNION.join(parts)}")
    stored, outside = STORED_OUTCOMES.format(of="catalog.main."), [_outcomes(files) for files in shown]
    # Only the rows of the catalog are sorted, as for the view that is there: those of a file lie by image. With a name
    # for each run DuckDB sees at once that a query for one run reads nothing of the others.
    runs = [row for row in con.rows("SELECT run_id, name FROM runs") if row[0] not in con.run_files]
    named = [f"(SELECT * REPLACE ({_text(name)} AS run) FROM ({stored} AND run_id = {run}))" for run, name in runs]
    in_order = f"FROM (FROM ({_UNION.join(named) if 0 < len(named) <= FEW_RUNS else stored}) ORDER BY run_id, image_id)"
    con.run(f"CREATE OR REPLACE TEMP VIEW outcomes AS {_UNION.join([in_order, *outside])}")
    every = DISAGREEMENTS.format(outcomes=_UNION.join([stored, *outside]))
    con.run(f"CREATE OR REPLACE TEMP VIEW disagreements AS {every}")


_UNION = " UNION ALL "

FEW_RUNS = 20
"""Runs of the catalog that stand one by one in `outcomes`; more would make opening it slow."""


def move_files(con: Connection, root: Path, run: Run, folder: Path) -> None:
    """Record, within a transaction, that the files of a run are in another folder.

    Raises:
        OptionError: the run's predictions are in the catalog.
        StoreError: a file is not there, or not as it was written.
    """
    of = {"run": run.run_id}
    rows = con.rows("SELECT name, bytes, -1, sha256 FROM prediction_files WHERE run_id = $run", of)
    if not rows:
        raise OptionError(f"the predictions of the run {run.name!r} are in the catalog", "there is nothing to move")
    folder = folder.absolute()
    for file in map(PredictionFile._make, rows):
        if lost := lost_file(folder / file.name, file):
            hint = "pass the folder in which its files lie"
            raise StoreError(f"the predictions of the run {run.name!r} in {folder} {lost}", hint)
        now = {"name": file.name, "now": (folder / file.name).stat().st_mtime_ns}
        con.run("UPDATE prediction_files SET modified_ns = $now WHERE run_id = $run AND name = $name", of | now)
    con.run("UPDATE prediction_files SET folder = $to WHERE run_id = $run", of | {"to": recorded(folder, root)})


def recorded(folder: Path, root: Path) -> str:
    """Return a folder as it stands on record: one in the store relative to that, which may be moved as a whole."""
    inside = folder.is_relative_to(root.absolute())
    return str(folder.relative_to(root.absolute()) if inside else folder)


def _rows(files: RunFiles, columns: dict[str, str], chosen: str) -> str:
    """Return the query for the rows of a table that are in a run's files."""
    known = "" if files.current else " SEMI JOIN stored_images USING (image_id)"
    if files.lost:
        return _raising(files, columns)
    return f"(SELECT {files.run_id}::INTEGER AS run_id, {chosen} FROM {_read(files)}{known})"


def _outcomes(files: RunFiles) -> str:
    """Return the query for the outcomes in a run's files."""
    if files.lost:
        return _raising(files, _OUTCOME)
    labels = ("path", "condition", "split")
    chosen = [f"i.{name}" if name in labels and not files.current else f"f.{name}" for name in _OUTCOME]
    joined = "" if files.current else " JOIN stored_images i USING (image_id)"
    named = f"{files.run_id}::INTEGER AS run_id, {_text(files.run)} AS run, image_id"
    return f"(SELECT {named}, {', '.join(chosen)} FROM {_read(files)} f{joined})"


def _read(files: RunFiles) -> str:
    names = (_text(f"{SCHEME}://{files.key(file)}") for file in files.files)
    return f"read_parquet([{', '.join(names)}], hive_partitioning = false)"


LOST = re.compile(r"lost predictions of run (\d+)")


def _raising(files: RunFiles, columns: dict[str, str]) -> str:
    """Return a query that fails when its rows are read; one that keeps another run only does not read them."""
    named = [f"{files.run_id}::INTEGER AS run_id"] + [f"{_text(files.run)} AS run"] * (columns is _OUTCOME)
    # Each value depends on the error: what compares one with anything raises it.
    values = [f"e::{kind} AS {name}" for name, kind in {"image_id": "BIGINT", **columns}.items()]
    error = f"SELECT error('lost predictions of run {files.run_id}')::VARCHAR AS e"
    return f"(SELECT {', '.join(named + values)} FROM ({error}) WHERE e IS NULL)"


@contextmanager
def lost_named(con: Connection) -> Iterator[None]:
    """Turn DuckDB's error into ours where a query needed predictions that are lost, or that are lost just now."""
    try:
        yield
    except (duckdb.Error, BadSql) as error:
        found = LOST.search(str(error)) or re.search(rf"{SCHEME}:///(\d+)/", str(error))
        files = con.run_files.get(int(found[1])) if found else None
        if files is None:
            raise
        raise (files if files.lost else replace(files, lost="cannot be read")).error from error


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
