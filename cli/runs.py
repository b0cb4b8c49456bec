"""`shotdex runs`."""

from __future__ import annotations

from pathlib import Path

import click

from shotdex.analysis.results import overall
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import list_runs

from .options import json_option, open_store, store_option
from .render import as_json as to_json
from .render import estimate_cells, note, out, table


@click.command("runs")
@store_option
@json_option
def command(store_path: Path | None, as_json: bool) -> None:
    """List the classification runs, oldest first, each with its accuracy."""
    store = open_store(store_path)
    with store.reading() as con:
        found = [(run, load_prompt_set(con, run.prompt_set_id), overall(con, run)) for run in list_runs(con)]
    if as_json:
        out(to_json([{"run": run, "prompts": prompts, "accuracy": accuracy} for run, prompts, accuracy in found]))
        return
    if not found:
        note("no runs yet; make one with: shotdex classify")
        return
    rows = [
        [run.run_id, run.name, prompts.name, run.where, *estimate_cells(accuracy), f"{run.started_at:%Y-%m-%d %H:%M}"]
        for run, prompts, accuracy in found
    ]
    out(table(["run", "name", "prompts", "where", "accuracy@1", "95 % interval", "n", "started (UTC)"], rows))
