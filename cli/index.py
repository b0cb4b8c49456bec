"""`shotdex index`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from shotdex.formatting import plain, shown_path, visible
from shotdex.index_lines import left_out_lines, unlabelled_lines
from shotdex.media.decoding.formats import LISTED_TEXT
from shotdex.results import IndexPreview
from shotdex.session import Session
from shotdex.store.errors import ShotdexError
from shotdex.store.location import store_to_write
from shotdex.store.store import Store
from shotdex.store.types import WEB_FILES, WEB_SECONDS, IndexReport, Limits

from .options import SectionedCommand, device_option, json_option, store_option
from .render import as_json as to_json
from .render import note, one_stream, out

GO_ON = "interrupted; what is done is kept. Go on with the same command."

SECTIONS = {
    "Labels (kept for the next time)": (
        "layout",
        "categories",
        "category",
        "condition",
        "split",
        "columns",
        "labels_as_written",
        "all_folders",
        "zip_names",
    ),
    "Model": ("model", "precision", "device", "batch_size", "compile_model"),
    "Images that cannot be used": ("all_formats", "max_pixels", "max_seconds", "max_failures", "strict"),
    "Web servers": ("web_timeout", "web_files"),
    "What to do": ("dry_run", "prune", "gone"),
}


class BatchSize(click.ParamType[int | None]):
    """A number of images, or auto, which is None."""

    name = "batch size"
    _number = click.IntRange(1, 4096)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Return the number, or None for auto."""
        return None if value in (None, "auto") else int(self._number.convert(value, param, ctx))


