"""What every command has: `-q` and `-v`, `--store` before its name, `help`, and completion of names from the store."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, get_completion_class

import shotdex
from shotdex.store.location import VARIABLE, user_path

from . import render

if TYPE_CHECKING:
    from shotdex import Session

_LEVELS = {"": logging.WARNING, "shotdex.waiting": logging.INFO}
"""What loggers say without --quiet."""

SHELLS = ("bash", "zsh", "fish")


def _be_quiet(context: click.Context, option: click.Parameter, quiet: bool) -> None:
    if quiet:
        render.say_less(True)
        os.environ["TQDM_DISABLE"] = "1"  # read by every progress bar, those of libraries included
        for name in _LEVELS:
            logging.getLogger(name).setLevel(logging.ERROR)
        context.find_root().call_on_close(_as_before)


def _as_before() -> None:
    render.say_less(False)
    os.environ.pop("TQDM_DISABLE", None)
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)


def _be_verbose(context: click.Context, option: click.Parameter, verbose: bool) -> None:
    if verbose:
        logging.getLogger("shotdex").setLevel(logging.INFO)
        started = time.monotonic()
        context.find_root().call_on_close(lambda: logging.getLogger("shotdex").setLevel(logging.NOTSET))
        context.find_root().call_on_close(lambda: render.note(f"took {time.monotonic() - started:.2f} s"))


def shared_options(hidden: bool = True) -> list[click.Option]:
    """Return the options that every command takes. The help of `shotdex` alone shows them, not that of each command."""
    every = partial(click.Option, is_flag=True, expose_value=False, is_eager=True, hidden=hidden)
    said = "Print only results and errors: no progress, no notes. Like --verbose, also valid after the command."
    more = "Also print what is being done, and how long it took."
    return [
        every(["-q", "--quiet"], callback=_be_quiet, help=said),
        every(["-v", "--verbose"], callback=_be_verbose, help=more),
    ]


def _use_store(context: click.Context, option: click.Parameter, path: str | None) -> None:
    if path is None:
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(user_path(path))

    def restore() -> None:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before

    context.call_on_close(restore)


store_before = click.option(
    "--store",
    metavar="DIR",
    expose_value=False,
    is_eager=True,
    callback=_use_store,
    help="The store's folder; can also be given after the command.",
)


def prepared(command: click.Command) -> click.Command:
    """Add to a command, and to those below it, what every command has; each is changed once."""
    if getattr(command, "prepared", False):
        return command
    command.prepared = True  # type: ignore[attr-defined]
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            if below is not None:
                prepared(below)
    taken = {spelling for param in command.params for spelling in param.opts}
    command.params += [one for one in shared_options() if not taken & set(one.opts)]
    for param in command.params:
        if not isinstance(param.type, click.Choice):
            param.shell_complete = partial(_complete, param)  # type: ignore[method-assign]
    return command


Names = Callable[["Session"], Iterator[str]]


def _names(param: click.Parameter) -> Names | None:
    """Return where the values of an option or argument come from, judged by the name it has in the help."""
    named = (param.metavar or "").strip("[].").split(" ")[0].rstrip(".").removesuffix("_A").removesuffix("_B")
    if named == "RUN":
        return lambda session: (str(run.name) for run in session.runs())
    if named == "SET":
        return lambda session: (row.name for row in session.prompt_sets())
    if named == "COLUMNS" or param.name == "by":
        return lambda session: iter(session.sql("FROM images LIMIT 0").columns)
    if param.name == "model":
        return lambda session: (row[0] for row in session.sql("SELECT name FROM encoders ORDER BY 1"))
    if named == "NAME" and param.name in ("baseline", "baselines"):
        return lambda session: (row[0] for row in session.sql("SELECT DISTINCT name FROM baselines ORDER BY 1"))
    return None


def _complete(param: click.Parameter, context: click.Context, begun: str) -> list[CompletionItem]:
    if (names := _names(param)) is None:
        return type(param).shell_complete(param, context, begun)
    with suppress(Exception):  # a TAB is no place for an error
        store: Any = context.params.get("store_path")
        session = shotdex.open(Path(store) if store else None, check=False)
        *before, last = begun.split(",")
        head = "".join(f"{one}," for one in before)
        return [CompletionItem(head + name) for name in names(session) if name.startswith(last)]
    return []


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def help_command(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command, such as `shotdex help plot map`."""
    above = context.find_root()
    command: click.Command = above.command
    shown = above
    for word in words:
        below = command.get_command(shown, word) if isinstance(command, click.Group) else None
        if below is None:
            raise click.UsageError(f"There is no command {' '.join(words)!r}.", above)
        shown = click.Context(below, parent=shown, info_name=word)
        command = below
    render.out(command.get_help(shown))


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    """Print what makes a shell complete commands, options, runs, columns, prompt sets and models.

    \b
    eval "$(shotdex completion bash)"          in ~/.bashrc
    eval "$(shotdex completion zsh)"           in ~/.zshrc, after compinit
    shotdex completion fish > ~/.config/fish/completions/shotdex.fish
    """
    made = get_completion_class(shell)
    assert made is not None
    render.out(made(click.Group(), {}, "shotdex", "_SHOTDEX_COMPLETE").source(), exact=True)
