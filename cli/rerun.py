"""`shotdex rerun`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shotdex.formatting import plain, visible

from .options import command_line, device_option, json_option, open_session, store_option
from .render import as_json as to_json
from .render import out

if TYPE_CHECKING:
    from shotdex.analysis.rerun import Rerun


@click.command("rerun")
@click.argument("run", metavar="RUN")
@click.option("--name", metavar="NAME", help="Also save the new predictions, as a run with this name.")
@click.option("--replace", is_flag=True, help="Replace the run that has this name.")
@device_option
@store_option
@json_option
def command(run: str, name: str | None, replace: bool, device: str, store_path: Path | None, as_json: bool) -> None:
    """Repeat a RUN from its record, and report whether the predictions are the same and what changed.

    The record contains every prompt, the filter, the encoder's identity, digests of the images and labels, versions and
    the command. The prompts are encoded again; the images are not. Exits with 1 if the predictions differ.
    """
    found = open_session(store_path, device).rerun(run, name=name, replace=replace, command=command_line())
    out(to_json(plain(found) | {"identical": found.identical}) if as_json else as_text(found))
    if not found.identical:
        sys.exit(1)


def as_text(found: Rerun) -> str:
    """Return what a rerun found, in words."""
    run = found.run
    lines = [f"run {visible(found.name)} of {run.started_at:%Y-%m-%d %H:%M} UTC"]
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