@click.command("index", cls=SectionedCommand, sections=SECTIONS)
@click.argument("source")
@click.option(
    "--layout", metavar="PATTERN", help="What path parts mean: '{condition}/{category}*', '{split}/{category}/*'."
)
@click.option(
    "--categories",
    metavar="A,B,C",
    help="The category is the longest of these that a file's name starts with as a word (car01, car-2 and CarSide, not "
    "carrot), else the nearest folder of that name. With --layout: what {category} may be.",
)
@click.option("--category", metavar="X", help="The category of all images.")
@click.option("--condition", metavar="X", help="The condition of all images.")
@click.option("--split", metavar="X", help="The split of all images.")
@click.option(
    "--columns",
    metavar="ROLE=NAME,...",
    help="Which columns of a manifest, or keys of a tar's .json files, are image, category, condition and split: "
    "image=file,category=label. Usual names are found without.",
)
@click.option(
    "--labels-as-written/--no-labels-as-written",
    default=None,
    help="Keep what stands in cells: nan, NA, N/A, null and None are labels, and 3.0 is not 3.",
)
@click.option(
    "--all-folders/--no-all-folders",
    default=None,
    help="Enter hidden folders, too, and those of systems, such as @eaDir, #recycle and .thumbnails.",
)
@click.option(
    "--zip-names",
    metavar="ENCODING",
    help="How names are encoded in zip files that do not say so: gbk, shift_jis, cp866, ... UTF-8 is recognised.",
)
@click.option(
    "--model",
    metavar="NAME_OR_PATH",
    help="A CLIP, SigLIP or similar model: hub name (NAME@REVISION pins a version), local folder, or demo. Else the "
    "store's; a new store takes openai/clip-vit-base-patch32.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bf16", "fp16", "auto"]),
    help="What the model computes in; part of the encoder's identity. auto: the store's, else the fastest whose "
    "vectors stay within a cosine of 0.999 of float32's on a few images. [default: the store's, else float32]",
)
@device_option
@click.option(
    "--batch-size", type=BatchSize(), metavar="auto|N", default="auto", show_default=True, help="Images per batch."
)
@click.option(
    "--compile", "compile_model", is_flag=True, help="Compile the model first; takes a minute, and pays off on a GPU."
)
@click.option(
    "--all-formats",
    is_flag=True,
    help=f"Read whatever Pillow reads, not only {LISTED_TEXT}. A truncated image of another format may be indexed.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(0),
    default=Limits().pixels,
    metavar="N",
    show_default=True,
    help="Reject larger images before they are decoded; 0 lifts this limit and the one on a file's bytes (512 MiB).",
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(0),
    default=Limits().seconds,
    metavar="S",
    show_default=True,
    help="Give up decoding an image after this time; 0 lifts the limit.",
)
@click.option(
    "--max-failures", type=click.IntRange(0), metavar="N", help="Stop after more than N failures. [default: never]"
)
@click.option("--strict", is_flag=True, help="Stop at the first failure; the same as --max-failures 0.")
@click.option(
    "--web-timeout",
    type=click.FloatRange(0),
    default=WEB_SECONDS,
    metavar="S",
    show_default=True,
    help="How long a server may take to begin its answer; 0 lifts this limit and the one on slow answers.",
)
@click.option(
    "--web-files",
    type=click.IntRange(0),
    default=WEB_FILES,
    metavar="N",
    show_default=True,
    help="How many files and folders a folder on a server may list; 0 lifts this limit and the one on nested folders.",
)
@click.option("--dry-run", is_flag=True, help="Look at everything, print the plan, and write nothing.")
@click.option("--prune", is_flag=True, help="Afterwards remove from the store the images that no longer exist.")
@click.option(
    "--gone",
    is_flag=True,
    help="Accept that SOURCE, or a folder in it, is gone or lost most of its images; otherwise that is an error, as a "
    "disk may not be mounted.",
)
@store_option
@json_option
def command(
    source: str,
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
    compile_model: bool,
    all_formats: bool,
    max_pixels: int,
    max_seconds: float,
    max_failures: int | None,
    strict: bool,
    web_timeout: float,
    web_files: int,
    dry_run: bool,
    prune: bool,
    gone: bool,
    store_path: Path | None,
    as_json: bool,
) -> None:
    """Index the images of SOURCE.

    SOURCE is a folder; a zip or tar archive (webdataset: the .json, .cls and .txt next to an image are read too, and
    'set-{000..012}.tar' are its shards); a CSV, Parquet or JSONL file that lists images or holds them; a folder, a
    quoted pattern ('data/*.parquet') or a list in braces of archives or Parquet files; a folder of IDX files (MNIST,
    Fashion-MNIST); torchvision:NAME[:split] or hf:NAME[:config]; the URL (http, https, s3, gs) of any
    of these; or -, a list of paths on standard input.

    Running it again is quick: files that have not changed are not read. A broken image becomes a row in
    the table `failures` and the rest goes on. Ctrl-C keeps what is done, and the same command goes on from there.

    \b
    shotdex index photos/
    shotdex index stimuli/ --layout '{condition}/{category}*' --categories airplane,car,chair
    shotdex index list.csv --columns image=file,category=label
    find . -name '*.jpg' -size +100k -print0 | shotdex index -
    """
    from shotdex.media.sources.columns import parse_columns

    session = Session(Store(store_to_write(store_path, os.environ, Path.cwd())), device)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        note(line)

    def show(report: IndexReport) -> None:
        out(to_json(as_dict(report)) if as_json else report_text(report, session.path, said if one_stream() else ()))

    try:
        done = (session.preview if dry_run else session.index)(
            source,
            model=model,
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
            batch_size=batch_size,
            compile=compile_model,
            max_pixels=max_pixels,
            max_seconds=max_seconds,
            max_failures=max_failures,
            strict=strict,
            web_timeout=web_timeout,
            web_files=web_files,
            all_formats=all_formats,
            prune=prune,
            gone=gone,
            progress=True,
            note=say,
        )
    except KeyboardInterrupt:  # before the first image, or after the last
        if dry_run:
            raise
        note(GO_ON)
        sys.exit(1)
    except ShotdexError as error:
        if error.report is not None:
            show(error.report)
        raise
    if isinstance(done, IndexPreview):
        out(to_json(done.plan) if as_json else repr(done))
        return
    show(done)
    if done.interrupted:
        note(GO_ON)
        sys.exit(1)


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
    lines.append(f"  store {shown_path(str(root))}, encoder {report.encoder}")
    return "\n".join(lines)
