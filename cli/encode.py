"""`shotdex encode`."""

from __future__ import annotations

import sys
from typing import Any

import click

import shotdex
from shotdex.encoding import PART_ROWS
from shotdex.formatting import shown_path, visible

from .options import SectionedCommand, json_option
from .render import INTERRUPTED, complain, note, out
from .render import as_json as to_json
from .source_options import LABELS, exclude_option, label_options, limit_options, model_options, web_options

SECTIONS = {
    "What to encode, and where to": ("part", "out", "part_rows", "exclude"),
    "Labels": LABELS,
    "Model": ("model", "precision", "device", "batch_size"),
    "Images that cannot be used": ("all_formats", "max_pixels", "max_seconds"),
    "Web servers": ("web_timeout", "web_files"),
}


@click.command("encode", cls=SectionedCommand, sections=SECTIONS)
@click.argument("source")
@click.option(
    "--part", metavar="I/N", required=True, help="Which of N equal slices of the source to encode; I is from 0 to N-1."
)
@click.option(
    "--out",
    metavar="PLACE",
    required=True,
    help="Where to write the shards: a folder, or an s3:// or gs:// prefix; it can be the same for all parts.",
)
@click.option(
    "--part-rows",
    type=click.IntRange(1, 1 << 18),
    default=PART_ROWS,
    show_default=True,
    metavar="N",
    help="Maximum number of images in a shard; a longer slice is split into several.",
)
@label_options
@exclude_option
@model_options("It must be the same for all parts. [default: openai/clip-vit-base-patch32]", "float32", "the")
@limit_options
@web_options
@json_option
def command(source: str, as_json: bool, **options: Any) -> None:
    """Encode one part of SOURCE to shards at PLACE, on any machine; no store is needed.

    SOURCE is anything that 'shotdex index' takes, and must be the same path or URL on every machine. Once all N parts
    are encoded, 'shotdex index PLACE/' collects them into a store. Running the same command again encodes only what is
    missing.

    \b
    shotdex encode photos/ --part 0/2 --out shards/
    shotdex encode /data/photos --part $SLURM_ARRAY_TASK_ID/64 --out /data/shards
    shotdex index shards/
    """
    try:
        options["exclude"] = options["exclude"] or None
        report = shotdex.encode(source, progress=True, note=note, **options)
    except KeyboardInterrupt:
        complain("interrupted; complete shards are kept. Run the same command again to continue.")
        sys.exit(INTERRUPTED)
    if as_json:
        out(to_json(report))
        return
    out(f"{visible(shown_path(report.source))}, {report.counts}")
    for name in report.shards:
        out(f"  {visible(report.place)}/{name}")
