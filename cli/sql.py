"""`shotdex sql`."""

from __future__ import annotations

from pathlib import Path

import click

from shotdex.formatting import table
from shotdex.query.sql import Rows, run_sql

from .options import open_store, store_option
from .render import as_csv, as_json, as_json_line, note, out


@click.command("sql")
@click.argument("statement")
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
def command(statement: str, form: str, allow_external: bool, store_path: Path | None) -> None:
    """Run a SQL STATEMENT over the store. Nothing is written, and no other file is read.

    It gets 300 seconds, half of the memory, and no disk. Ctrl-C ends it. With --allow-external it may also read other
    files, such as a CSV to join, through what this version of DuckDB reads.

    Tables: images, failures, encoders, prompt_sets, prompts, runs, predictions, truths, baselines,
    baseline_accuracies, baseline_trials. Views: outcomes, accuracy, accuracy_by_condition, accuracy_by_category,
    topk_accuracy, confusion, disagreements. See docs/schema.md.

    \b
    shotdex sql "FROM accuracy_by_condition"
    shotdex sql "SELECT path, predicted FROM outcomes WHERE NOT correct ORDER BY probability DESC LIMIT 10"
    shotdex sql --allow-external "FROM images JOIN 'more.csv' USING (path)"
    """
    render(run_sql(open_store(store_path, allow_external=allow_external), statement), form)


def render(answer: Rows, form: str) -> None:
    """Print the rows in one of the formats."""
    if form == "csv":
        out(as_csv(answer.columns, answer.rows), exact=True)
    elif form == "json":
        out(as_json(answer.records()))
    elif form == "jsonl":
        for record in answer.records():
            out(as_json_line(record))
    else:
        out(table(answer.columns, answer.rows))
        note(f"{len(answer.rows):,} rows" if len(answer.rows) != 1 else "1 row")
