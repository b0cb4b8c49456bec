"""`shotdex search`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from shotdex.engines import SEARCHED
from shotdex.formatting import plain, shown_path, table
from shotdex.store.types import PIXEL_LIMIT, Hit

from .options import (
    UserPath,
    device_option,
    drawable,
    model_option,
    open_session,
    save_figure,
    store_option,
    where_option,
)
from .render import as_json, as_json_line, note, out


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
    type=UserPath(path_type=Path),
    callback=drawable,
    metavar="FILE",
    help="Draw the hits as a contact sheet (.png, .svg).",
)
@click.option(
    "--copy-to",
    type=UserPath(path_type=Path),
    callback=_folder,
    metavar="DIR",
    help="Copy the images found there, as 01_name.jpg, 02_...; nothing is overwritten.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(0),
    default=PIXEL_LIMIT,
    metavar="N",
    show_default=True,
    help="Reject a larger --image, unless one as large is indexed; 0 lifts this limit and the one on a file's bytes.",
)
@click.option(
    "--changed", is_flag=True, help="Also draw and copy images that changed since they were indexed; else left out."
)
@click.option("--exact", is_flag=True, help="Compare with every image even if there is an approximate index.")
@click.option(
    "--engine",
    type=click.Choice(SEARCHED),
    default=SEARCHED[0],
    show_default=True,
    help="What to search through; auto: Milvus if it was added and is ready, else FAISS.",
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
    copy_to: Path | None,
    changed: bool,
    exact: bool,
    engine: str,
    max_pixels: int,
    model: str | None,
    device: str,
    store_path: Path | None,
) -> None:
    """Find the images nearest to TEXT, to an image, or to both: best first, ties by id.

    The search is exact, unless an approximate index was built (shotdex approximate, or shotdex engine add with a --kind
    other than FLAT), which may miss some; the cosines are exact in any case.

    \b
    shotdex search "a red car"
    shotdex search "a dog" -k 20 --where "condition = 'silhouettes'" --sheet dogs.png
    shotdex search --image photo.jpg --format paths
    shotdex search "a boat" -k 50 --copy-to boats/
    """
    texts = () if text is None else (text,)
    found = open_session(store_path, device).search(
        *texts, image=images, where=where, k=k, model=model, exact=exact, engine=engine, max_pixels=max_pixels
    )
    render(found, form)
    for one in found.notes:
        note(one)
    if sheet is not None:
        for hit in [] if changed else found.changed():
            note(f"left out of {sheet}: {shown_path(hit.path)} (changed since it was indexed; --changed shows it)")
        save_figure(found.sheet(changed=changed), sheet)
    if copy_to is not None:
        copied = found.copy_to(copy_to, changed=changed)
        note(f"copied {len(copied):,} of {len(found):,} images to {copy_to}")


def render(hits: Sequence[Hit], form: str) -> None:
    """Print hits in one of the formats."""
    if form in ("json", "jsonl"):
        # `score` is the name that the cosine had until version 0.1.
        said: list[dict[str, Any]] = [plain(hit) | {"score": hit.cosine} for hit in hits]
        if form == "json":
            out(as_json(said))
        else:
            for one in said:
                out(as_json_line(one))
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
