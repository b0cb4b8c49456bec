"""`shotdex search`."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

import click

import shotdex
from shotdex.arranged import GROUPS, SORTS
from shotdex.engines import SEARCHED
from shotdex.store.errors import OptionError
from shotdex.store.types import BYTES_LIMIT, PIXEL_LIMIT

from .options import (
    SectionedCommand,
    UserPath,
    device_option,
    model_option,
    open_session,
    space_option,
    store_option,
    where_option,
)
from .rows import FORMATS, PATHS
from .search_output import Output


class SearchCommand(SectionedCommand):
    """Takes a word such as `-1:dog` for a part with a weight below 0 and not for an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        try:
            return super().parse_args(ctx, [re.sub(r"^-(?=[\d.]+:)", "\u2212", word) for word in args])
        except click.NoSuchOption as error:
            meant = next((word for word in args if re.match(r"-[^\W\d]{2}", word)), None)
            if error.option_name.startswith("--") or meant is None:
                raise
            message = f"No such option: {meant}. To subtract, put a blank after the sign: - {meant[1:]}"
            raise click.UsageError(message, ctx) from error


def _like(text: str) -> int | str:
    """Return an image id, or the name of a selection with its `@`, as they are written in the options.

    Raises:
        OptionError: it is neither.
    """
    if text.startswith("@"):
        return text
    bare = text.removeprefix("#")
    if not bare.isdecimal() or len(bare) > 18:
        raise OptionError(
            f"{text!r} is not the id of an image",
            "pass a number of the column image_id, as --like 12, or --like @NAME; for an image file: --image FILE",
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
    "Query": ("images", "like", "space", "with_itself", "model", "max_pixels", "device", "exact"),
    "Filter": ("where", "category", "condition", "folder", "run", "wrong", "right"),
    "Order": ("k", "skip", "least", "min_score", "min_z", "sort", "group_by", "collapse"),
    "Output": ("form", "nul", "fields", "wide", "show", "opened", "engine"),
    "Filter by what the camera wrote": ("after", "before", "camera", "near", "within"),
    "Files": ("sheet", "copy_to", "link_to", "changed", "save"),
}


@click.command("search", cls=SearchCommand, sections=SECTIONS)
@click.argument("words", nargs=-1, metavar="[WORDS]...")
@click.option("--image", "images", multiple=True, metavar="FILE|URL|-", help="An image to search for; repeatable.")
@click.option(
    "--like",
    multiple=True,
    metavar="ID|@NAME",
    help="Find images like the indexed one with this image_id, or like a saved selection; repeatable.",
)
@space_option("vision: images that look alike, regardless of their subject; for --image and --like.")
@click.option("--with-itself", is_flag=True, help="Also find the query images themselves, and their exact copies.")
@click.option("-k", "k", type=click.IntRange(1), default=10, show_default=True, help="How many images.")
@click.option("--skip", type=click.IntRange(0), default=0, metavar="N", help="Skip the best N, for the next page.")
@click.option("--sort", type=click.Choice(SORTS), default=SORTS[0], show_default=True, help="Order of the k images.")
@click.option("--group-by", type=click.Choice(GROUPS), help="Show images with the same label together.")
@click.option("--collapse", is_flag=True, help="Show near-duplicates once, with +N for N more of them.")
@click.option("--least", is_flag=True, help="Find the least similar images instead, lowest cosine first.")
@click.option("--min-score", type=float, metavar="X", help="Only images with at least this cosine.")
@click.option(
    "--min-z",
    type=float,
    metavar="Z",
    help="Only images with at least this z, which is comparable between texts, images and models; 3 is strict.",
)
@where_option
@click.option(
    "--format",
    "form",
    type=click.Choice([*FORMATS, PATHS]),
    help="How to print the hits; paths: one per line, for other programs.  [default: table]",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option("-0", "--print0", "nul", is_flag=True, help="Print paths with a NUL after each, for xargs -0.")
@click.option("--fields", metavar="NAMES", help="Which fields to print, such as path,cosine.")
@click.option("--wide", is_flag=True, help="Show whole paths, however narrow the terminal.")
@click.option("--show", is_flag=True, help="Also show the images found in the terminal, but not in a pipe.")
@click.option("--open", "opened", is_flag=True, help="Open the images found, at most 20, in the system's viewer.")
@click.option(
    "--sheet",
    type=UserPath(path_type=Path),
    metavar="FILE",
    help="Draw the hits as a contact sheet (.png, .svg).",
)
@click.option(
    "--copy-to",
    type=UserPath(path_type=Path),
    metavar="DIR",
    help="Copy the images found there, as 01_name.jpg, 02_...; nothing is overwritten.",
)
@click.option(
    "--link-to",
    type=UserPath(path_type=Path),
    metavar="DIR",
    help="Create symbolic links to the images found there, named like copies.",
)
@click.option(
    "--save",
    metavar="NAME",
    help="Save the images found as a selection, @NAME in --where and --like of any command.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(0),
    default=PIXEL_LIMIT,
    metavar="N",
    show_default=True,
    help="Maximum size of an --image, unless one as large is indexed; 0 lifts this limit and the one on a file's "
    "bytes.",
)
@click.option(
    "--changed",
    is_flag=True,
    help="Also show and copy images that changed since they were indexed.",
)
@click.option("--exact", is_flag=True, help="Compare with every image, even if there is an approximate index.")
@click.option(
    "--engine",
    type=click.Choice(SEARCHED),
    default=SEARCHED[0],
    show_default=True,
    help="Which engine to use; auto: Milvus if it was added and is ready, else FAISS.",
)
@model_option
@device_option
@store_option
def command(
    words: tuple[str, ...],
    images: tuple[str, ...],
    like: tuple[str, ...],
    device: str,
    store_path: Path | None,
    **how: Any,
) -> None:
    """Find the images nearest to WORDS, to images, or to both: best first, ties by id.

    WORDS form one text; + and - between words add and subtract texts, and 2:dog counts twice. The path or URL of an
    image stands for that image, '#12' for the indexed image with that id, and @NAME for a saved selection. z is the
    number of standard deviations by which a cosine exceeds the mean of all images for this query.

    The search is exact unless an approximate index was built (shotdex approximate, or shotdex engine add with a --kind
    other than FLAT), which may miss some images. Cosines are always exact.

    \b
    shotdex search a red car
    shotdex search horse + stripes - "a zoo"
    shotdex search "2:golden retriever" + ./pool.jpg --min-z 3
    shotdex search "a dog" -k 20 --where "condition = 'blurred'" --sheet dogs.png
    shotdex search --like 1845 --space vision --format paths
    shotdex search "a boat" -k 50 --copy-to boats/
    shotdex search "a boat" --min-z 3 -k 500 --save boats
    shotdex search sunset --where @boats
    """
    output = Output(**{field.name: how.pop(field.name) for field in dataclasses.fields(Output)})
    output.check()
    found = open_session(store_path, device).search(
        *shotdex.parse_query(words), image=[_image(one) for one in images], like=[_like(one) for one in like], **how
    )
    output.write(found)
