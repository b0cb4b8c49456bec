"""`shotdex index`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shotdex.store.encoders import list_encoders
from shotdex.store.errors import SettingsError
from shotdex.store.images import Labels
from shotdex.store.location import store_to_write
from shotdex.store.store import Store
from shotdex.store.words import EncoderId, IndexReport

from .options import device_option, json_option, store_option
from .render import as_json as to_json
from .render import note, out, shown_path, visible

if TYPE_CHECKING:
    from shotdex.indexer.encoder import TransformersEncoder
    from shotdex.indexer.layout import Layout


@click.command("index")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--layout", metavar="PATTERN", help="What path parts mean: '{condition}/{category}*', '{split}/{category}/*'."
)
@click.option(
    "--categories", metavar="A,B,C", help="The category is the longest of these that a file's name starts with."
)
@click.option("--category", metavar="X", help="The category of all pictures.")
@click.option("--condition", metavar="X", help="The condition of all pictures.")
@click.option("--split", metavar="X", help="The split of all pictures.")
@click.option(
    "--model",
    metavar="NAME_OR_PATH",
    help="A CLIP or SigLIP model: hub name, local folder, or demo. Else the store's; a new store takes "
    "openai/clip-vit-base-patch32.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bf16", "fp16", "auto"]),
    help="What the model computes in; part of the encoder's identity. [default: the store's, else float32]",
)
@click.option("--batch-size", type=click.IntRange(1, 4096), default=64, show_default=True, help="Pictures a batch.")
@device_option
@store_option
@json_option
def command(
    source: Path,
    layout: str | None,
    categories: str | None,
    category: str | None,
    condition: str | None,
    split: str | None,
    model: str | None,
    precision: str | None,
    batch_size: int,
    device: str,
    store_path: Path | None,
    as_json: bool,
) -> None:
    """Index the pictures of SOURCE: a folder, a zip archive, or a folder of IDX files (MNIST, Fashion-MNIST).

    Running it again costs a look at each file: what has not changed is not read. A broken picture becomes a row in
    the table `failures` and the rest goes on. Ctrl-C keeps what is done.

    \b
    shotdex index photos/
    shotdex index stimuli/ --layout '{condition}/{category}*' --categories airplane,car,chair
    """
    from shotdex.indexer.run import Indexing, IndexSettings, scan_source
    from shotdex.indexer.sources import open_source

    from .progress import Bar

    fixed = Labels(category, condition, split)
    settings = IndexSettings(_layout(layout, categories, fixed), batch_size)
    place = open_source(source)
    scan = scan_source(place)  # what is wrong with the source is said before a model is loaded
    root = store_to_write(store_path, os.environ, Path.cwd())
    encoder = _encoder(root, model, precision, device)
    store = Store.create(root)
    with Bar("indexing") as bar:
        report = Indexing(store, encoder, settings, bar).run(place, scan)
    if as_json:
        out(to_json(report))
    else:
        _print(report, store, encoder.id, place.kind, str(place.root))
    if report.interrupted:
        note("interrupted; what is done is kept. Go on with the same command.")
        sys.exit(1)


def _layout(pattern: str | None, categories: str | None, fixed: Labels) -> Layout:
    from shotdex.indexer.layout import parse_layout

    listed = [name.strip() for name in categories.split(",")] if categories is not None else []
    if categories is not None and not any(listed):
        raise SettingsError("--categories is empty", "for example: --categories airplane,car,chair")
    return parse_layout(pattern, listed, fixed)


def _encoder(root: Path, model: str | None, precision: str | None, device: str) -> TransformersEncoder:
    """Load the named model, or the one that the store is already made with."""
    from shotdex.indexer.encoder import EncoderSettings, load_encoder
    from shotdex.indexer.model_files import DEFAULT_MODEL, canonical_name

    known: list[EncoderId] = []
    if Store(root).catalog.is_file():
        with Store.open(root).reading() as con:
            known = list(list_encoders(con).values())
    if model is None and len(known) > 1:
        names = ", ".join(encoder.name for encoder in known)
        raise SettingsError(f"this store has several encoders: {names}", "choose one: --model NAME")
    wanted = model or (known[0].name if known else DEFAULT_MODEL)
    settings = EncoderSettings(device, precision or "float32")
    same = [encoder for encoder in known if encoder.name == canonical_name(wanted)]
    if same and precision is None:
        settings = replace(settings, precision=same[0].precision.value, pooling=same[0].pooling)
    note(f"loading {wanted}")
    return load_encoder(wanted, settings)


def _print(report: IndexReport, store: Store, encoder: EncoderId, kind: str, root: str) -> None:
    counts: dict[str, Any] = {
        "added": report.added,
        "unchanged": report.unchanged,
        "changed": report.changed,
        "moved": report.moved,
        "gone": report.removed,
        "failed": report.rejected,
    }
    shown = ", ".join(f"{n:,} {word}" for word, n in counts.items() if n or word in ("added", "unchanged"))
    handled = report.added + report.changed + report.moved
    rate = f" ({handled / report.seconds:,.0f} pictures a second)" if handled >= 100 and report.seconds > 0 else ""
    out(f"{kind} {shown_path(visible(root))}: {shown} in {report.seconds:.1f} s{rate}")
    for line in report.notes:
        out(f"  labels: {line} (choose with --layout)")
    if report.unlabelled:
        out(f"  {report.unlabelled:,} pictures have no category")
    if report.ignored:
        out(f"  {report.ignored:,} other files are no pictures by their names and were left out")
    for reason, n in Counter(failure.reason for failure in report.failures).most_common():
        first = next(failure for failure in report.failures if failure.reason is reason)
        out(f"  failed, {reason.value}: {n:,}, such as {visible(shown_path(first.path))} ({visible(first.detail)})")
    out(f"  store {shown_path(str(store.root))}, encoder {encoder}")
