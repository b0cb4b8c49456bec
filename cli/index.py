"""`shotdex index`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from shotdex.formatting import plain, shown_path, visible
from shotdex.index_lines import left_out_lines, unlabelled_lines
from shotdex.keywords import PreviewKeywords, chosen
from shotdex.session import Session
from shotdex.store.errors import OptionError, ShotdexError
from shotdex.store.location import store_to_write
from shotdex.store.store import Store
from shotdex.store.types import IndexReport

from .options import SectionedCommand, json_option, store_option
from .render import INTERRUPTED, complain, note, one_stream, out
from .render import as_json as to_json
from .source_options import LABELS, exclude_option, label_options, limit_options, model_options, web_options

GO_ON = "interrupted; everything done so far is kept. Run the same command again to continue."

SECTIONS = {
    "Labels (remembered for the next time)": LABELS,
    "Which images": ("exclude",),
    "Model": ("model", "precision", "device", "batch_size", "compile"),
    "Images that cannot be used": ("all_formats", "max_pixels", "max_seconds", "max_failures", "strict"),
    "Web servers": ("web_timeout", "web_files"),
    "Vectors made elsewhere": ("vectors", "vectors_from", "encoder"),
    "Who computes": ("runner", "ray_address", "workers", "gpus_per_worker", "cpus_per_worker", "out", "part_rows"),
    "What to do": ("refresh", "dry_run", "prune", "gone"),
}


@click.command("index", cls=SectionedCommand, sections=SECTIONS)
@click.argument("source")
@label_options
@exclude_option
@model_options(
    "[default: the store's; for a new store openai/clip-vit-base-patch32]",
    "the store's, else float32",
    "the store's, else the",
)
@click.option("--compile", is_flag=True, help="Compile the model first; takes a minute and pays off on a GPU.")
@limit_options
@click.option(
    "--max-failures", type=click.IntRange(0), metavar="N", help="Stop after more than N failures. [default: never]"
)
@click.option("--strict", is_flag=True, help="Stop at the first failure; the same as --max-failures 0.")
@web_options
@click.option(
    "--vectors",
    type=click.Choice(["catalog", "shards"]),
    default="catalog",
    show_default=True,
    help="Where the vectors of shards are kept. shards: they stay in the files of SOURCE, a folder or bucket with "
    "shards that must be kept; the catalog has the file and row of each.",
)
@click.option(
    "--vectors-from",
    metavar="COLUMN|FILE.npy",
    help="Import vectors: from a column of SOURCE (a Parquet, CSV or JSONL file), or from an array with one row for "
    "each of its rows. No model is loaded.",
)
@click.option("--encoder", metavar="NAME", help="The encoder or model that computed the vectors of --vectors-from.")
@click.option(
    "--runner",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="local: this process. ray: workers of a Ray cluster, whose shards are committed here.",
)
@click.option(
    "--ray-address",
    metavar="A",
    help="Where the cluster is: HOST:PORT or auto. [default: one on this machine, for this command]",
)
@click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Maximum number of workers. [default: as many as fit]"
)
@click.option(
    "--gpus-per-worker",
    type=click.FloatRange(0, 64),
    metavar="F",
    help="GPUs of each worker, or a fraction of one. [default: 1 if the cluster has GPUs, else 0]",
)
@click.option(
    "--cpus-per-worker",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="CPUs of each worker, which decodes as many images at once, but at least two. [default: 1]",
)
@click.option(
    "--out",
    metavar="PLACE",
    help="Where workers write shards: a folder visible to all nodes, or an s3:// or gs:// prefix. [default: "
    "STORE/shards]",
)
@click.option(
    "--part-rows",
    type=click.IntRange(1, 1 << 18),
    metavar="N",
    help="Number of images in a worker's task. [default: 256 to 16384, depending on the size of SOURCE]",
)
@click.option("--dry-run", is_flag=True, help="Scan SOURCE and print the plan, but write nothing.")
@click.option("--prune", is_flag=True, help="Afterwards remove from the store the images that no longer exist.")
@click.option(
    "--refresh",
    type=click.Choice(["metadata"]),
    help="metadata: only reread the EXIF data of indexed images; nothing is encoded.",
)
@click.option(
    "--gone",
    is_flag=True,
    help="Accept that SOURCE, or a folder in it, is gone or lost most of its images. Otherwise that is an error, "
    "since a disk may not be mounted.",
)
@store_option
@json_option
def command(source: str, device: str, dry_run: bool, store_path: Path | None, as_json: bool, **options: Any) -> None:
    """Index the images of SOURCE.

    SOURCE is a folder; a zip or tar archive (webdataset: the .json, .cls and .txt next to an image are read too, and
    'set-{000..012}.tar' are its shards); a CSV, Parquet or JSONL file that lists images or holds them; several archives
    or Parquet files, as a folder, a quoted pattern ('data/*.parquet') or a list in braces; a folder of IDX files
    (MNIST, Fashion-MNIST); torchvision:NAME[:split] or hf:NAME[:config]; the URL (http, https, s3, gs) of any of these;
    -, a list of paths on standard input; or the place of shards written by 'shotdex encode'.

    Running it again is quick: files that have not changed are not read. A broken image becomes a row in the table
    `failures`, and the rest are indexed. Ctrl-C keeps what is done, and the same command continues from there.

    \b
    shotdex index photos/
    shotdex index stimuli/ --layout '{condition}/{category}*' --categories car,cup
    shotdex index list.csv --columns image=file,category=label
    find . -name '*.jpg' -size +100k -print0 | shotdex index -
    shotdex index images.parquet --vectors-from embedding --encoder dinov2-small
    """
    session = Session(Store(store_to_write(store_path, os.environ, Path.cwd())), device)
    options["exclude"] = options["exclude"] or None
    if dry_run:
        _check_dry_run(options)
        found = session.preview(source, progress=True, note=note, **chosen(options, PreviewKeywords))
        out(to_json(found.plan) if as_json else repr(found))
        return
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        note(line)

    def show(report: IndexReport) -> None:
        out(to_json(as_dict(report)) if as_json else report_text(report, session.path, said if one_stream() else ()))

    try:
        report = session.index(source, progress=True, note=say, **options)
        show(report)
    except KeyboardInterrupt:  # before the first image, or after the last
        report = None
    except ShotdexError as error:
        if error.report is not None:
            show(error.report)
        raise
    if report is None or report.interrupted:
        complain(GO_ON)
        sys.exit(INTERRUPTED)


def _check_dry_run(options: Mapping[str, Any]) -> None:
    for name in ("vectors_from", "refresh"):
        if options[name] is not None:
            raise OptionError(f"--dry-run does not go with --{name.replace('_', '-')}", "leave out one of them")


def as_dict(report: IndexReport) -> dict[str, Any]:
    """Return a report as JSON has it: the number of failures has been called `rejected` there since the beginning."""
    said = {name: value for name, value in plain(report).items() if name not in ("source", "kind", "encoder")}
    return {"rejected" if name == "failed" else name: value for name, value in said.items()}


def report_text(report: IndexReport, root: Path, said: Sequence[str] = ()) -> str:
    """Return what an indexing did, with its failures by reason and an example of each; without notes already `said`."""
    handled = report.added + report.changed + report.moved + report.encoded
    rate = f" ({handled / report.seconds:,.0f} images a second)" if handled >= 100 and report.seconds > 0 else ""
    lines = [f"{report.kind} {visible(shown_path(report.source))}: {report.counts}{rate}"]
    for line in (line for line in report.notes if visible(line) not in said):
        choose = " (choose with --layout)" if line.startswith("taking") else ""
        lines.append(f"  {'labels: ' if choose else ''}{visible(line)}{choose}")
    lines += [f"  {line}" for line in unlabelled_lines(report.unlabelled_files, report.unlabelled, report.source)]
    lines += [f"  {line}" for line in left_out_lines(report.left_out, report.source)]
    for reason, count in report.reasons.items():
        first = next((failure for failure in report.failures if failure.reason == reason), None)
        example = f", such as {visible(shown_path(first.path))} ({visible(first.detail)})" if first is not None else ""
        lines.append(f"  failed, {reason}: {count:,}{example}")
    encoder = f", encoder {report.encoder}" if report.encoder is not None else ""
    lines.append(f"  store {shown_path(str(root))}{encoder}")
    return "\n".join(lines)
