"""The options that all figures have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from .options import Command, UserPath, drawable

LOOKS = ("title", "size", "dpi", "theme", "percent", "order")
"""The names of the options of how a figure is drawn."""


def figure_options(kind: str) -> Callable[[Command], Command]:
    """Return the options that all figures have: the file, the title, and how it is drawn."""
    target = click.option(
        "--out",
        "target",
        type=UserPath(path_type=Path),
        default=f"{kind}.png",
        show_default=True,
        callback=drawable,
        metavar="FILE",
        help="The file to write: .png, .svg or .pdf.",
    )

    def decorated(command: Command) -> Command:
        return target(look_options(kind)(command))

    return decorated


def look_options(kind: str) -> Callable[[Command], Command]:
    """Return the options of how a figure is drawn."""
    looks = (
        click.option("--title", metavar="TEXT", help="Title, instead of the figure's own."),
        click.option("--size", metavar="SIZE", help="Width, or width x height: 89mm, 183x120mm, 3.5in."),
        click.option(
            "--dpi", type=click.IntRange(50, 1200), default=200, show_default=True, help="Resolution of a PNG."
        ),
        click.option(
            "--theme",
            type=click.Choice(["light", "dark", "paper"]),
            default="light",
            show_default=True,
            help="paper: 89 or 183 mm wide, all type at 7 points.",
        ),
        click.option("--percent", is_flag=True, help="Write accuracies and rates as percentages."),
        click.option("--order", metavar="NAMES", help=_ORDER.get(kind, _ORDER[""])),
    )

    def decorated(command: Command) -> Command:
        for option in reversed(looks):
            command = option(command)
        return command

    return decorated


_RUNS = "Names of runs that come first, separated by commas."
_ORDER = {
    "": "Names (of conditions or categories) that come first, separated by commas.",
    "confusion": "given, clustered (by what is confused), or names that come first. "
    "[default: clustered if more than 12]",
    "reliability": _RUNS,
    "selective": _RUNS,
    "topk": _RUNS,
    "map": "Labels that come first in the legend, separated by commas.",
    "umap": "Labels that come first in the legend, separated by commas.",
    "tsne": "Labels that come first in the legend, separated by commas.",
    "probe": "Methods that come first, separated by commas.",
}
