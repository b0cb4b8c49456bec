"""`shotdex export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shotdex.formatting import shown_path, visible
from shotdex.store.errors import OptionError

from .options import UserPath, filter_options, json_option, model_option, open_session, space_option, store_option
from .render import as_json as to_json
from .render import note, out

FORMATS = ("parquet", "csv", "jsonl", "numpy", "atlas", "hf", "fiftyone", "imagefolder", "page")

NAMED = 5
"""Images that were left out which are named one by one."""


@click.command("export")
@click.argument("form", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("target", metavar="PATH", type=UserPath(path_type=Path))
@filter_options("run")
@click.option("--run", metavar="RUN", help="Add a run's outcomes as columns: predicted, probability, correct, ...")
@model_option
@space_option("vision adds the vectors of the image tower before its projection.")
@click.option("--with-gps", is_flag=True, help="Include where images were taken.")
@click.option("--link", is_flag=True, help="Link to image files instead of copying them, if possible.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@json_option
@store_option
def command(
    form: str,
    target: Path,
    as_json: bool,
    store_path: Path | None,
    **options: Any,
) -> None:
    """Write images with labels, vectors and outcomes to PATH, for other programs.

    \b
    parquet      one row an image with its columns and vectors
    csv, jsonl   the same without vectors
    numpy        a folder with vectors.npy, ids.npy and images.csv
    atlas        Parquet for Embedding Atlas: columns, a map and nearest images
    hf           a folder for Hugging Face datasets: images/ and metadata.parquet
    fiftyone     a folder for FiftyOne: data/ and labels.json
    imagefolder  a folder for torchvision's ImageFolder: category/file
    page         the page of shotdex serve as one HTML file: gallery, evaluation
                 and map of up to 20,000 images, without a server

    Existing files are replaced only with --overwrite. The places where images were taken are left out, even from copied
    files, unless --with-gps is passed.

    \b
    shotdex export parquet images.parquet --run names
    shotdex export csv mistakes.csv --run names --where "condition = 'blurred'"
    shotdex export imagefolder dogs/ --where "category = 'dog'" --link
    shotdex export page results.html
    """
    if form == "page":
        _export_page(target, as_json, store_path, **options)
        return
    done = open_session(store_path).export(form, target, progress=True, **options)
    if as_json:
        out(to_json(done))
        return
    out(f"wrote {done.images:,} {'image' if done.images == 1 else 'images'} to {visible(shown_path(str(done.path)))}")
    for path, reason in done.failed[:NAMED]:
        note(f"left out: {shown_path(path)} ({reason})")
    if len(done.failed) > NAMED:
        note(f"left out: {len(done.failed) - NAMED:,} more; --json names all")
    for one in done.notes:
        note(one)


def _export_page(target: Path, as_json: bool, store_path: Path | None, *, overwrite: bool, **others: Any) -> None:
    """Write the page as one file; it holds the whole store, so only --overwrite goes with it."""
    used = [name for name, value in others.items() if value not in (None, False, "joint")]
    if used:
        raise OptionError(f"--{used[0].replace('_', '-')} does not go with page", "a page contains the whole store")
    try:
        from shotdex.web.page_file import export_page
    except ModuleNotFoundError as error:
        raise OptionError(f"the page needs {error.name}", "install it: pip install 'shotdex[web]'") from error
    done = export_page(open_session(store_path), target, overwrite=overwrite)
    if as_json:
        out(to_json(done))
        return
    out(f"wrote {done.images:,} {'image' if done.images == 1 else 'images'} to {visible(shown_path(str(done.path)))}")
    if done.missing:
        note(f"without their image, because the file is gone or broken: {done.missing:,}")
