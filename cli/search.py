"""`shotdex search`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import shotdex
from shotdex.engines import SEARCHED
from shotdex.formatting import plain, shown_path, table, z_cell
from shotdex.store.errors import OptionError
from shotdex.store.types import BYTES_LIMIT, PIXEL_LIMIT, Hit

from .options import (
    SectionedCommand,
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


class SearchCommand(SectionedCommand):
    """Takes a word such as `-1:dog` for a part with a weight below 0 and not for an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        return super().parse_args(ctx, [re.sub(r"^-(?=[\d.]+:)", "\u2212", word) for word in args])


def _id(text: str) -> int:
    """Return an image id, as it is written in the options.

    Raises:
        OptionError: it is not a number.
    """
    bare = text.removeprefix("#")
    if not bare.isdecimal() or len(bare) > 18:
        raise OptionError(
            f"{text!r} is not the id of an image",
            "pass a number of the column image_id, as --like 12; for an image file: --image FILE",
        )
    return int(bare)


def _image(address: str) -> str | bytes:
    """Return an address, or what standard input holds where it is `-`.

    Raises:
        OptionError: standard input is a terminal, or empty.
    """
    if address != "-":
        return address
    if sys.stdin.isatty():
        raise OptionError("--image - reads an image from a pipe", "cat photo.jpg | shotdex search --image -")
    data = sys.stdin.buffer.read(BYTES_LIMIT + 1)
    if not data:
        raise OptionError("there is nothing in standard input", "cat photo.jpg | shotdex search --image -")
    return data


SECTIONS = {
    "Query": ("images", "like", "space", "with_itself", "model", "max_pixels", "device"),
    "Filter": ("where", "min_score", "min_z"),
    "Order": ("k", "least", "exact", "engine"),
    "Output": ("form", "sheet", "copy_to", "changed"),
}


@click.command("search", cls=SearchCommand, sections=SECTIONS)
@click.argument("words", nargs=-1, metavar="[WORDS]...")
@click.option("--image", "images", multiple=True, metavar="FILE|URL|-", help="An image to search for; repeatable.")
@click.option(
    "--like", multiple=True, metavar="ID", help="Find images like this indexed one, by its image_id; repeatable."
)
@click.option(
    "--space",
    type=click.Choice(["joint", "vision"]),
    default="joint",
    show_default=True,
    help="vision: images that look alike, whatever they show; for --image and --like.",
)
@click.option("--with-itself", is_flag=True, help="Also find the images that are searched for, and their exact copies.")
@click.option("-k", "k", type=click.IntRange(1), default=10, show_default=True, help="How many images.")
@click.option("--least", is_flag=True, help="Find the least similar images instead, lowest cosine first.")
@click.option("--min-score", type=float, metavar="X", help="Only images with at least this cosine.")
@click.option(
    "--min-z",
    type=float,
    metavar="Z",
    help="Only images with at least this z, which means the same for texts, images and models; 3 is strict.",
)
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
    words: tuple[str, ...],
    images: tuple[str, ...],
    like: tuple[str, ...],
    form: str,
    sheet: Path | None,
    copy_to: Path | None,
    changed: bool,
    device: str,
    store_path: Path | None,
    **how: Any,
) -> None:
    """Find the images nearest to WORDS, to images, or to both: best first, ties by id.

    Words make one text; + and - between them add and subtract. 2:dog counts twice. The path or URL of an image is that
    image, and '#12' the indexed image with that id. z says how many standard deviations a cosine is above the mean of
    all images for this query.

    The search is exact, unless an approximate index was built (shotdex approximate, or shotdex engine add with a --kind
    other than FLAT), which may miss some; the cosines are exact in any case.

    \b
    shotdex search a red car
    shotdex search horse + stripes - "a zoo"
    shotdex search "2:golden retriever" + ./pool.jpg --min-z 3
    shotdex search "a dog" -k 20 --where "condition = 'silhouettes'" --sheet dogs.png
    shotdex search --like 1845 --space vision --format paths
    shotdex search "a boat" -k 50 --copy-to boats/
    """
    found = open_session(store_path, device).search(
        *shotdex.parse_query(words), image=[_image(one) for one in images], like=[_id(one) for one in like], **how
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
            [
                hit.rank,
                f"{hit.cosine:.4f}",
                z_cell(hit.z),
                *(getattr(hit, name) for name in labels),
                shown_path(hit.path),
            ]
            for hit in hits
        ]
        out(table(["rank", "cosine", "z", *labels, "path"], rows))
