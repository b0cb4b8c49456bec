"""`shotdex index`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shotdex.indexing import last_record, layout_of, limits_of, open_known_source
from shotdex.media.decoding.formats import LISTED_TEXT
from shotdex.models.encoder_pool import EncoderPool, IndexEncoder, ModelOptions
from shotdex.store.errors import OptionError
from shotdex.store.images import Labels
from shotdex.store.location import store_to_write
from shotdex.store.store import Store
from shotdex.store.types import Limits

from .index_output import as_dict, print_preview, print_report, show_examples
from .options import SectionedCommand, device_option, json_option, store_option
from .progress import Bar
from .render import as_json as to_json
from .render import note, out

if TYPE_CHECKING:
    from shotdex.indexer.inventory import Inventory
    from shotdex.indexer.run import IndexOptions
    from shotdex.models.protocols import ImageEncoder

GO_ON = "interrupted; what is done is kept. Go on with the same command."

SECTIONS = {
    "Labels (kept for the next time)": ("layout", "categories", "category", "condition", "split", "columns"),
    "Model": ("model", "precision", "device", "batch_size", "compile_model"),
    "Images that cannot be used": ("all_formats", "max_pixels", "max_seconds", "max_failures", "strict"),
    "What to do": ("dry_run", "prune"),
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
    "--categories", metavar="A,B,C", help="The category is the longest of these that a file's name starts with."
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
    "--model",
    metavar="NAME_OR_PATH",
    help="A CLIP or SigLIP model: hub name, local folder, or demo. Else the store's; a new store takes "
    "openai/clip-vit-base-patch32.",
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
@click.option("--dry-run", is_flag=True, help="Look at everything, print the plan, and write nothing.")
@click.option("--prune", is_flag=True, help="Afterwards remove from the store the images that no longer exist.")
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
    dry_run: bool,
    prune: bool,
    store_path: Path | None,
    as_json: bool,
) -> None:
    """Index the images of SOURCE.

    SOURCE is a folder; a zip or tar archive (webdataset: the .json, .cls and .txt next to an image are read too, and
    'set-{000..012}.tar' are its shards); a CSV, Parquet or JSONL file that lists images or holds them; a folder of
    IDX files (MNIST, Fashion-MNIST); torchvision:NAME or hf:NAME[:config]; the URL (http, https, s3, gs) of any of
    these; or -, a list of paths on standard input.

    Running it again is quick: files that have not changed are not read. A broken image becomes a row in
    the table `failures` and the rest goes on. Ctrl-C keeps what is done, and the same command goes on from there.

    \b
    shotdex index photos/
    shotdex index stimuli/ --layout '{condition}/{category}*' --categories airplane,car,chair
    shotdex index list.csv --columns image=file,category=label
    find . -name '*.jpg' -size +100k -print0 | shotdex index -
    """
    from shotdex.indexer.preflight import check_place
    from shotdex.indexer.run import IndexOptions, scan_source
    from shotdex.indexer.trial_images import sample_images
    from shotdex.media.sources.columns import parse_columns

    if not source:
        raise OptionError("SOURCE is empty", "pass what to index: shotdex index photos/")
    root = store_to_write(store_path, os.environ, Path.cwd())
    check_place(root)
    given = parse_columns(columns) if columns is not None else {}
    listed = categories.split(",") if categories is not None else None
    settings = IndexOptions(
        layout=layout_of(layout, listed, Labels(category, condition, split)),
        batch_size=batch_size,
        limits=limits_of(max_pixels, max_seconds, all_formats),
        max_failures=0 if strict else max_failures,
        columns=given,
    )
    before = last_record(root, source)
    place = open_known_source(source, given or (before.columns if before is not None else {}), before, prune)
    # What is wrong with the source is said before a model is loaded.
    with Bar("looking") as bar, scan_source(place, bar.count, may_be_empty=before is not None) as scan:
        bar.close()
        model_options = ModelOptions(model, precision, compile=compile_model)
        pool = EncoderPool(Store(root), device)
        choice = pool.for_indexing(model_options, note, lambda: sample_images(scan, settings.limits))

        def after(encoder: ImageEncoder) -> None:
            pool.keep_texts(encoder.id)  # so that a search need not load the model
            if prune:
                _prune(Store(root))

        if dry_run:
            _preview(root, scan, settings, choice, as_json)
        else:
            _index(root, scan, settings, choice, as_json, after)


def _index(
    root: Path,
    scan: Inventory,
    settings: IndexOptions,
    choice: IndexEncoder,
    as_json: bool,
    after: Callable[[ImageEncoder], None],
) -> None:
    """Index and report; `after` is what is to be done then, unless the user interrupted."""
    from shotdex.indexer.run import Indexing

    encoder = choice.encoder()
    store = Store.create(root)
    try:
        with Bar("indexing") as bar:
            report = Indexing(store, encoder, settings, bar, show_examples).run(scan)
    except KeyboardInterrupt:  # before the first image, or after the last
        note(GO_ON)
        sys.exit(1)
    try:
        if as_json:
            out(to_json(as_dict(report)))
        else:
            print_report(report, scan.source, store.root, encoder.id)
    finally:  # a report that cannot be written, or that nobody reads to its end, must not keep the rest from being done
        if not report.interrupted:
            after(encoder)
    if report.interrupted:
        note(GO_ON)
        sys.exit(1)


def _prune(store: Store) -> None:
    from shotdex.upkeep.prune import prune

    pruned = prune(store)
    kept = f"; {pruned.kept:,} rows stay, because runs or maps refer to them" if pruned.kept else ""
    freed = f", {pruned.freed_bytes / 1e6:.1f} MB freed" if pruned.freed_bytes else ""
    note(f"pruned: {pruned.images:,} images and {pruned.vectors:,} vectors were removed{freed}{kept}")


def _preview(root: Path, scan: Inventory, settings: IndexOptions, choice: IndexEncoder, as_json: bool) -> None:
    from shotdex.indexer.preview import preview

    encoder = choice.identity()
    found = preview(Store(root), scan, settings, encoder)
    if as_json:
        out(to_json(found))
    else:
        print_preview(found, root, encoder[1] if encoder is not None else choice.name)
