"""`shotdex duplicates`, `duplicates leaks` and `duplicates conflicts`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from shotdex.analysis.duplicates.effect import ALL_IMAGES, RunEffects, effects
from shotdex.analysis.duplicates.find import SIDES, THRESHOLDS, DuplicateOptions, Duplicates, find_duplicates
from shotdex.analysis.duplicates.rows import (
    all_links,
    closest_links,
    conflicts,
    duplicate_pairs,
    leaks,
    pair_table,
    summary,
)
from shotdex.store.errors import OptionError
from shotdex.store.runs import find_run, list_runs
from shotdex.store.types import Space

from .duplicates_output import Task, as_dict, as_text, draw, print_filter, write_pairs
from .options import drawable, json_option, model_option, open_store, replaced_option, store_option, where_option
from .progress import Bar
from .render import as_json as to_json
from .render import out


def writable(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Check that a file's folder is there before any work is done for it; a click callback."""
    if path is not None and not path.parent.is_dir():
        raise OptionError(f"there is no folder {path.parent} to write {path.name} to", "create it first")
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


_COMMON: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--threshold",
        type=float,
        metavar="COSINE",
        help="The lowest cosine of near duplicates, up to 1. "
        f"[default: {THRESHOLDS[Space.JOINT]}; {THRESHOLDS[Space.VISION]} with --space vision]",
    ),
    click.option(
        "--space",
        type=click.Choice([space.value for space in Space]),
        default=Space.JOINT.value,
        show_default=True,
        help="joint: what text is compared with; vision: the image tower before its projection.",
    ),
    click.option("--limit", type=click.IntRange(0), default=10, show_default=True, help="How many pairs to show."),
    click.option(
        "--sheet",
        type=click.Path(path_type=Path),
        callback=drawable,
        metavar="FILE",
        help="Draw those pairs (.png, .svg).",
    ),
    click.option(
        "--out",
        "target",
        type=click.Path(path_type=Path, dir_okay=False),
        callback=writable,
        metavar="FILE",
        help="Write all such pairs as CSV, with both image ids and the group.",
    ),
    click.option(
        "--as-filter",
        is_flag=True,
        help="Print only a condition for --where that leaves these images out; of copies the first stays.",
    ),
    click.option("--run", multiple=True, metavar="RUN", help="Its accuracy; repeatable. [default: the newest, if any]"),
    where_option,
    model_option,
    store_option,
    json_option,
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
    least the threshold; every pair is compared. Links chain: an image near one of a group belongs to the group. Which
    images count as duplicates depends on the model: look at the weakest pairs before you trust a threshold.

    \b
    shotdex duplicates --weakest --sheet weakest.png
    shotdex duplicates leaks --run my-run
    shotdex classify --where "$(shotdex duplicates --as-filter)"
    """
    if context.invoked_subcommand is not None:
        _check_unused(context)
        return

    def task(found: Duplicates) -> Task:
        title = "Weakest near pairs" if weakest else "Closest pairs"
        shown = duplicate_pairs(found, common.limit, weakest)
        return Task(title, shown, all_links(found), "copies", summary(found))

    run_task(common, "split", task)


@command.command("leaks", short_help="Find duplicates in different splits.")
@click.option(
    "--across",
    type=click.Choice(SIDES),
    default=SIDES[0],
    show_default=True,
    help="The label that duplicates should not bridge. One drawing may be in several conditions on purpose.",
)
@common_options
def leaks_(common: Common, across: str) -> None:
    """Find duplicates in different splits, or conditions, and a run's accuracy without the leaked images.

    An image is leaked when its group of duplicates has an image in another split.

    \b
    shotdex duplicates leaks --run my-run
    shotdex classify --where "$(shotdex duplicates leaks --as-filter)"
    """

    def task(found: Duplicates) -> Task:
        return Task(
            f"Pairs across {across}s",
            leaks(found, common.limit),
            closest_links(found, across),
            "leaks",
            summary(found).leaks,
            found.leaked,
            (ALL_IMAGES, "without leaked"),
        )

    run_task(common, across, task)


@command.command("conflicts", short_help="Find duplicates of different categories.")
@common_options
def conflicts_(common: Common) -> None:
    """Find duplicates of different categories, where one label may be wrong, and a run's accuracy without them.

    \b
    shotdex duplicates conflicts --sheet conflicts.png
    shotdex duplicates conflicts --out conflicts.csv
    """

    def task(found: Duplicates) -> Task:
        return Task(
            "Pairs of two categories: one label may be wrong",
            conflicts(found, common.limit),
            closest_links(found, "category"),
            "conflicts",
            summary(found).conflicts,
            found.conflicting,
            (ALL_IMAGES, "without conflicts"),
        )

    run_task(common, "split", task)


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


def run_task(common: Common, across: str, make: Callable[[Duplicates], Task]) -> None:
    """Search, then print, write and draw what a command shows."""
    if common.as_filter and common.as_json:
        raise OptionError("--as-filter prints a condition, not JSON", "leave out --as-filter or --json")
    store = open_store(common.store_path)
    with store.reading() as con:
        runs = [find_run(con, name) for name in dict.fromkeys(common.run)] or list_runs(con)[-1:]
    options = DuplicateOptions(common.threshold, Space(common.space), across, common.where, common.model)
    with Bar("comparing", " blocks") as bar:
        found = find_duplicates(store, options, bar)
    task = make(found)
    if common.as_filter:
        print_filter(found, task.leave_out)
    else:
        with store.reading() as con:
            changes = [_only(effects(con, run, found), task.effects) for run in runs]
        out(to_json(as_dict(found, task, changes)) if common.as_json else as_text(found, task, changes))
    if common.target is not None:
        write_pairs(pair_table(found, task.links), common.target)
    if common.sheet is not None:
        draw(found, task, common.sheet)


def _only(made: RunEffects, kept: tuple[str, ...] | None) -> RunEffects:
    chosen = tuple(effect for effect in made.effects if kept is None or effect.kept in kept)
    return RunEffects(made.run, made.looked_at, chosen)
