"""`shotdex probe`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shotdex.formatting import estimate_cells, p_value, small_sample, visible

from .figure_options import LOOKS, look_options
from .options import (
    UserPath,
    drawable,
    filter_options,
    json_option,
    model_option,
    open_session,
    save_figure,
    space_option,
    store_option,
)
from .render import as_json as to_json
from .render import note, out, wrapped
from .rows import format_option, rows_printed, table

if TYPE_CHECKING:
    from shotdex.analysis.probe.compare import ProbeComparison
    from shotdex.analysis.probe.rows import ComparisonRow


METHOD = 43
"""Columns of a method's name, with which the table takes 100 at most; the notes below it have the whole name."""


@click.command("probe")
@click.option("--train-where", metavar="SQL", help="The training images. [default: split = 'train']")
@click.option("--test-where", metavar="SQL", help="The test images. [default: split = 'test']")
@filter_options("runs")
@click.option(
    "--few-shot",
    default="1,2,4,8,16",
    show_default=True,
    metavar="N,N,...",
    help="Training images per class; none to skip few-shot.",
)
@click.option(
    "--draws", type=click.IntRange(1), default=10, show_default=True, help="Number of times those few images are drawn."
)
@space_option()
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Random seed for the splits, the draws and the bootstrap.",
)
@click.option("--run", multiple=True, metavar="RUN", help="A zero-shot run; repeatable. [default: the newest, if any]")
@click.option(
    "--outside",
    multiple=True,
    metavar="RESULT",
    help="An external result: NAME=VALUE, NAME=VALUE:N, or the name of an imported baseline; repeatable.",
)
@click.option(
    "--out",
    "target",
    type=UserPath(path_type=Path),
    callback=drawable,
    metavar="FILE",
    help="Draw it (.png, .svg, .pdf).",
)
@look_options("probe")
@model_option
@store_option
@json_option
@format_option
def command(target: Path | None, store_path: Path | None, as_json: bool, form: str | None, **options: Any) -> None:
    """Compare zero-shot accuracy with k-NN and linear probes trained on the stored vectors, on the same test images.

    Three methods are trained: logistic regression on a few images per class, drawn repeatedly; and nearest neighbours
    by cosine and logistic regression on all training images. The number of neighbours and the L2 strength are chosen on
    a part of the training images, never on test images. Nothing is encoded. If no image has a split, the images are
    split into random halves. --where and the other filters apply to training and test images alike.

    \b
    shotdex probe --run names --run words --out probe.png
    shotdex probe --outside "small CNN=0.919:10000"
    shotdex probe --train-where "split <> 'test'" --test-where "split = 'test'"
    """
    session = open_session(store_path)
    looks = {name: options.pop(name) for name in LOOKS}
    probed = session.probe(progress=True, **options)
    found: ProbeComparison = probed.details
    if found.split.assumed:
        note("no image has a split, so random halves were drawn; choose with --train-where and --test-where")
    if not rows_printed(probed, form):
        out(to_json(as_dict(found)) if as_json or form == "json" else wrapped(as_text(found)))
    if target is not None:
        save_figure(session.plot.probe(probed, note=note, **looks), target)


def as_dict(found: ProbeComparison) -> dict[str, Any]:
    """Return a comparison under the names that its JSON has always had."""
    names = {"options": "request", "rows": "rungs"}
    return {names.get(field.name, field.name): getattr(found, field.name) for field in fields(found)}


def as_text(found: ProbeComparison) -> str:
    """Return a comparison as text: coverage, the table, and what one must know to read it."""
    zero = next((row.name for row in found.rows if row.kind == "zero-shot"), None)
    columns = ["method", "accuracy", "95 % interval", "n", *["p", "p (Holm)"] * (zero is not None), ""]
    rows = [_row(row, zero is not None) for row in found.rows]
    return "\n".join([*_header(found), "", table(columns, rows), *_reading_notes(found, zero)])


def _header(found: ProbeComparison) -> list[str]:
    copies = f"{found.copies:,} of the test images have a bit-identical copy among the training images"
    return [
        f"{len(found.classes)} classes, {found.options.space} space of {found.encoder}",
        f"split: {visible(found.split.words)}",
        str(found.coverage),
        copies if found.copies else "no test image has a bit-identical copy among the training images",
    ]


def _row(row: ComparisonRow, tested: bool) -> list[Any]:
    value, interval, n = estimate_cells(row.estimate)
    tests = [p_value(row.p_value), p_value(row.adjusted)] * tested
    name = _method(row)
    name = name if len(name) <= METHOD else name[: METHOD - 1] + "…"
    return [name, value, interval, n or "-", *tests, small_sample(row.estimate)]


def _method(row: ComparisonRow) -> str:
    """Return a row's name with the first of its details; `_reading_notes` has the others."""
    first = _details(row)[0]
    return visible(f"{row.kind}: {row.name}" + (f", {first}" if row.kind in ("few-shot", "trained") and first else ""))


def _details(row: ComparisonRow) -> list[str]:
    """Return the parts of a row's details, and what stands in brackets as a part of its own."""
    return re.sub(r" \(([^)]*)\)", r", \1", row.details).split(", ")


def _reading_notes(found: ProbeComparison, zero: str | None) -> Sequence[str]:
    notes = list(found.notes)
    for row in found.rows:
        details = ", ".join(_details(row)[row.kind in ("few-shot", "trained") :])
        if details:
            notes.append(f"{_method(row)}: {details}")
    if zero is not None:
        tests = sum(not isnan(row.p_value) for row in found.rows)
        notes.append(f"p: exact McNemar test against {zero} on the test images that both answered")
        notes.append(f"p (Holm): over {tests} comparisons")
    if any(row.kind == "few-shot" for row in found.rows):
        notes.append(
            f"few-shot: mean of {found.options.draws} draws; the interval is for draws and test images together"
        )
    notes.append(f"other intervals: Wilson; seed {found.options.seed}")
    return [visible(text) for text in notes]
