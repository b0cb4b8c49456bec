"""The command line: parse, one library call, render. The only place that knows click, prints or exits."""

from __future__ import annotations

import difflib
import faulthandler
import importlib
import itertools
import logging
import os
import re
import sys

if sys.excepthook is sys.__excepthook__:  # for a Ctrl-C while the following is imported, before `main`
    sys.excepthook = lambda *error: None if error[0] is KeyboardInterrupt else sys.__excepthook__(*error)

import click

from shotdex.store.errors import OptionError, ShotdexError

from .common import completion_command, help_command, prepared, shared_options, store_before
from .render import INTERRUPTED

# Command -> (module, one line of help), so that `shotdex --help` imports none of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "index": ("index", "Index the images of a folder, a zip archive or IDX files."),
    "encode": ("encode", "Encode a part of a source to shards for index, on any machine."),
    "search": ("search", "Find the images that match a text or an image."),
    "selections": ("selections", "List the saved selections, or remove some."),
    "approximate": ("approximate", "Build an index that makes searches among very many images faster."),
    "engine": ("engine", "Add, list or remove a search engine outside this process: Milvus."),
    "classify": ("classify", "Classify images zero-shot and print accuracy per condition and category."),
    "runs": ("runs", "List the classification runs."),
    "probe": ("probe", "Compare zero-shot accuracy with k-NN and linear probes on the stored vectors."),
    "report": ("report", "Report every number about a run, with intervals, by any columns."),
    "compare": ("compare", "Compare runs on the images they share: models, prompts, conditions."),
    "diff": ("diff", "Show how two runs differ: prompts, images, versions and predictions."),
    "rerun": ("rerun", "Repeat a run and report whether anything changed."),
    "reproduce": ("reproduce", "Evaluate a published benchmark and compare with the published accuracy."),
    "prompts": ("prompts", "List, show, check and compare prompt sets."),
    "duplicates": ("duplicates", "Find exact and near duplicates, leaks between splits and conflicting labels."),
    "baseline": ("baseline", "Import accuracies of people or other models, and compare."),
    "label": ("label", "Label indexed images from a CSV, Parquet or JSONL file."),
    "export": ("export", "Write images, labels, vectors and outcomes for other programs."),
    "sql": ("sql", "Run SQL over images, predictions and runs (read-only)."),
    "plot": ("plot", "Draw samples, counts, accuracy, confusion, top-k or the map."),
    "serve": ("serve", "Serve a page for searching, evaluating and trying prompts."),
    "status": ("status", "Show what the store contains."),
    "verify": ("verify", "Check that a store is intact, and fix what can be fixed."),
    "remove": ("remove", "Remove images, a source or an encoder from the store for good."),
    "model": ("model", "Show the structure of a model, from its configuration alone."),
    "demo": ("demo", "Run the whole loop on the images and the model that ship with shotdex."),
}


FOLDERS = ("HF_HOME", "HF_HUB_CACHE", "MPLCONFIGDIR", "TMPDIR", "TORCH_HOME", "XDG_CACHE_HOME")
"""Environment variables of libraries that name folders."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None if no command has that name."""
        if cmd_name not in COMMANDS:
            return {"help": help_command, "completion": completion_command}.get(cmd_name)
        module = importlib.import_module(f"shotdex.cli.{COMMANDS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return prepared(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Words that are not one are searched for where they look like that; else say so."""
        if args and args[0] not in (*COMMANDS, "help", "completion") and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not _searched_for(args):
                if near:
                    ctx.fail(f"There is no command {args[0]!r}. Did you mean {near[0]!r}?")
                raise OptionError(
                    f"there is no command {args[0]!r}, and no store here to search for it",
                    "list the commands: shotdex --help   or make a store first: shotdex index FOLDER",
                )
            if near and " " not in args[0]:
                from .render import note

                note(f"searching for {args[0]!r}; the command is called {near[0]!r}")
            return "search", self.get_command(ctx, "search"), args
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            listed = [(name, line) for name, (_, line) in COMMANDS.items()]
            formatter.write_dl(
                [*listed, ("completion", "Print a script that makes a shell complete commands and names.")]
            )


def _searched_for(args: list[str]) -> bool:
    """Tell whether words that begin with no command are a query: a text with a blank, an image, or near a store."""
    from pathlib import Path

    import shotdex
    from shotdex.store.location import named_store, nearest_store, user_path

    if re.search(r"\s", args[0].strip()) or any(part.kind == "image" for part in shotdex.parse_query(args[:1])):
        return True
    named = [one.partition("=")[2] for one in args if one.startswith("--store=")]
    named += [after for before, after in itertools.pairwise(args) if before == "--store"]
    return bool(named_store(user_path(named[0]) if named else None, os.environ) or nearest_store(Path.cwd()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@store_before
@click.version_option(package_name="shotdex", message="shotdex %(version)s")
def group() -> None:
    """Index images once; then search them by text or image, and evaluate CLIP models on them with SQL.

    \b
    shotdex index photos/                     index a folder
    shotdex "a dog in the snow"               find images, as shotdex search does
    shotdex classify                          zero-shot accuracy by condition
    shotdex sql "FROM accuracy_by_condition"  query anything else
    """


group.params += shared_options(hidden=False)


def main() -> None:
    """Run the command line and exit: 0 for done, 1 for an error, 2 for a wrong option or value, 130 after Ctrl-C."""
    from .render import VisibleFormatter, complain, out, reopen_closed_streams, settle_errors, show_error

    reopen_closed_streams()
    if not faulthandler.is_enabled():  # a disk that fails under a mapped file ends the process: not without a word
        faulthandler.enable(2)
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("shotdex.waiting").setLevel(logging.INFO)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # tokenizers warns about forks otherwise
    for name in FOLDERS:  # no shell expands `~` in a .env file or a unit, and not every library does
        if os.environ.get(name, "").startswith("~"):
            os.environ[name] = os.path.expanduser(os.environ[name])  # noqa: PTH111  an unknown ~user stays as it is
    try:
        # Without its standalone mode click returns the status of an Exit, and otherwise what the command returned.
        status = group.main(standalone_mode=False, prog_name="shotdex")
        sys.exit(status if isinstance(status, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        out(error.message)
        sys.exit(0)
    except click.ClickException as error:
        show_error(error)
        sys.exit(2 if isinstance(error, click.UsageError) else 1)
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        sys.exit(INTERRUPTED)
    except ShotdexError as error:
        complain(f"error: {error}")
        if error.hint:
            complain(f"  try: {error.hint}")
        sys.exit(error.exit_status)
    finally:
        settle_errors()
