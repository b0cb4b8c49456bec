"""`shotdex rerun`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shotdex.analysis.classify import classify
from shotdex.analysis.coverage import marked_name
from shotdex.analysis.rerun import Rerun, rerun, wanted_again
from shotdex.formatting import plain, visible
from shotdex.models.encoder_pool import EncoderPool
from shotdex.store.runs import find_run, next_run

from .options import command_line, device_option, json_option, open_store, store_option
from .render import as_json as to_json
from .render import out


@click.command("rerun")
@click.argument("run", metavar="RUN")
@click.option("--name", metavar="NAME", help="Also keep the new predictions, as a run of this name.")
@device_option
@store_option
@json_option
def command(run: str, name: str | None, device: str, store_path: Path | None, as_json: bool) -> None:
    """Repeat a RUN from its record, and report whether the predictions are the same and what changed.

    The record holds every prompt, the filter, the encoder's identity, digests of the images and labels, versions and
    the command. The prompts are encoded again, the images are not. Exits with 1 if the predictions are not the same.
    """
    store = open_store(store_path)
    with store.reading() as con:
        recorded = find_run(con, run)
        next_run(con, name)  # a name already taken is said before the work, not after
    load = EncoderPool(store, device).model
    found = rerun(store, recorded, load)
    if name is not None:
        with store.reading() as con:
            wanted = wanted_again(con, recorded, name, command_line())
        classify(store, wanted, load)
    out(to_json(plain(found) | {"identical": found.identical}) if as_json else as_text(found))
    if not found.identical:
        sys.exit(1)


def as_text(found: Rerun) -> str:
    """Return what a rerun gave, in words."""
    run = found.run
    lines = [f"run {visible(marked_name(run))} of {run.started_at:%Y-%m-%d %H:%M} UTC"]
    if run.command:
        lines.append(f"made by: {visible(run.command)}")
    lines += [f"changed: {visible(change)}" for change in found.changes] or ["changed: nothing on record"]
    lines += [f"not compared: {visible(note)}" for note in found.unchecked]
    if found.identical:
        lines.append(
            f"the same predictions for all {found.same:,} images; cosines differ by at most {found.largest:.2g}"
        )
    else:
        lines.append(
            f"not the same: {found.same:,} images have the same predictions, {found.different:,} others; "
            f"{found.gone:,} no longer exist, {found.new:,} are new"
        )
    return "\n".join(lines)
