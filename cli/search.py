"""`shotdex search`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from shotdex.formatting import plain, shown_path, table
from shotdex.models.encoder_pool import EncoderPool
from shotdex.query.search import Ranking, search
from shotdex.store.types import Hit, Query

from .options import device_option, drawable, model_option, open_store, store_option, where_option
from .render import as_json, as_json_line, note, out

SLOW = 0.1
"""Seconds from which an exact search is called slow, and what to do about it is said."""

LEAST = 10_000
"""Images below which there is no approximate index."""


def _folder(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    if path is not None:
        from shotdex.query.copying import check_folder

        check_folder(path)
    return path


@click.command("search")
@click.argument("text", required=False)
@click.option("--image", "images", multiple=True, metavar="FILE", help="An image to search for; repeatable.")
@click.option("-k", "k", type=click.IntRange(1), default=10, show_default=True, help="How many images.")
@where_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "jsonl", "paths"]),
    default="table",
    show_default=True,
    help="paths: one per line, for other programs.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option(
    "--sheet",
    type=click.Path(path_type=Path),
    callback=drawable,
    metavar="FILE",
    help="Draw the hits as a contact sheet (.png, .svg).",
)
@click.option(
    "--copy-to",
    type=click.Path(path_type=Path),
    callback=_folder,
    metavar="DIR",
    help="Copy the images found there, as 01_name.jpg, 02_...; nothing is overwritten.",
)
@click.option("--exact", is_flag=True, help="Compare with every image even if there is an approximate index.")
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
    copy_to: Path | None,
    exact: bool,
    model: str | None,
    device: str,
    store_path: Path | None,
) -> None:
    """Find the images nearest to TEXT, to an image, or to both: best first, ties by id.

    The search is exact, unless an approximate index was built (shotdex approximate), which may miss some; the cosines
    are exact in any case.

    \b
    shotdex search "a red car"
    shotdex search "a dog" -k 20 --where "condition = 'silhouettes'" --sheet dogs.png
    shotdex search --image photo.jpg --format paths
    shotdex search "a boat" -k 50 --copy-to boats/
    """
    store = open_store(store_path)
    query = Query(texts=(text,) if text else (), images=images, where=where, k=k)
    answer = search(store, query, EncoderPool(store, device), model, exact)
    hits = answer.hits
    render(hits, form)
    _suggest(answer, exact)
    if sheet is not None:
        from shotdex.analysis.figures.style import save
        from shotdex.analysis.plots import sheet_plot

        save(sheet_plot(hits, " + ".join([*query.texts, *images])), sheet)
        note(f"wrote {sheet}")
    if copy_to is not None:
        _copy(hits, copy_to)


def _suggest(answer: Ranking, exact: bool) -> None:
    if answer.seconds > SLOW and answer.images >= LEAST and not exact and answer.approximate is None:
        note(
            f"comparing {answer.images:,} images took {answer.seconds:.2f} s; "
            "an approximate index is faster: shotdex approximate"
        )


def _copy(hits: list[Hit], folder: Path) -> None:
    from shotdex.query.copying import copy_images

    copied = copy_images([hit.path for hit in hits], folder)
    for address, reason in copied.failed:
        note(f"not copied: {shown_path(address)} ({reason})")
    note(f"copied {len(copied.paths):,} of {len(hits):,} images to {copied.folder}")
    if copied.failed:
        sys.exit(1)


def _as_dict(hit: Hit) -> dict[str, Any]:
    """Return a hit as JSON has it; `score` is the name that the cosine had until version 0.1."""
    said: dict[str, Any] = plain(hit)
    return said | {"score": hit.cosine}


def render(hits: list[Hit], form: str) -> None:
    """Print hits in one of the formats."""
    if form == "json":
        out(as_json([_as_dict(hit) for hit in hits]))
    elif form == "jsonl":
        for hit in hits:
            out(as_json_line(_as_dict(hit)))
    elif form == "paths":
        for hit in hits:
            out(hit.path, exact=True)
    elif not hits:
        note("no image passes the filter")
    else:
        labels = [name for name in ("category", "condition", "split") if any(getattr(hit, name) for hit in hits)]
        rows = [
            [hit.rank, f"{hit.cosine:.4f}", *(getattr(hit, name) for name in labels), shown_path(hit.path)]
            for hit in hits
        ]
        out(table(["rank", "cosine", *labels, "path"], rows))
