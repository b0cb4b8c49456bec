"""`shotdex search`."""

from __future__ import annotations

from pathlib import Path

import click

from shotdex.query.search import search
from shotdex.store.words import Hit, Question

from .options import device_option, drawable, encoder_loader, model_option, open_store, store_option, where_option
from .render import as_json, as_json_line, note, out, shown_path, table


@click.command("search")
@click.argument("text", required=False)
@click.option(
    "--image", "images", multiple=True, metavar="FILE", help="A picture to look for; may be given repeatedly."
)
@click.option("-k", "k", type=click.IntRange(1), default=10, show_default=True, help="How many images.")
@where_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "jsonl", "paths"]),
    default="table",
    show_default=True,
    help="paths: one a line, for other programs.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option(
    "--sheet",
    type=click.Path(path_type=Path),
    callback=drawable,
    metavar="FILE",
    help="Draw the hits as a contact sheet (.png, .svg).",
)
@model_option
@device_option
@store_option
def command(
    text: str | None,
    images: tuple[str, ...],
    k: int,
    where: str | None,
    form: str,
    sheet: Path | None,
    model: str | None,
    device: str,
    store_path: Path | None,
) -> None:
    """Find the images nearest to TEXT, to a picture, or to both: exact, best first, ties by id.

    \b
    shotdex search "a red car"
    shotdex search "a dog" -k 20 --where "condition = 'silhouettes'" --sheet dogs.png
    shotdex search --image photo.jpg --format paths
    """
    store = open_store(store_path)
    question = Question(texts=(text,) if text else (), images=images, where=where, k=k)
    hits = search(store, question, encoder_loader(device), model)
    render(hits, form)
    if sheet is not None:
        from shotdex.analysis.figures.style import save
        from shotdex.analysis.plots import sheet_plot

        save(sheet_plot(hits, " + ".join([*question.texts, *images])), sheet)
        note(f"wrote {sheet}")


def render(hits: list[Hit], form: str) -> None:
    """Print hits in one of the formats."""
    if form == "json":
        out(as_json(hits))
    elif form == "jsonl":
        for hit in hits:
            out(as_json_line(hit))
    elif form == "paths":
        for hit in hits:
            out(hit.path)
    elif not hits:
        note("no image passes the filter")
    else:
        labels = [name for name in ("category", "condition", "split") if any(getattr(hit, name) for hit in hits)]
        rows = [
            [hit.rank, f"{hit.score:.4f}", *(getattr(hit, name) for name in labels), shown_path(hit.path)]
            for hit in hits
        ]
        out(table(["rank", "cosine", *labels, "path"], rows))
