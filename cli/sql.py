"""`shotdex sql`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import shotdex
from shotdex.store.errors import OptionError

from .options import UserPath, open_session, store_option
from .render import as_json, note, out, out_bytes
from .rows import DRAWN, FORMATS, print_rows, rows_text

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


FILES = ("parquet", "arrow")
"""Further formats: for other programs, with the types of the columns."""

ENDINGS = {"md": "markdown", "ndjson": "jsonl", "feather": "arrow", "ipc": "arrow", "txt": "table"}


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
    "-p",
    "--param",
    "parameters",
    type=(str, str),
    multiple=True,
    metavar="NAME VALUE",
    help="The value of $NAME in the statement, as text; in arithmetic, write $NAME::INT. Repeatable.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice([*FORMATS, *FILES]),
    help="How to write the rows. [default: by the file name after -o, else table]",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option(
    "-o",
    "--out",
    "target",
    type=UserPath(path_type=Path),
    metavar="FILE",
    help="Write the rows to a file, such as rows.parquet.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file of -o if it exists.")
@click.option("--wide", is_flag=True, help="Show whole values in a terminal, however wide the table becomes.")
@click.option(
    "--allow-external",
    is_flag=True,
    help="Let the SQL read other files, too, e.g. FROM 'more.csv'; it still cannot write.",
)
@click.option(
    "--schema",
    "schema",
    is_flag=False,
    flag_value="",
    metavar="[TABLE]",
    help="Describe the tables, views and functions, or one of them.",
)
@click.option("--examples", is_flag=True, help="Print SQL for common queries.")
@store_option
@click.pass_context
def command(
    context: click.Context,
    statement: str | None,
    file: Path | None,
    parameters: Sequence[tuple[str, str]],
    form: str | None,
    target: Path | None,
    overwrite: bool,
    wide: bool,
    allow_external: bool,
    schema: str | None,
    examples: bool,
    store_path: Path | None,
) -> None:
    """Run a SQL STATEMENT over the store. Nothing is written, and no other file is read.

    STATEMENT is SQL text, or - to read standard input; without one, a prompt opens in a terminal. Several statements,
    separated by semicolons, print one result each: tables and CSV with an empty line between them, --json as an array
    of results.

    A statement may use 300 seconds, half of the memory, and no disk; Ctrl-C ends it. With --allow-external it can also
    read other files that DuckDB can read, such as a CSV file to join.

    Tables: images, failures, encoders, prompt_sets, prompts, runs, predictions, truths, baselines,
    baseline_accuracies, baseline_trials. Views: outcomes, accuracy, accuracy_by_condition, accuracy_by_category,
    topk_accuracy, confusion, disagreements, vectors. --schema describes them.

    Functions: similarity(image_id, 'text'), search('text', n), nearest(image_id, n).

    \b
    shotdex sql "FROM accuracy_by_condition"
    shotdex sql "SELECT path, predicted FROM outcomes WHERE NOT correct LIMIT 10"
    shotdex sql "FROM outcomes WHERE run = $run" -p run names -o names.parquet
    shotdex sql "FROM search('a dog', n := 5)"
    shotdex sql --allow-external "FROM images JOIN 'more.csv' USING (path)"
    shotdex sql -f mistakes.sql --format csv > mistakes.csv
    """
    if examples or schema is not None:
        out(shotdex.examples() if examples else shotdex.schema(schema or None))
        return
    form = form or ("table" if target is None else form_of(target))
    if form in FILES and target is None and sys.stdout.isatty():
        raise OptionError(f"{form} is not for a terminal", f"write it to a file: -o rows.{form}")
    session = open_session(store_path)
    if statement is None and file is None and sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():
        from .sql_prompt import run_prompt

        def answers(text: str) -> list[SqlResult]:
            return list(session.sql(text, dict(parameters), allow_external=allow_external).results)

        run_prompt(session, render, form if form in FORMATS else "table", wide, answers)
        return
    text = _statements(context, statement, file, parameters)
    found = session.sql(text, dict(parameters), allow_external=allow_external)
    if target is not None:
        write_bytes(target, content_of(found.results, form), overwrite=overwrite)
        count = sum(map(len, found.results))
        note(f"wrote {count:,} {'row' if count == 1 else 'rows'} to {target}")
        _hint(found.results)
    elif form in FILES:
        out_bytes(content_of(found.results, form))
        _hint(found.results)
    else:
        render(found.results, form, wide)


def _statements(
    context: click.Context, statement: str | None, file: Path | None, parameters: Sequence[tuple[str, str]]
) -> str:
    """Return the SQL that the arguments mean."""
    if statement is not None and file is not None:
        raise OptionError("STATEMENT and --file were both given", "leave out one of them")
    if len({name for name, _ in parameters}) < len(parameters):
        raise OptionError("a parameter has two values", "pass each name once: -p run names -p category dog")
    text = _read(Path("-") if statement == "-" else file) if statement in ("-", None) else statement
    if not text:
        raise click.UsageError("Missing argument 'STATEMENT'.", context)
    return text


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


def content_of(results: Sequence[SqlResult], form: str) -> bytes:
    """Return the rows of statements as the bytes of a file in one of the formats.

    Raises:
        OptionError: there are several results, and this format holds one.
    """
    if form not in FILES:
        return (several_text(results, form) + "\n").encode()
    if len(results) > 1:
        raise OptionError(f"these are {len(results)} results, and {form} holds one", "run one statement at a time")
    return table_bytes(results[0], form)


def several_text(results: Sequence[SqlResult], form: str) -> str:
    """Return the rows of each statement as text."""
    if form == "json" and len(results) > 1:
        return as_json([result.to_dicts() for result in results])
    texts = [rows_text(result.columns, list(result), form, result.headings) for result in results]
    return "\n".join(filter(None, texts)) if form == "jsonl" else "\n\n".join(texts)


def render(results: Sequence[SqlResult], form: str, wide: bool) -> None:
    """Print the rows of each statement, and what may be a mistake in it."""
    if form == "json" and len(results) > 1:
        out(several_text(results, form))
    for number, result in enumerate(results if form != "json" or len(results) == 1 else ()):
        if number and form not in ("json", "jsonl"):
            out()
        print_rows(result.columns, list(result), form, headings=result.headings, wide=wide)
        if form == "table" and tuple(result.columns) != DRAWN:
            note(f"{len(result):,} rows" if len(result) != 1 else "1 row")
    _hint(results)


def _hint(results: Sequence[SqlResult]) -> None:
    for result in results:
        if result.near:
            note(f"near: {', '.join(result.near)}")
        for one in result.notes:
            note(f"note: {one}")


def form_of(path: Path) -> str:
    """Return the form that a file's name asks for.

    Raises:
        OptionError: its ending says none.
    """
    ending = path.suffix.lower().removeprefix(".")
    form = ENDINGS.get(ending, ending)
    if form not in (*FORMATS, *FILES):
        known = ", ".join(f".{name}" for name in ("csv", "tsv", "json", "jsonl", "md", "parquet", "arrow"))
        raise OptionError(f"the name {path.name} does not determine the format", f"end it in one of {known}")
    return form


def table_bytes(rows: SqlResult, form: str) -> bytes:
    """Return rows as a Parquet or an Arrow IPC file (Feather 2).

    Raises:
        OptionError: Parquet has no type for one of the columns.
    """
    import pyarrow as pa

    found, buffer = rows.to_arrow(), pa.BufferOutputStream()
    if form == "arrow":
        with pa.ipc.new_file(buffer, found.schema) as writer:
            writer.write_table(found)
    else:
        import pyarrow.parquet as pq

        try:
            pq.write_table(found, buffer)
        except pa.ArrowNotImplementedError as error:
            raise OptionError(
                f"Parquet cannot hold these columns: {error}", "cast them, as in: column::VARCHAR"
            ) from error
    return bytes(buffer.getvalue())


def write_bytes(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file, whole or not at all. What is there stays, unless `overwrite`; a device or a pipe is written to.

    Raises:
        OptionError: the file exists, or cannot be written.
    """
    if path.exists() and not overwrite and (path.is_file() or path.is_dir()):
        raise OptionError(f"{path} exists already", "choose another name, or replace it: --overwrite")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            partial.write_bytes(content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror or error}", "choose another place") from error
