"""`shotdex label`."""

from __future__ import annotations

from pathlib import Path

import click

from shotdex.formatting import visible

from .options import UserPath, json_option, open_session, store_option
from .render import as_json as to_json
from .render import note, out


@click.command("label")
@click.argument("file", type=UserPath(path_type=Path))
@click.option(
    "--columns",
    metavar="ROLE=NAME,...",
    help="Which columns are image, category, condition and split: image=file,category=label. Usual names are found "
    "without.",
)
@click.option(
    "--labels-as-written/--no-labels-as-written",
    default=None,
    help="Keep what stands in cells: nan, NA, N/A, null and None are labels, and 3.0 is not 3.",
)
@json_option
@store_option
def command(
    file: Path, columns: str | None, labels_as_written: bool | None, as_json: bool, store_path: Path | None
) -> None:
    """Give indexed images the labels in FILE, a CSV, Parquet or JSONL file that names them by path.

    No image is read and none is added. The labels stay when the images' own source is indexed again.

    \b
    shotdex label labels.csv
    shotdex label labels.csv --columns image=file,category=species
    """
    from shotdex.media.sources.columns import parse_columns

    roles = parse_columns(columns) if columns is not None else None
    done = open_session(store_path).label(file, columns=roles, labels_as_written=labels_as_written)
    if as_json:
        out(to_json({"relabelled": done.relabelled, "unchanged": done.unchanged, "failed": done.failed}))
        return
    out(f"{done.relabelled:,} with other labels, {done.unchanged - done.relabelled:,} unchanged")
    for one in done.notes:
        note(visible(one))
