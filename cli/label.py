"""`shotdex label`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shotdex.formatting import visible

from .options import UserPath, json_option, open_session, store_option
from .render import as_json as to_json
from .render import note, out
from .source_options import parsed_roles


@click.command("label")
@click.argument("file", type=UserPath(path_type=Path))
@click.option(
    "--columns",
    callback=parsed_roles,
    metavar="ROLE=NAME,...",
    help="Which columns are image, category, condition and split: image=file,category=label. Usual names are "
    "recognised without it.",
)
@click.option(
    "--labels-as-written/--no-labels-as-written",
    default=None,
    help="Keep the text of cells: nan, NA, N/A, null and None are labels, and 3.0 is not 3.",
)
@json_option
@store_option
def command(file: Path, as_json: bool, store_path: Path | None, **options: Any) -> None:
    """Give indexed images the labels in FILE, a CSV, Parquet or JSONL file that lists them by path.

    Images are neither read nor added. The labels are kept when the images' own source is indexed again.

    \b
    shotdex label labels.csv
    shotdex label labels.csv --columns image=file,category=species
    """
    done = open_session(store_path).label(file, **options)
    if as_json:
        out(to_json({"relabelled": done.relabelled, "unchanged": done.unchanged, "failed": done.failed}))
        return
    out(f"{done.relabelled:,} with other labels, {done.unchanged - done.relabelled:,} unchanged")
    for one in done.notes:
        note(visible(one))
