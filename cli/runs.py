"""`shotdex runs`."""

from __future__ import annotations

from pathlib import Path

import click

from shotdex.analysis.coverage import coverage
from shotdex.analysis.results import overall
from shotdex.analysis.stats.proportions import describe
from shotdex.formatting import estimate_cells, table, visible
from shotdex.store.encoders import list_encoders
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.runs import find_run, list_runs
from shotdex.store.types import EncoderId, Estimate, PromptSet, Run

from .options import json_option, open_store, store_option
from .render import as_json as to_json
from .render import note, out


@click.command("runs")
@click.argument("run", required=False, metavar="[RUN]")
@store_option
@json_option
def command(run: str | None, store_path: Path | None, as_json: bool) -> None:
    """List the classification runs, oldest first, each with its accuracy; or show the record of one RUN.

    The record is what it takes to repeat the run: command, encoder, prompts, digests of the data, versions, seed.
    """
    store = open_store(store_path)
    with store.reading() as con:
        runs = list_runs(con) if run is None else [find_run(con, run)]
        found = [(one, load_prompt_set(con, one.prompt_set_id), overall(con, one)) for one in runs]
        encoders = list_encoders(con)
    if as_json:
        listed = [{"run": one, "prompts": prompts, "accuracy": accuracy} for one, prompts, accuracy in found]
        out(to_json(listed if run is None else listed[0] | {"encoder": encoders[found[0][0].encoder_id]}))
        return
    if run is not None:
        out(record(*found[0], encoders[found[0][0].encoder_id]))
        return
    if not found:
        note("no runs yet; make one with: shotdex classify")
        return
    rows = [
        [run.run_id, run.name, prompts.name, run.where, *estimate_cells(accuracy), f"{run.started_at:%Y-%m-%d %H:%M}"]
        for run, prompts, accuracy in found
    ]
    out(table(["run", "name", "prompts", "where", "accuracy@1", "95 % interval", "n", "started (UTC)"], rows))


def record(run: Run, prompts: PromptSet, accuracy: Estimate, encoder: EncoderId) -> str:
    """Return all that is on record about a run."""
    texts = sum(map(len, prompts.classes.values()))
    rows = [
        ("run", f"{run.run_id}, {run.name}"),
        ("accuracy@1", describe(accuracy)),
        ("coverage", str(coverage(run))),
        ("command", run.command or "not recorded"),
        ("prompts", f"{prompts.name}: {texts} for {len(prompts.classes)} classes, combined by {prompts.combine}"),
        ("prompts sha256", prompts.sha256),
        ("encoder", str(encoder)),
        ("weights sha256", encoder.weights_sha256),
        ("preprocessing sha256", encoder.preprocessing_sha256),
        ("filter", run.where or "none"),
        ("data sha256", run.data_sha256 or "not recorded"),
        ("labels sha256", run.labels_sha256 or "not recorded"),
        ("seed", str(run.seed)),
        ("predictions kept", f"{run.k} an image"),
        ("started", f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC, took {run.seconds:.1f} s"),
        ("versions", ", ".join(f"{name} {number}" for name, number in run.versions.items())),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {visible(text)}" for name, text in rows)
