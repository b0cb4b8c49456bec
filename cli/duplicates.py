"""`shotdex duplicates`, `duplicates leaks` and `duplicates conflicts`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shotdex.duplicates import SIDES, THRESHOLDS
from shotdex.store.errors import OptionError
from shotdex.store.types import Space

from .duplicates_output import as_dict, as_text, is_table_of_pairs, print_filter, write_pairs
from .options import (
    UserPath,
    drawable,
    filter_options,
    json_option,
    model_option,
    open_session,
    replaced_option,
    save_figure,
    space_option,
    store_option,
)
from .render import as_json as to_json
from .render import note, out, wrapped
from .rows import format_option, rows_printed

if TYPE_CHECKING:
    from shotdex.duplicates import Show

_TITLES = {
    "weakest": "Weakest near pairs",
    "pairs": "Closest pairs",
    "leaks": "Pairs across {across}s",
    "conflicts": "Pairs of two categories: one label may be wrong",
}


def writable(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Check that a table can be written before any work is done for it; a click callback.

    Raises:
        OptionError: the folder is not there, or a file is there that does not begin as such a table does.
    """
    if path is not None and not path.parent.is_dir():
        raise OptionError(f"there is no folder {path.parent} to write {path.name} to", "create it first")
    if path is not None and path.exists() and not is_table_of_pairs(path):
        raise OptionError(
            f"{path} exists and is not a table of pairs that shotdex wrote, so it was not changed",
            "choose another name, or remove it first",
        )
    return path


@dataclass(frozen=True, slots=True)
class Common:
    """The options that all three commands have."""

    threshold: float | None
    space: str
    limit: int
    sheet: Path | None
    target: Path | None
    as_filter: bool
    run: tuple[str, ...]
    where: str | None
    model: str | None
    store_path: Path | None
    as_json: bool
    form: str | None


_COMMON: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--threshold",
        type=float,
        metavar="COSINE",
        help="The lowest cosine of near duplicates, up to 1. "
        f"[default: {THRESHOLDS[Space.JOINT]}; {THRESHOLDS[Space.VISION]} with --space vision]",
    ),
    space_option(),
    click.option("--limit", type=click.IntRange(0), default=10, show_default=True, help="How many pairs to show."),
    click.option(
        "--sheet",
        type=UserPath(path_type=Path),
        callback=drawable,
        metavar="FILE",
        help="Draw those pairs (.png, .svg).",
    ),
    click.option(
        "--out",
        "target",
        type=UserPath(path_type=Path, dir_okay=False),
        callback=writable,
        metavar="FILE",
        help="Write all such pairs as CSV, with both image ids and the group.",
    ),
    click.option(
        "--as-filter",
        is_flag=True,
        help="Print only a condition for --where that leaves these images out, except the first of several copies.",
    ),
    click.option(
        "--run",
        multiple=True,
        metavar="RUN",
        help="A run whose accuracy to show; repeatable. [default: the newest, if any]",
    ),
    filter_options("runs"),
    model_option,
    store_option,
    json_option,
    format_option,
)


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that all three have; it gets them as its first argument, `Common`."""

    @wraps(command)
    def collected(*arguments: Any, **given: Any) -> None:
        common = Common(**{field.name: given.pop(field.name) for field in fields(Common)})
        command(common, *arguments, **given)

    decorated = collected
    for option in reversed(_COMMON):
        decorated = option(decorated)
    return decorated


@click.group("duplicates", invoke_without_command=True)
@click.option("--weakest", is_flag=True, help="Show the near pairs with the lowest cosine, not the closest pairs.")
@common_options
@replaced_option(
    "--show",
    {
        "leaks": "shotdex duplicates leaks",
        "conflicts": "shotdex duplicates conflicts",
        "weakest": "shotdex duplicates --weakest",
        "closest": "shotdex duplicates",
    },
)
@replaced_option(
    "--filter",
    {
        "copies": "shotdex duplicates --as-filter",
        "leaks": "shotdex duplicates leaks --as-filter",
        "conflicts": "shotdex duplicates conflicts --as-filter",
    },
)
@replaced_option(
    "--across",
    {
        "split": "shotdex duplicates leaks",
        "condition": "shotdex duplicates leaks --across condition",
    },
)
@click.pass_context
def command(context: click.Context, common: Common, weakest: bool) -> None:
    """Find exact copies and near duplicates of images, and what they do to a run's accuracy.

    Exact copies have the same bytes (in IDX files: the same pixels). Near duplicates have vectors whose cosine is at
    least the threshold; every pair is compared. Groups are transitive: an image near any image of a group belongs to
    the group. Which images count as duplicates depends on the model, so look at the weakest pairs before you trust a
    threshold.

    \b
    shotdex duplicates --weakest --sheet weakest.png
    shotdex duplicates leaks --run my-run
    shotdex classify --where "$(shotdex duplicates --as-filter)"
    """
    if context.invoked_subcommand is not None:
        _check_unused(context)
        return

    run_task(common, "pairs", weakest=weakest)


@command.command("leaks", short_help="Find duplicates in different splits.")
@click.option(
    "--across",
    type=click.Choice(SIDES),
    default=SIDES[0],
    show_default=True,
    help="The label that duplicates should not cross. One drawing may be in several conditions on purpose.",
)
@common_options
def leaks_(common: Common, across: str) -> None:
    """Find duplicates in different splits, or conditions, and a run's accuracy without the leaked images.

    An image is leaked if its group of duplicates has an image in another split.

    \b
    shotdex duplicates leaks --run my-run
    shotdex classify --where "$(shotdex duplicates leaks --as-filter)"
    """

    run_task(common, "leaks", across)


@command.command("conflicts", short_help="Find duplicates of different categories.")
@common_options
def conflicts_(common: Common) -> None:
    """Find duplicates in different categories, one of which may be wrong, and a run's accuracy without them.

    \b
    shotdex duplicates conflicts --sheet conflicts.png
    shotdex duplicates conflicts --out conflicts.csv
    """

    run_task(common, "conflicts")


def _check_unused(context: click.Context) -> None:
    """Refuse options in front of a sub-command, which would be lost."""
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        name = f"shotdex duplicates {context.invoked_subcommand}"
        raise click.UsageError(f"Write {', '.join(given)} after the command: {name} {given[0]} ...", context)


def run_task(common: Common, show: Show, across: str = "split", weakest: bool = False) -> None:
    """Search, then print, write and draw what a command shows."""
    as_json = common.as_json or common.form == "json"
    if common.as_filter and (as_json or common.form is not None):
        raise OptionError("--as-filter prints a condition, not rows", "leave out --as-filter, --json or --format")
    found = open_session(common.store_path).duplicates(
        show,
        threshold=common.threshold,
        space=common.space,
        across=across,
        where=common.where,
        model=common.model,
        run=common.run,
        limit=common.limit,
        weakest=weakest,
        progress=True,
    )
    title = _TITLES["weakest" if weakest else show].format(across=across)
    if common.as_filter:
        print_filter(found)
    elif not rows_printed(found, common.form):
        out(to_json(as_dict(found)) if as_json else wrapped(as_text(found, title)))
    if common.target is not None:
        write_pairs(found.all_pairs(), common.target)
    if common.sheet is not None and not found:
        note(f"no pairs to draw, so {common.sheet} is not written")
    elif common.sheet is not None:
        save_figure(found.figure(title), common.sheet)
