"""Options that several commands share, and how they reach a store or an encoder."""

from __future__ import annotations

import functools
import logging
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

import shotdex
from shotdex.keywords import FilterKeywords
from shotdex.store.errors import OptionError
from shotdex.store.location import user_path
from shotdex.store.types import Space

from .render import note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from shotdex import Session

log = logging.getLogger("shotdex.filters")

Command = TypeVar("Command", bound=Callable[..., Any])


class UserPath(click.Path):
    """A path; `~` at its beginning is the home folder, which no shell expands in `--store=~/x`."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return the path."""
        return super().convert(value if value == "-" else user_path(value), param, ctx)


store_option = click.option(
    "--store",
    "store_path",
    type=UserPath(path_type=Path),
    metavar="DIR",
    help="The store's folder. [default: $SHOTDEX_STORE, or the nearest .shotdex, here or above]",
)
model_option = click.option(
    "--model", metavar="NAME", help="An encoder of the store, by name or number; required if it has several."
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where the model runs.",
)
_FILTERS = (
    click.option(
        "--where", metavar="SQL", help="Only images that meet this condition, e.g. \"condition = 'blurred'\"."
    ),
    click.option(
        "--category", multiple=True, metavar="X", help="Only images of this category; repeat to allow several."
    ),
    click.option(
        "--condition", multiple=True, metavar="X", help="Only images of this condition; repeat to allow several."
    ),
    click.option(
        "--in",
        "folder",
        multiple=True,
        metavar="FOLDER",
        help="Only images in this folder, archive or @selection; repeatable.",
    ),
    click.option(
        "--after", metavar="TIME", help="Only images taken in or after this year, month, day or time: 2021-07."
    ),
    click.option(
        "--before", metavar="TIME", help="Only images taken before this year, month, day or time: 2021-08-15."
    ),
    click.option(
        "--camera", multiple=True, metavar="NAME", help="Only images from a camera whose name contains this: 'EOS R5'."
    ),
    click.option("--near", metavar="LAT,LON", help="Only images taken near this place: 48.86,2.29."),
    click.option("--within", metavar="DISTANCE", help="Distance for --near: 2km, 500m, 1mi.  [default: 1km]"),
)
_RUN = click.option("--run", metavar="RUN", help="Only images that this run, given by name or number, classified.")
_OUTCOME = (
    click.option("--wrong", is_flag=True, help="Only images that the run got wrong. [default run: the newest]"),
    click.option("--right", is_flag=True, help="Only images that the run got right."),
)


def filter_options(own_run: Literal["run", "runs"] | None = None) -> Callable[[Command], Command]:
    """Return a decorator that adds `--where` and the filters that need no SQL; `where` then means all of them.

    A command with a `--run` of its own says under which name: `run` is then also the one of `--wrong` and `--right`,
    and with `runs`, of which there may be several, these two are left out.
    """
    options = (*_FILTERS, *({"run": _OUTCOME, "runs": ()}.get(own_run or "", (_RUN, *_OUTCOME))))

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def called(*arguments: Any, **given: Any) -> Any:
            filters = {
                name: given.pop(name) for name in FilterKeywords.__annotations__ if name in given and name != "run"
            }
            if own_run is None:
                filters["run"] = given.pop("run")
            elif filters.get("wrong") or filters.get("right"):
                filters["run"] = given["run"]
            condition = shotdex.where(given.pop("where"), **filters)
            if condition is not None:
                log.info("filter: %s", condition)
            return command(*arguments, where=condition, **given)

        for option in reversed(options):
            called = option(called)
        return cast("Command", called)

    return decorated


where_option = filter_options()
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
by_option = click.option(
    "--by", metavar="COLUMNS", help="Group the images by columns of `images`, such as condition or condition,category."
)
seed_option = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed for the bootstrap."
)
anyway_option = click.option(
    "--anyway", is_flag=True, help="Allow runs that chose among different classes; marks every number."
)
run_option = click.option("--run", metavar="RUN", help="A run's name or number. [default: the newest]")


def space_option(
    meaning: str = "joint: what text is compared with; vision: the image tower before its projection.",
) -> Callable[[Command], Command]:
    """Return the option for which vectors are meant."""
    spaces = [space.value for space in Space]
    return click.option("--space", type=click.Choice(spaces), default=spaces[0], show_default=True, help=meaning)


def resamples_option(default: int) -> Callable[[Command], Command]:
    """Return the option for how often the bootstrap draws."""
    return click.option(
        "--resamples",
        type=click.IntRange(100, 100_000),
        default=default,
        show_default=True,
        help="Number of bootstrap resamples.",
    )


def replaced_option(name: str, now: Mapping[str, str]) -> Callable[[Command], Command]:
    """Return a hidden option for a former spelling, which fails with the command that replaced each of its values."""

    def fail(context: click.Context, option: click.Parameter, value: str | None) -> None:
        if value is not None:
            use = now.get(value)
            raise click.UsageError(
                f"{name} {value} is now a command or option of its own; use: {use}"
                if use
                else f"{name} is gone; use one of: {', '.join(now.values())}"
            )

    return click.option(name, expose_value=False, hidden=True, callback=fail, help="Replaced.")


def drawable(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Check the name of an image to be written before any work is done for it; a click callback.

    Raises:
        OptionError: another format than the figures have, or no such folder.
    """
    if path is not None:
        from shotdex.figures import check_target

        check_target(path)
    return path


def save_figure(figure: Figure, target: Path) -> None:
    """Write a figure to a file, and say so."""
    from shotdex.figures import save

    save(figure, target)
    note(f"wrote {target}")


def command_line() -> str:
    """Return what the user typed, as it can be typed again."""
    return shlex.join(["shotdex", *sys.argv[1:]])


def open_session(store_path: Path | None, device: str = "auto") -> Session:
    """Open the store that the user means; the first method that reads it reports what is wrong with it."""
    return shotdex.open(store_path, device=device, check=False)


class SectionedCommand(click.Command):
    """Shows its options under headings: `sections` maps a heading to the names of options; the rest come last."""

    def __init__(self, *arguments: Any, sections: Mapping[str, Sequence[str]], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._sections = sections

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does; where a shell put the names of many files for one SOURCE, say how to pass them."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message or all(one.name != "source" for one in self.params):
                raise
            raise OptionError(
                "there is more than one source",
                "pass the folder that holds them, run the command once for each, or pass a list of files: "
                f"ls *.jpg | {ctx.command_path} -",
            ) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section as click writes its one."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        sectioned = {name for names in self._sections.values() for name in names}
        rest = [option.name for option in options if option.name not in sectioned]
        for heading, names in (*self._sections.items(), ("Other options", rest)):
            chosen = [option for name in names for option in options if option.name == name]
            rows = [record for option in chosen if (record := option.get_help_record(ctx)) is not None]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


prompts_option = click.option(
    "--prompts", metavar="SET", help="A prompt set: a TOML file, or a name from `shotdex prompts list`."
)
template_option = click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="TEXT",
    help="Such as 'a photo of a {}.', or a published FILE.json#NAME; repeatable.",
)
classes_option = click.option(
    "--classes",
    metavar="A,B,C",
    help="The classes, or FILE.txt with one class per line, or a published FILE.json#NAME. "
    "[default: the categories of all indexed images]",
)
