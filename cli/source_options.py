"""Options on a source and on how its images are encoded, which `index` and `encode` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import click

from shotdex.media.decoding.formats import LISTED_TEXT
from shotdex.store.types import WEB_FILES, WEB_SECONDS, Limits

from .options import Command, device_option

LABELS = (
    "layout",
    "categories",
    "category",
    "condition",
    "split",
    "columns",
    "labels_as_written",
    "all_folders",
    "zip_names",
)
"""The names of the options that say how images are labelled."""


class BatchSize(click.ParamType[int | None]):
    """A number of images, or auto, which is None."""

    name = "batch size"
    _number = click.IntRange(1, 4096)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Return the number, or None for auto."""
        return None if value in (None, "auto") else int(self._number.convert(value, param, ctx))


def _all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return what adds several options, in the order in which help shows them."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def _listed(context: click.Context, option: click.Parameter, names: str | None) -> list[str] | None:
    return None if names is None else names.split(",")


def parsed_roles(context: click.Context, option: click.Parameter, columns: str | None) -> Mapping[str, str] | None:
    """Return what `ROLE=NAME,...` means; a click callback."""
    from shotdex.media.sources.columns import parse_columns

    return None if columns is None else parse_columns(columns)


label_options = _all(
    click.option(
        "--layout",
        metavar="PATTERN",
        help="Meaning of the parts of a path: '{condition}/{category}*', '{split}/{category}/*'.",
    ),
    click.option(
        "--categories",
        callback=_listed,
        metavar="A,B,C",
        help="The category is the longest of these that a file's name starts with as a word (car01, car-2 and CarSide, "
        "not carrot), else the nearest folder of that name. With --layout: the possible values of {category}.",
    ),
    click.option("--category", metavar="X", help="The category of all images."),
    click.option("--condition", metavar="X", help="The condition of all images."),
    click.option("--split", metavar="X", help="The split of all images."),
    click.option(
        "--columns",
        callback=parsed_roles,
        metavar="ROLE=NAME,...",
        help="Which columns of a manifest, or keys of a tar's .json files, are image, category, condition and split: "
        "image=file,category=label. Usual names are recognised without it.",
    ),
    click.option(
        "--labels-as-written/--no-labels-as-written",
        default=None,
        help="Keep the text of cells: nan, NA, N/A, null and None are labels, and 3.0 is not 3.",
    ),
    click.option(
        "--all-folders/--no-all-folders",
        default=None,
        help="Include hidden folders and system folders such as @eaDir, #recycle and .thumbnails.",
    ),
    click.option(
        "--zip-names",
        metavar="ENCODING",
        help="How names are encoded in zip files that do not say so: gbk, shift_jis, cp866, ... UTF-8 is recognised.",
    ),
)
"""How images are labelled: see `LABELS`."""


exclude_option = click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="Leave out images whose names, folders or paths match, as in .gitignore: '*.png', drafts, '2021/raw/*'; "
    "repeatable and remembered. '' excludes none.",
)


def model_options(else_: str, precision: str, auto: str) -> Callable[[Command], Command]:
    """Return the options on the model; what is taken without one of them is said as the ends of sentences."""
    return _all(
        click.option(
            "--model",
            metavar="NAME_OR_PATH",
            help="A CLIP, SigLIP or similar model: hub name (NAME@REVISION pins a version), local folder, or demo. "
            f"{else_}",
        ),
        click.option(
            "--precision",
            type=click.Choice(["float32", "bf16", "fp16", "auto"]),
            help=f"Number format of the computation; part of the encoder's identity. auto: {auto} fastest whose "
            f"vectors stay within a cosine of 0.999 of float32's on a few images. [default: {precision}]",
        ),
        device_option,
        click.option(
            "--batch-size",
            type=BatchSize(),
            metavar="auto|N",
            default="auto",
            show_default=True,
            help="Images per batch.",
        ),
    )


limit_options = _all(
    click.option(
        "--all-formats",
        is_flag=True,
        help=f"Read every format that Pillow reads, not only {LISTED_TEXT}. A truncated image of another format may "
        f"be indexed.",
    ),
    click.option(
        "--max-pixels",
        type=click.IntRange(0),
        default=Limits().pixels,
        metavar="N",
        show_default=True,
        help="Do not decode larger images; 0 lifts this limit and the one on a file's bytes (512 MiB).",
    ),
    click.option(
        "--max-seconds",
        type=click.FloatRange(0),
        default=Limits().seconds,
        metavar="S",
        show_default=True,
        help="Stop decoding an image after this many seconds; 0 lifts the limit.",
    ),
)
"""What one image may cost."""

web_options = _all(
    click.option(
        "--web-timeout",
        type=click.FloatRange(0),
        default=WEB_SECONDS,
        metavar="S",
        show_default=True,
        help="How many seconds a server may take to begin its response; 0 lifts this limit and the one on slow "
        "responses.",
    ),
    click.option(
        "--web-files",
        type=click.IntRange(0),
        default=WEB_FILES,
        metavar="N",
        show_default=True,
        help="How many files and folders a folder on a server may list; 0 lifts this limit and that on nested folders.",
    ),
)
"""What a web server may take."""
