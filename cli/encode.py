"""`shotdex encode`."""

from __future__ import annotations

import sys

import click

import shotdex
from shotdex.encoding import PART_ROWS
from shotdex.formatting import shown_path, visible

from .options import SectionedCommand, json_option
from .render import INTERRUPTED, complain, note, out
from .render import as_json as to_json
from .source_options import LABELS, label_options, limit_options, model_options, web_options

SECTIONS = {
    "What to encode, and where to": ("part", "target", "part_rows"),
    "Labels": LABELS,
    "Model": ("model", "precision", "device", "batch_size"),
    "Images that cannot be used": ("all_formats", "max_pixels", "max_seconds"),
    "Web servers": ("web_timeout", "web_files"),
}


@click.command("encode", cls=SectionedCommand, sections=SECTIONS)
@click.argument("source")
@click.option(
    "--part", metavar="I/N", required=True, help="Which of N equal slices of the source; I is a number from 0 to N-1."
)
@click.option(
    "--out",
    "target",
    metavar="PLACE",
    required=True,
    help="Where the shards go: a folder, or an s3:// or gs:// prefix. All parts may have the same.",
)
@click.option(
    "--part-rows",
    type=click.IntRange(1, 1 << 18),
    default=PART_ROWS,
    show_default=True,
    metavar="N",
    help="Images of one shard at most; a longer slice has several.",
)
@label_options
@model_options("Else openai/clip-vit-base-patch32; all parts need the same.", "float32", "the")
@limit_options
@web_options
@json_option
def command(
    source: str,
    part: str,
    target: str,
    part_rows: int,
    layout: str | None,
    categories: str | None,
    category: str | None,
    condition: str | None,
    split: str | None,
    columns: str | None,
    labels_as_written: bool | None,
    all_folders: bool | None,
    zip_names: str | None,
    model: str | None,
    precision: str | None,
    device: str,
    batch_size: int | None,
    all_formats: bool,
    max_pixels: int,
    max_seconds: float,
    web_timeout: float,
    web_files: int,
    as_json: bool,
) -> None:
    """Encode one part of SOURCE to shards at PLACE, on any machine; no store is needed.

    SOURCE is what 'shotdex index' takes, and must be the same path or URL on every machine. Once all N parts are there,
    'shotdex index PLACE/' brings them into a store. The same command again encodes only what is missing.

    \b
    shotdex encode photos/ --part 0/2 --out shards/
    shotdex encode s3://bucket/photos/ --part $SLURM_ARRAY_TASK_ID/64 --out s3://bucket/shards/
    shotdex index shards/
    """
    from shotdex.media.sources.columns import parse_columns

    try:
        report = shotdex.encode(
            source,
            part=part,
            out=target,
            model=model,
            part_rows=part_rows,
            layout=layout,
            categories=categories.split(",") if categories is not None else None,
            category=category,
            condition=condition,
            split=split,
            columns=parse_columns(columns) if columns is not None else None,
            labels_as_written=labels_as_written,
            all_folders=all_folders,
            zip_names=zip_names,
            precision=precision,
            device=device,
            batch_size=batch_size,
            max_pixels=max_pixels,
            max_seconds=max_seconds,
            all_formats=all_formats,
            web_timeout=web_timeout,
            web_files=web_files,
            progress=True,
            note=note,
        )
    except KeyboardInterrupt:
        complain("interrupted; shards that are whole are kept. Go on with the same command.")
        sys.exit(INTERRUPTED)
    if as_json:
        out(to_json(report))
        return
    out(f"{visible(shown_path(report.source))}, {report.counts}")
    for name in report.shards:
        out(f"  {visible(report.place)}/{name}")
