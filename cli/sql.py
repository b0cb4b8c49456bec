"""`shotdex sql`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shotdex.formatting import table
from shotdex.store.errors import OptionError

from .options import UserPath, open_session, store_option
from .render import as_csv, as_json, as_json_line, note, out

if TYPE_CHECKING:
    from shotdex import SqlResult


class SqlCommand(click.Command):
    """Takes an argument that begins with an SQL comment, such as `-- mistakes`, for SQL and not for an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        options = {option for param in self.params for option in param.opts}
        return super().parse_args(ctx, [f"\n{arg}" if _is_sql(arg, options) else arg for arg in args])


def _is_sql(argument: str, options: set[str]) -> bool:
    return argument.startswith("--") and bool(re.search(r"\s", argument)) and argument.split("=")[0] not in options


@click.command("sql", cls=SqlCommand)
@click.argument("statement", required=False, metavar="STATEMENT")
@click.option(
    "-f",
    "--file",
    "file",
    type=UserPath(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Read the statements from a file.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "jsonl"]),
    default="table",
    show_default=True,
    help="How to print the rows.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option(
    "--allow-external",
    is_flag=True,
    help="Let the SQL read other files too, e.g. FROM 'more.csv'; it still writes nothing.",
)
@store_option
@click.pass_context
def command(
    context: click.Context,
    statement: str | None,
    file: Path | None,
    form: str,
    allow_external: bool,
    store_path: Path | None,
) -> None:
    """Run a SQL STATEMENT over the store. Nothing is written, and no other file is read.

    STATEMENT is the text itself, or -, which reads standard input. Several statements, separated by semicolons, print
    one result each: tables and CSV with an empty line between them, --json as an array of results.

    It gets 300 seconds, half of the memory, and no disk. Ctrl-C ends it. With --allow-external it may also read other
    files, such as a CSV to join, through what this version of DuckDB reads.

    Tables: images, failures, encoders, prompt_sets, prompts, runs, predictions, truths, baselines,
    baseline_accuracies, baseline_trials. Views: outcomes, accuracy, accuracy_by_condition, accuracy_by_category,
    topk_accuracy, confusion, disagreements. See docs/schema.md.

    \b
    shotdex sql "FROM accuracy_by_condition"
    shotdex sql "SELECT path, predicted FROM outcomes WHERE NOT correct ORDER BY probability DESC LIMIT 10"
    shotdex sql --allow-external "FROM images JOIN 'more.csv' USING (path)"
    shotdex sql -f mistakes.sql --format csv > mistakes.csv
    """
    if statement is not None and file is not None:
        raise OptionError("STATEMENT and --file both say what to run", "leave out one of them")
    text = _read(Path("-") if statement == "-" else file) if statement in ("-", None) else statement
    if not text:
        raise click.UsageError("Missing argument 'STATEMENT'.", context)
    found = open_session(store_path).sql(text, allow_external=allow_external)
    render(found.results, form)
    for result in found.results:
        if result.near:
            note(f"near: {', '.join(result.near)}")


def _read(file: Path | None) -> str:
    """Return the text of a file, or of standard input: of - and where something is piped into the command.

    Raises:
        OptionError: the file cannot be read, or is not UTF-8.
    """
    if file is None and (sys.stdin is None or sys.stdin.isatty()):
        return ""
    try:
        with click.open_file(str(file or "-"), encoding="utf-8-sig") as opened:
            return str(opened.read())
    except OSError as error:
        if file is None:
            return ""
        raise OptionError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        name = "standard input" if file in (None, Path("-")) else str(file)
        raise OptionError(f"{name} is not UTF-8 text", "save it as UTF-8") from error


def render(results: Sequence[SqlResult], form: str) -> None:
    """Print the rows of each statement in one of the formats."""
    if form == "json":
        listed = [result.to_dicts() for result in results]
        out(as_json(listed if len(listed) > 1 else listed[0]))
        return
    for number, result in enumerate(results):
        if form == "jsonl":
            for record in result.to_dicts():
                out(as_json_line(record))
            continue
        if number:
            out()
        if form == "csv":
            out(as_csv(result.headings, list(result)), exact=True)
        else:
            out(table(result.headings, list(result)))
            note(f"{len(result):,} rows" if len(result) != 1 else "1 row")
