"""`shotdex report`."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shotdex.analysis.metrics import registry
from shotdex.formatting import (
    SMALL,
    compact,
    estimate_cells,
    plain,
    shown_path,
    signed_cells,
    size,
    small_sample,
    visible,
)

from .options import anyway_option, by_option, json_option, open_session, resamples_option, store_option
from .render import as_json as to_json
from .render import note, out, wrapped
from .rows import format_option, rows_printed, table

if TYPE_CHECKING:
    from shotdex.analysis.report import GroupRow, Report
    from shotdex.analysis.selective import PredictionSets, Risk, Selective, Temperature
    from shotdex.store.types import Estimate

HELP = f"""Report every number about a RUN (default: the newest), each with its n and 95 % interval.

Accuracy, top-k, {", ".join(metric.name for metric in registry.METRICS)}; recall, precision and F1 of each class. --by
takes one or more columns of `images`.

\b
shotdex report
shotdex report names --by condition
shotdex report names --by condition,category

With --out, it writes a document to hand in or send: one HTML file that needs no server (.html), a notebook (.ipynb),
LaTeX tables (.tex), or a folder with Markdown and PNGs. Further RUNs are compared with the first.

\b
shotdex report names words --out report.html
shotdex report names --style course --out report.ipynb
"""


SHARED = ("coverage", "resamples", "seed", "bins")
"""Options of the document and of --selective."""


@click.command("report", help=HELP)
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--run", "named", metavar="RUN", multiple=True, hidden=True, help="A RUN, named as other commands do.")
@by_option
@resamples_option(1000)
@click.option("--seed", type=click.IntRange(0), help="Random seed for the bootstrap. [default: the run's]")
@click.option(
    "--bins",
    type=click.IntRange(1, 1000),
    default=15,
    show_default=True,
    help="Number of bins of the calibration error.",
)
@click.option("--out", metavar="PATH", help="Write a document: FILE.html, FILE.ipynb, FILE.tex, or FOLDER/.")
@click.option(
    "--style",
    type=click.Choice(["report", "course"]),
    default="report",
    show_default=True,
    help="Style of the document; course: Introduction, Methods, Results, and a Discussion to fill in.",
)
@click.option(
    "--images",
    type=click.IntRange(0, 500),
    default=24,
    show_default=True,
    help="Maximum number of mistakes that the document shows as images.",
)
@anyway_option
@click.option(
    "--selective",
    is_flag=True,
    help="Also risk against coverage, temperature scaling and prediction sets; a document always has them.",
)
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Coverage of the prediction sets.",
)
@store_option
@json_option
@format_option
def command(
    runs: tuple[str, ...],
    named: tuple[str, ...],
    by: str | None,
    selective: bool,
    store_path: Path | None,
    as_json: bool,
    form: str | None,
    **options: Any,
) -> None:
    """Print the report, or write it."""
    session = open_session(store_path)
    found = session.report((*runs, *named), by=by or (), **options)
    if found.written is not None:
        for sentence in found.written.notes:
            note(sentence)
        note(f"wrote {shown_path(str(found.written.path))} ({size(found.written.bytes)})")
    as_json = as_json or form == "json"
    if not rows_printed(found, form) and (found.written is None or as_json):
        further = None
        if selective:
            chosen = session.run(found.details.run.name)
            further = chosen.selective(**{name: options[name] for name in SHARED}).details
        out(to_json(_as_dict(found.details, further)) if as_json else wrapped(as_text(found.details, further)))


def _as_dict(found: Report, further: Selective | None) -> dict[str, Any]:
    report: dict[str, Any] = plain(found)
    return report if further is None else {**report, "selective": {**plain(further), "run": found.run.name}}


def as_text(found: Report, further: Selective | None = None) -> str:
    """Return a report as text, and what the probabilities are good for."""
    run, everything = found.run, found.overall
    lines = [f"run {visible(run.name)}", str(found.coverage), "", _numbers(everything), "", _top_k(found)]
    if found.groups:
        lines += ["", _groups(found.by, found.groups)]
    lines += ["", _classes(found), ""]
    method = next(iter(everything.summary.values())).method
    lines.append(f"intervals: shares Wilson 95 %, the rest {method}")
    resting = [everything.accuracy, *(row.accuracy for row in found.groups)]
    resting += [part for row in found.classes for part in (row.recall, row.precision)]
    if any(0 < part.n < SMALL for part in resting):
        lines.append("small n: under 30 images, a share is known to no better than a third of the range")
    if further is not None:
        lines += ["", _selective(further)]
    return "\n".join(lines)


def _numbers(row: GroupRow) -> str:
    named = {"accuracy@1": row.accuracy} | row.summary
    cells = [[name, *estimate_cells(estimate), small_sample(estimate)] for name, estimate in named.items()]
    return table(["", "value", "95 % interval", "n", ""], cells)


def _top_k(found: Report) -> str:
    count = len(found.top_k)
    shown = [k for k in (1, 2, 3, 5, 10, 20, 50, 100, 200, 500) if k <= count]
    if count <= 10:
        shown = list(range(1, count + 1))
    return table(["top-k", "accuracy", "95 % interval", "n"], [[k, *estimate_cells(found.top_k[k - 1])] for k in shown])


def _groups(by: Sequence[str], rows: Sequence[GroupRow]) -> str:
    columns = [", ".join(by), "n", "accuracy@1", *(metric.short for metric in registry.METRICS), ""]
    cells = [
        [
            row.name,
            row.accuracy.n,
            compact(row.accuracy),
            *(_cell(row.summary[metric.name]) for metric in registry.METRICS),
            small_sample(row.accuracy),
        ]
        for row in rows
    ]
    return table(columns, cells)


def _cell(estimate: Estimate) -> str:
    """Return a metric of one group; blank where it is undefined, as F1 is inside one true class."""
    return "" if isnan(estimate.value) else compact(estimate)


def _classes(found: Report) -> str:
    cells = []
    for row in found.classes:
        recall, precision, f1 = estimate_cells(row.recall), estimate_cells(row.precision), estimate_cells(row.f1)
        cells.append([row.name, recall[2], *recall[:2], precision[2], *precision[:2], *f1[:2], row.remark])
    spread = "95 % interval"
    columns = ["class", "n", "recall", spread, "taken for it", "precision", spread, "F1", spread, ""]
    return table(columns, cells)


def _selective(found: Selective) -> str:
    parts = [_risk(found.risk)]
    parts += [_temperature(found.temperature)] if found.temperature else []
    parts += [_sets(found.sets)] if found.sets else []
    return "\n\n".join([*parts, *map(visible, found.notes)])


def _risk(found: Risk) -> str:
    rows = [
        [f"{row.coverage:.3f}", f"{row.threshold:.3f}", *estimate_cells(row.risk), small_sample(row.risk)]
        for row in found.rows
    ]
    head = "selective prediction: the error rate of the images above a probability threshold"
    columns = ["coverage", "probability", "risk", "95 % interval", "n", ""]
    area = [
        [name, *estimate_cells(one)]
        for name, one in (("AURC", found.aurc), ("beyond the best order", found.excess_aurc))
    ]
    random = f"in a random order the AURC would be {found.error_rate.value:.3f}, the error rate"
    return "\n".join([head, table(columns, rows), "", table(["", "value", "95 % interval", "n"], area), random])


def _temperature(found: Temperature) -> str:
    value, interval, _ = estimate_cells(found.temperature)
    head = (
        f"temperature {value} ({interval}), fitted on {found.fitted:,} images, reported on the other "
        f"{found.reported:,}: {found.split}"
    )
    numbers = (
        ("calibration error", found.error_before, found.error_after, found.error_change),
        ("loss, nats", found.loss_before, found.loss_after, found.loss_change),
    )
    rows = [
        [name, *estimate_cells(before)[:2], *estimate_cells(after)[:2], *signed_cells(change), change.n]
        for name, before, after, change in numbers
    ]
    spread = "95 % interval"
    return f"{head}\n{table(['', 'before', spread, 'after', spread, 'change', spread, 'n'], rows)}"


def _sets(found: PredictionSets) -> str:
    numbers = (
        ("sets with the true class", found.covered),
        ("classes in a set", found.size),
        ("sets of one class", found.single),
        ("empty sets", found.empty),
    )
    lines = [
        f"prediction sets: the classes with a probability of at least {found.threshold:.4f}, calibrated on "
        f"{found.calibrated:,} images, counted on the other {found.reported:,}: {found.split}",
        f"the set of a further image of the same kind contains its class with probability at least {found.stated:g}: "
        f"with",
        f"{found.calibrated:,} images to calibrate on, {found.exactly:.4f} over all random halves, and "
        f"{found.low:.3f} to {found.high:.3f} for 95 % of them, unless probabilities are equal",
        table(["", "value", "95 % interval", "n"], [[name, *estimate_cells(one)] for name, one in numbers]),
    ]
    return "\n".join(lines)
