"""Options that several commands share, and how they reach a store or an encoder."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import shotdex
from shotdex.store.location import user_path

from .render import note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from shotdex import Session

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
    help="The store's folder; else $SHOTDEX_STORE, else the nearest .shotdex upward from here.",
)
model_option = click.option(
    "--model", metavar="NAME", help="Which of the store's encoders, by name or number; needed if it has several."
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where the model runs.",
)
where_option = click.option(
    "--where", metavar="SQL", help="Only images for which this holds, e.g. \"condition = 'blurred'\"."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
by_option = click.option(
    "--by", metavar="COLUMNS", help="Group the images by columns of `images`, such as condition or condition,category."
)
seed_option = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed for the bootstrap."
)
anyway_option = click.option(
    "--anyway", is_flag=True, help="Also with runs that chose among different classes; marks every number."
)
run_option = click.option("--run", metavar="RUN", help="A run's name or number. [default: the newest]")


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
        from shotdex.plots import check_target

        check_target(path)
    return path


def save_figure(figure: Figure, target: Path) -> None:
    """Write a figure to a file, and say so."""
    from shotdex.plots import save

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
