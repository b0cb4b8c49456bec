"""From a file to a baseline on record: a table of accuracies or trials, as the header says; all of it or nothing.

Some baselines ship with the package and are imported by their name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from shotdex import demo
from shotdex.store.baselines import Baseline, Kind, check_baseline_name, save_baseline
from shotdex.store.errors import OptionError
from shotdex.store.store import Store

from .csv_file import CsvFile, read_csv
from .file_formats import COLUMNS, NEEDED, TRIAL_COLUMNS, read_table, read_trials, trial_accuracies

FORMATS = f"a table has: {','.join(COLUMNS)}   trials have: {','.join(TRIAL_COLUMNS)}"


@dataclass(frozen=True, slots=True)
class ReadBaseline:
    """What some files hold: a baseline that is not yet on record, its trials, and what was assumed or left out."""

    baseline: Baseline
    trials: pa.Table | None
    notes: tuple[str, ...]


def record_baseline(store: Store, read: ReadBaseline) -> Baseline:
    """Record what `read_baseline` found, in one transaction.

    Raises:
        OptionError: there is already a baseline of that name.
    """
    with store.reading() as con:  # a name already taken is said without waiting for a writer's turn
        check_baseline_name(con, read.baseline.name)
    with store.writing() as con:
        return save_baseline(con, read.baseline, read.trials)


def read_baseline(files: Sequence[Path], name: str | None = None, source: str | None = None) -> ReadBaseline:
    """Read a baseline from a file, or trials from several, such as one a person.

    Args:
        files: CSV files; one that does not exist may be the name of a baseline that ships with the package.
        name: what to call it; without one, as the file, without its ending.
        source: where the numbers come from; it stands in for the file's own column `source`.

    Raises:
        OptionError: a file cannot be read or used, with the line and what to do; or it does not say its source.
    """
    if not files:
        raise OptionError("there is no file to import", "pass a CSV file")
    found = [read_csv(_find(path), {*COLUMNS, *TRIAL_COLUMNS}) for path in files]
    kinds = {_kind(file) for file in found}
    if len(found) > 1 and kinds != {Kind.TRIALS}:
        raise OptionError("only trials can come in several files", "import each table separately")
    if len(found) > 1 and name is None:
        raise OptionError("a baseline from several files needs a name", "for example: --name people")
    chosen = (found[0].path.stem if name is None else name).strip()
    sha256 = found[0].sha256
    if len(found) > 1:
        sha256 = hashlib.sha256("".join(file.sha256 for file in found).encode()).hexdigest()
    if kinds == {Kind.TRIALS}:
        return _from_trials(found, chosen, source, sha256)
    return _from_table(found[0], chosen, source)


def shipped_names() -> list[str]:
    """Return the names of the baselines that ship with the package, in alphabetical order."""
    return sorted(path.stem for path in demo.BASELINES.glob("*.csv"))


def _find(path: Path) -> Path:
    if path.exists():
        return path
    if str(path) in shipped_names():
        return demo.BASELINES / f"{path}.csv"
    raise OptionError(
        f"there is no file {path}, and no baseline of that name ships with shotdex",
        f"pass a CSV file, or one of: {', '.join(shipped_names())}",
    )


def _kind(file: CsvFile) -> Kind:
    columns = set(file.columns)
    if "accuracy" in columns and "object_response" not in columns:
        return Kind.TABLE
    if not columns & {"object_response", "subj", "imagename"}:
        raise OptionError(f"the header of {file.path} is neither that of a table nor that of trials", FORMATS)
    lacking = [name for name in NEEDED if name not in columns]
    if lacking:
        raise OptionError(f"the trials in {file.path} have no column {lacking[0]!r}", FORMATS)
    return Kind.TRIALS


def _from_table(file: CsvFile, name: str, source: str | None) -> ReadBaseline:
    read = read_table(file)
    if not (source or read.source):
        raise OptionError(
            f"{file.path} does not say where its numbers come from",
            'add a column `source`, or say it here: --source "Author (year), table 2"',
        )
    notes = _notes([file])
    unused = [column for column in file.columns if column and column not in COLUMNS]
    if unused:
        notes.append(f"columns that were not used: {', '.join(unused)}")
    if source and read.source and source != read.source:
        notes.append(f"the source given here takes the place of the file's: {read.source}")
    return ReadBaseline(
        Baseline(0, name, Kind.TABLE, source or read.source, read.note, read.accuracies, file.sha256),
        None,
        tuple(notes),
    )


def _from_trials(files: Sequence[CsvFile], name: str, source: str | None, sha256: str) -> ReadBaseline:
    read = read_trials(files)
    names = [file.path.name for file in files]
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    baseline = Baseline(0, name, Kind.TRIALS, source or listed, "", trial_accuracies(read), sha256)
    return ReadBaseline(baseline, read, tuple(_notes(files)))


def _notes(files: Sequence[CsvFile]) -> list[str]:
    return [f"{file.path}: {file.note}" for file in files if file.note]
