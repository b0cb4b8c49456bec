"""`shotdex approximate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import json_option, model_option, open_session, store_option
from .render import as_json as to_json
from .render import note, out

if TYPE_CHECKING:
    from shotdex.store.engines.inverted_file import Figures, Recall


@click.command("approximate")
@click.option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.98,
    show_default=True,
    help="Share of the ten nearest images that searches have to find.",
)
@click.option("--drop", "away", is_flag=True, help="Delete the index; searches are exact again.")
@model_option
@store_option
@json_option
def command(recall: float, away: bool, model: str | None, store_path: Path | None, as_json: bool) -> None:
    """Build an approximate index, for stores in which an exact search takes too long.

    The index is an inverted file: each vector is in the list of its nearest centroid, and a search compares only the
    vectors in the lists nearest to the query. Cosines stay exact. How much it misses is measured on the store's own
    vectors: on images not used for training, and on the texts that the store remembers. `search` uses the index unless
    --exact is passed, and also searches images added later. Classification never uses it; the number of predictions
    that it would change is measured and shown.

    \b
    shotdex approximate
    shotdex approximate --recall 0.999
    shotdex approximate --drop
    """
    session = open_session(store_path)
    if away:
        dropped = session.drop_approximate(model=model)
        note("deleted the approximate index" if dropped else "there was no approximate index")
        return
    figures = session.approximate(recall=recall, model=model, progress=True)
    out(to_json(figures) if as_json else as_text(figures))


def as_text(figures: Figures, indent: str = "") -> str:
    """Return what was measured, as text."""
    lines = [
        f"approximate index: {figures.cells:,} centroids over {figures.rows:,} images, nprobe {figures.probes:,}",
        f"  recall@10 of images {_recall(figures.images)}",
        f"  recall@10 of texts {_recall(figures.texts)}"
        if figures.texts
        else "  recall@10 of texts not measured: the store remembers none; search for some, then build again",
        f"  {figures.times_faster:.1f} times faster: {1000 * figures.seconds:.1f} ms instead of "
        f"{1000 * figures.exact_seconds:.1f} ms; built in {figures.built_seconds:.0f} s",
    ]
    lines += [
        f"  run {run.run} compared all images; the index would change {run.changed:,} of {run.images:,} predictions"
        for run in figures.runs
    ]
    return "\n".join(indent + line for line in lines)


def _recall(recall: Recall) -> str:
    return f"{recall.value:.3f} ({recall.questions:,} queries, {recall.looked_at:.1%} of the images compared)"
