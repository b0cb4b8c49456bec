"""`shotdex remove`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

import shotdex
from shotdex.formatting import shown_path, visible
from shotdex.store.errors import OptionError

from .options import filter_options, json_option, store_option
from .render import as_json as to_json
from .render import note, out

if TYPE_CHECKING:
    from shotdex.upkeep.remove import Removed


@click.command("remove")
@click.option("--source", metavar="SOURCE", help="All images of a source, as given to `index`, and its label options.")
@click.option("--encoder", metavar="NAME", help="An encoder, by name or number, with its vectors and runs.")
@filter_options("runs")  # without --run, which could be taken for the removal of a run
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@store_option
@json_option
def command(
    source: str | None,
    encoder: str | None,
    where: str | None,
    yes: bool,
    dry_run: bool,
    store_path: Path | None,
    as_json: bool,
) -> None:
    """Remove images or an encoder from the store for good. The image files are not touched.

    Shows what will be removed and asks for confirmation. Vectors, predictions, maps, FAISS files and text towers are
    removed, too, and the catalog is rewritten without the removed bytes. Runs keep the remaining images; a run without
    any is removed.

    Nothing about removed images is remembered: those still in their source come back with its next `shotdex index`, so
    move them away first.

    \b
    shotdex remove --source photos/old
    shotdex remove --encoder demo
    shotdex remove --where "path LIKE '%/private/%'"
    shotdex remove --in photos/private --before 2020
    """
    if as_json and not (yes or dry_run):
        raise OptionError(
            "--json cannot ask for confirmation", "pass --yes to remove, or --dry-run to see what would be removed"
        )
    with shotdex.open(store_path) as store:
        found = store.remove(source=source, encoder=encoder, where=where, dry_run=True)
        if not as_json:
            out(as_text(found))
        if not dry_run and _anything(found):
            if not yes:
                _ask()
            found = store.remove(source=source, encoder=encoder, where=where)
    if as_json:
        out(to_json(found))
    elif not dry_run and _anything(found):
        _done(found)


def _ask() -> None:
    if not sys.stdin.isatty():
        raise OptionError(
            "nothing was removed, because there is no terminal to ask for confirmation",
            "to remove it without asking: --yes",
        )
    click.confirm("Remove this from the store for good?", abort=True, err=True)


def _anything(found: Removed) -> bool:
    return bool(found.images or found.vectors or found.failures or found.sources or found.encoders)


def as_text(found: Removed) -> str:
    """Return what is to be removed, a line each."""
    if not _anything(found):
        return "nothing in the store matches; nothing is removed"
    counts = {
        "images": found.images,
        "vectors": found.vectors,
        "remembered texts": found.texts,
        "failures": found.failures,
        "predictions": found.predictions,
        "maps": found.maps,
    }
    lines = ["to be removed: " + ", ".join(f"{n:,} {what}" for what, n in counts.items() if n or what == "images")]
    lines += [f"  encoder {visible(name)}" for name in found.encoders]
    lines += [f"  source {visible(shown_path(name))}" for name in found.sources]
    if found.runs:
        lines.append(f"  whole runs: {visible(', '.join(found.runs))}")
    if found.shortened:
        lines.append(f"  runs that keep their other images: {visible(', '.join(found.shortened))}")
    lines += [
        f"  the next index of {visible(shown_path(name))} brings back those that are still there"
        for name in found.returning
    ]
    return "\n".join(lines)


def _done(found: Removed) -> None:
    freed = f"; the catalog is {found.freed_bytes / 1e6:.1f} MB smaller" if found.freed_bytes else ""
    note(f"removed {found.images:,} images and {found.vectors:,} vectors{freed}")
    if not found.compacted:
        note("their bytes are still in the catalog's file, which could not be rewritten: shotdex verify --repair")
