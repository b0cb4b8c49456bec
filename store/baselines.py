"""Baselines on record: what people or other models reach, condition by condition, and their trials where there are."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from math import isnan, nan
from typing import Any

import pyarrow as pa

from .connection import Connection, now
from .errors import OptionError
from .types import Estimate

OVERALL = "all"
"""The key of an accuracy over all conditions."""

WITHOUT_INTERVAL = "as reported, without an interval"
"""The method of an accuracy of which nothing but its value is known: its bounds are NaN and its n is 0."""

TRIAL_COLUMNS = ("subject", "category", "condition", "response", "imagename", "correct")


class Kind(StrEnum):
    """What a baseline was made from: accuracies as somebody reported them, or one row for every decision."""

    TABLE = "table"
    TRIALS = "trials"


@dataclass(frozen=True, slots=True)
class Baseline:
    """What somebody else reaches. `accuracies` are in [0, 1] by condition, in the file's order; `all` is over all.

    An accuracy reported without an interval has NaN for its bounds; where how many images or trials are behind it
    was not reported, its n is 0. `note` is what a reader must keep in mind. `sha256` is over the imported file, and
    `imported_at` is UTC. A `baseline_id` of 0 is not yet on record.
    """

    baseline_id: int
    name: str
    kind: Kind
    source: str
    note: str
    accuracies: Mapping[str, Estimate]
    sha256: str = ""
    imported_at: datetime | None = None


def check_baseline_name(con: Connection, name: str) -> None:
    """Refuse a name that is empty or taken.

    Raises:
        OptionError: there is a baseline of that name; it is never overwritten.
    """
    if not name.strip():
        raise OptionError("a baseline needs a name", "for example: --name people")
    if name in {row[0] for row in con.rows("SELECT name FROM baselines")}:
        raise OptionError(
            f"there is already a baseline named {name!r}",
            f"choose another: --name {shlex.quote(name + '-2')}   "
            f"or remove that one: shotdex baseline remove {shlex.quote(name)}",
        )


def save_baseline(con: Connection, baseline: Baseline, trials: pa.Table | None = None) -> Baseline:
    """Record a baseline, with the columns `TRIAL_COLUMNS` of its trials, and return it with its number.

    Raises:
        OptionError: see `check_baseline_name`.
    """
    check_baseline_name(con, baseline.name)
    number = int(con.value("SELECT coalesce(max(baseline_id), 0) + 1 FROM baselines"))
    saved = replace(baseline, baseline_id=number, imported_at=now())
    con.run(
        "INSERT INTO baselines (baseline_id, name, kind, source, note, sha256, imported_at) "
        "VALUES ($number, $name, $kind, $source, $note, $sha256, $now)",
        {
            "number": number,
            "name": saved.name,
            "kind": saved.kind.value,
            "source": saved.source,
            "note": saved.note,
            "sha256": saved.sha256,
            "now": saved.imported_at,
        },
    )
    con.append("baseline_accuracies", _numbered(_accuracy_rows(saved.accuracies), number))
    if trials is not None:
        con.append("baseline_trials", _numbered(trials.select(TRIAL_COLUMNS), number))
    return saved


def _accuracy_rows(accuracies: Mapping[str, Estimate]) -> pa.Table:
    estimates = list(accuracies.values())
    return pa.table(
        {
            "condition": pa.array(list(accuracies), pa.string()),
            "accuracy": pa.array([estimate.value for estimate in estimates], pa.float64()),
            # SQL knows an absent bound as NULL; NaN would count as the largest number there.
            "low": pa.array([None if isnan(estimate.low) else estimate.low for estimate in estimates], pa.float64()),
            "high": pa.array([None if isnan(estimate.high) else estimate.high for estimate in estimates], pa.float64()),
            "n": pa.array([estimate.n for estimate in estimates], pa.int64()),
            "method": pa.array([estimate.method for estimate in estimates], pa.string()),
        }
    )


def _numbered(rows: pa.Table, number: int) -> pa.Table:
    return rows.append_column("baseline_id", pa.array([number] * len(rows), pa.int32()))


def list_baselines(con: Connection) -> list[Baseline]:
    """Return every baseline, oldest first."""
    accuracies: dict[int, dict[str, Estimate]] = {}
    for number, condition, value, low, high, n, method in con.rows(
        # Rows of one table keep the order in which they came, which is the file's.
        "SELECT baseline_id, condition, accuracy, low, high, n, method FROM baseline_accuracies ORDER BY rowid"
    ):
        accuracies.setdefault(number, {})[condition] = Estimate(value, _bound(low), _bound(high), n, method)
    rows = con.rows(
        "SELECT baseline_id, name, kind, source, note, sha256, imported_at FROM baselines ORDER BY baseline_id"
    )
    return [_baseline(row, accuracies.get(row[0], {})) for row in rows]


def _bound(value: float | None) -> float:
    return nan if value is None else value


def _baseline(row: tuple[Any, ...], accuracies: Mapping[str, Estimate]) -> Baseline:
    number, name, kind, source, note, sha256, imported_at = row
    return Baseline(number, name, Kind(kind), source or "", note or "", accuracies, sha256 or "", imported_at)


def find_baseline(con: Connection, name: str) -> Baseline:
    """Return the baseline of that name, or else of that number.

    Raises:
        OptionError: there is no such baseline, or none at all.
    """
    baselines = list_baselines(con)
    if not baselines:
        raise OptionError(
            f"there is no baseline {name!r}: this store has none yet",
            "import one first: shotdex baseline import FILE.csv   or one that ships: shotdex baseline import toddlers",
        )
    named = [b for b in baselines if b.name == name] or [b for b in baselines if str(b.baseline_id) == name]
    if named:
        return named[0]
    raise OptionError(
        f"there is no baseline {name!r}", f"the baselines are: {', '.join(baseline.name for baseline in baselines)}"
    )


def remove_baseline(con: Connection, name: str) -> Baseline:
    """Forget a baseline, its accuracies and its trials, and return what it was.

    Raises:
        OptionError: see `find_baseline`.
    """
    baseline = find_baseline(con, name)
    for table in ("baseline_trials", "baseline_accuracies", "baselines"):
        con.run(f"DELETE FROM {table} WHERE baseline_id = $number", {"number": baseline.baseline_id})
    return baseline


def load_trials(con: Connection, baseline_id: int) -> pa.Table:
    """Return a baseline's trials in the file's order, with the columns `TRIAL_COLUMNS`; none for a table.

    `correct` is bool, the others strings; `condition` is null where the file has none, `response` where nothing was
    answered.
    """
    return con.table(
        f"SELECT {', '.join(TRIAL_COLUMNS)} FROM baseline_trials WHERE baseline_id = $number ORDER BY rowid",
        {"number": baseline_id},
    )
