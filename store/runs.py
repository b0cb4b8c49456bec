"""Classification runs: which prompts, over which images, every prediction, and the counts of their outcomes.

The views of accuracies and confusions read these counts instead of every prediction. They follow the rows of
`predictions` and `truths` and the conditions of the images: whoever changes these recounts the runs concerned in the
same transaction.
"""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from .connection import Connection
from .errors import OptionError
from .schema import COUNT_OUTCOMES, OUTCOMES
from .types import Run

COUNTS = ("outcome_counts", "rank_counts")

_COLUMNS = (
    "run_id, name, encoder_id, prompt_set_id, filter, k, images, scored, unlabelled, outside, failed, "
    "started_at, seconds, settings, versions, command, data_sha256, labels_sha256, seed"
)


def next_run(con: Connection, name: str | None, *, replace: bool = False) -> tuple[int, str]:
    """Return the next run's number and its name; without one it is called `run-N`.

    Raises:
        OptionError: a run of that name exists, and it is not to be replaced.
    """
    number = int(con.value("SELECT coalesce(max(run_id), 0) + 1 FROM runs"))
    taken = {row[0] for row in con.rows("SELECT name FROM runs")}
    if name is None:
        return number, next(free for i in itertools.count(number) if (free := f"run-{i}") not in taken)
    if name in taken and not replace:
        hint = f"choose another: --name {shlex.quote(f'{name}-{number}')}   or replace that run: --replace"
        raise OptionError(f"there is already a run named {name!r}", hint)
    return number, name


def save_run(con: Connection, run: Run) -> None:
    """Record a run's facts; its predictions are appended separately, in the same transaction."""
    row: dict[str, Any] = {name.strip(): getattr(run, name.strip(), None) for name in _COLUMNS.split(",")}
    row |= {"filter": run.where, "settings": json.dumps(dict(run.settings)), "versions": json.dumps(dict(run.versions))}
    con.run(f"INSERT INTO runs ({_COLUMNS}) VALUES ({', '.join('$' + name for name in row)})", row)


def remove_run(con: Connection, run: Run) -> None:
    """Delete a run with its predictions, within a transaction; its prompt set and files of the user's stay."""
    for table in ("predictions", "truths", *COUNTS, "prediction_files", "runs"):
        con.run(f"DELETE FROM catalog.main.{table} WHERE run_id = $run", {"run": run.run_id})


def rename_run(con: Connection, run: Run, name: str) -> Run:
    """Give a run another name and return it as it is then.

    Raises:
        OptionError: the name is empty, or another run has it.
    """
    if not name.strip():
        raise OptionError("the new name is empty", f"for example: shotdex runs rename {shlex.quote(run.name)} first")
    if any(other.name == name for other in list_runs(con) if other.run_id != run.run_id):
        raise OptionError(f"there is already a run named {name!r}", "choose another name, or remove that run first")
    con.run("UPDATE runs SET name = $name WHERE run_id = $run", {"name": name, "run": run.run_id})
    return replace(run, name=name)


def list_runs(con: Connection) -> list[Run]:
    """Return every run, oldest first."""
    rows = con.rows(f"SELECT {_COLUMNS} FROM runs ORDER BY run_id")
    return [_run(row) for row in rows]


def _run(row: tuple[Any, ...]) -> Run:
    names = [name.strip() for name in _COLUMNS.split(",")]
    values = dict(zip(names, row, strict=True))
    values["where"] = values.pop("filter")
    values |= {name: json.loads(values[name]) for name in ("settings", "versions")}
    # Runs made before these columns were have NULL there.
    values |= {name: values[name] or "" for name in ("command", "data_sha256", "labels_sha256")}
    values["seed"] = values["seed"] or 0
    return Run(**values)


def find_run(con: Connection, name: str | None) -> Run:
    """Return the run of that name or number, or the newest where none is named.

    Raises:
        OptionError: there is no such run, or none at all.
    """
    runs = list_runs(con)
    if not runs:
        raise OptionError("this store has no runs yet", "classify first: shotdex classify")
    if name is None:
        return runs[-1]
    named = [run for run in runs if run.name == name] or [run for run in runs if str(run.run_id) == name]
    if named:
        return named[0]
    raise OptionError(f"there is no run {name!r}", f"the runs are: {', '.join(run.name for run in runs)}")


def recount(con: Connection, runs: Collection[int]) -> None:
    """Count the outcomes of some runs again, within a transaction."""
    for outcomes, own in ((OUTCOMES, set(runs) - con.run_files.keys()), ("FROM outcomes", con.run_files.keys() & runs)):
        if own:
            kept = f"run_id IN ({', '.join(map(str, sorted(own)))})"
            for table in COUNTS:
                con.run(f"DELETE FROM {table} WHERE {kept}")
            con.run(COUNT_OUTCOMES.format(outcomes=outcomes, where=kept))


def runs_of_relabelled(con: Connection, arriving: str) -> list[int]:
    """Return the runs of the images that are about to get another condition from a table `arriving`.

    Runs whose files are lost keep their counts: that does not stop an indexing.
    """
    changed = (
        f"SELECT s.image_id FROM stored_images s JOIN {arriving} a USING (image_id) "
        "WHERE s.condition IS DISTINCT FROM a.condition"
    )
    if con.value(f"SELECT count(*) FROM ({changed})") == 0:
        return []
    lost = [str(run) for run, files in con.run_files.items() if files.lost]
    readable = f"AND run_id NOT IN ({', '.join(lost)})" if lost else ""
    return [row[0] for row in con.rows(f"SELECT DISTINCT run_id FROM truths WHERE image_id IN ({changed}) {readable}")]
