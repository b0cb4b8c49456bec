"""`shotdex baseline`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shotdex.formatting import describe, visible
from shotdex.tabular import Table

from .options import UserPath, json_option, open_session, run_option, store_option
from .render import as_json as to_json
from .render import note, out, wrapped
from .rows import format_option, rows_printed, table

if TYPE_CHECKING:
    from shotdex.analysis.baselines.compare import BaselineComparison, ConditionVerdict
    from shotdex.analysis.baselines.consistency import ConditionConsistency, Consistency
    from shotdex.analysis.baselines.file_formats import TrialCounts
    from shotdex.baselines import BaselineDetails
    from shotdex.store.baselines import Baseline
    from shotdex.store.types import Estimate

CONSISTENCY_COLUMNS = (
    "condition",
    "mean kappa with the model",
    "lowest and highest subject",
    "subjects",
    "mean kappa between subjects",
    "pairs",
)


@click.group("baseline")
def command() -> None:
    """Import accuracies of people or other models, and compare runs with them."""


@command.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=UserPath(path_type=Path))
@click.option("--name", metavar="NAME", help="A name for the baseline. [default: the file's name]")
@click.option("--source", metavar="TEXT", help="Where the numbers come from. [default: the file's column `source`]")
@store_option
@json_option
@format_option
def import_(
    files: tuple[Path, ...],
    name: str | None,
    source: str | None,
    store_path: Path | None,
    as_json: bool,
    form: str | None,
) -> None:
    """Import a baseline from a CSV file; its header determines the kind.

    A table: condition,accuracy,n,low,high,source,note. Accuracies are shares between 0 and 1; the condition `all`, or
    an empty one, is the overall value. Fill in n, low and high as far as they are known.

    Trials, one row per decision, as written by the model-vs-human toolbox: subj,object_response,category,imagename and
    optionally condition; other columns are ignored. Trials may be in several files, such as one per person.

    FILE may also be the name of a baseline that ships: fashion-mnist-cnn, fashion-mnist-people or toddlers.

    \b
    shotdex baseline import toddlers
    shotdex baseline import children.csv --source "Smith (2024), table 2"
    shotdex baseline import contrast_subject-*.csv --name people
    """
    found = open_session(store_path).import_baseline(*files, name=name, source=source).details
    for line in found.notes:
        note(visible(line))
    _print_accuracies(found, as_json, form, "imported ")


@command.command("list")
@store_option
@json_option
@format_option
def list_(store_path: Path | None, as_json: bool, form: str | None) -> None:
    """List the baselines, oldest first."""
    found = open_session(store_path).baselines()
    if rows_printed(found, form):
        return
    if as_json or form == "json":
        out(to_json([_as_dict(one) for one in found.details]))
        return
    if not found:
        note("no baselines yet; import a file, or one that ships: fashion-mnist-cnn, fashion-mnist-people, toddlers")
        return
    trials = [one.counts.trials if one.counts else None for one in found.details]
    rows = [[b.baseline_id, b.name, b.kind, ", ".join(b.accuracies), n] for b, n in zip(found, trials, strict=True)]
    out(table(["baseline", "name", "kind", "conditions", "trials"], rows))
    for baseline in found:
        out()
        out(f"{visible(baseline.name)}: {visible(baseline.source)}")
        if baseline.note:
            out(f"  note: {visible(baseline.note)}")


@command.command()
@click.argument("name", metavar="NAME")
@store_option
@json_option
@format_option
def show(name: str, store_path: Path | None, as_json: bool, form: str | None) -> None:
    """Show a baseline's accuracies, their source and its notes."""
    _print_accuracies(open_session(store_path).baseline(name).details, as_json, form)


@command.command()
@click.argument("name", metavar="NAME")
@run_option
@store_option
@json_option
@format_option
def compare(name: str, run: str | None, store_path: Path | None, as_json: bool, form: str | None) -> None:
    """Show where a run is better or worse than a baseline, and where the difference may be due to chance.

    The difference is the model's accuracy minus the baseline's, with its 95 % interval; it is better or worse only if
    the interval excludes 0. With trials, the command also shows whether model and people err on the same images (error
    consistency: Cohen's kappa of right and wrong; 1 means the same errors, 0 as expected by chance).

    \b
    shotdex baseline compare toddlers
    shotdex baseline compare people --run names
    """
    found = open_session(store_path).compare_baseline(name, run)
    if not rows_printed(found, form):
        compared = found.details
        out(to_json(_compared_as_dict(compared)) if as_json or form == "json" else _compared_as_text(compared))


@command.command()
@click.argument("name", metavar="NAME")
@store_option
def remove(name: str, store_path: Path | None) -> None:
    """Remove a baseline with its trials; the imported file is not touched."""
    removed = open_session(store_path).remove_baseline(name).details
    had = f" and {removed.counts.trials:,} trials" if removed.counts else ""
    out(f"removed baseline {visible(removed.baseline.name)}: {len(removed.baseline.accuracies)} accuracies{had}")


def _print_accuracies(found: BaselineDetails, as_json: bool, form: str | None, before: str = "") -> None:
    names = ("condition", "accuracy", "accuracy_low", "accuracy_high", "accuracy_n", "method")
    reported = found.baseline.accuracies.items()
    rows = Table(
        found.baseline.name, names, [(one, e.value, e.low, e.high, e.n or None, e.method) for one, e in reported]
    )
    if not rows_printed(rows, form):
        out(to_json(_as_dict(found)) if as_json or form == "json" else wrapped(before + _as_text(found)))


def _as_dict(found: BaselineDetails) -> dict[str, Any]:
    return {"baseline": found.baseline, "counts": found.counts}


def _as_text(found: BaselineDetails) -> str:
    rows = [[name, *_reported(estimate), estimate.method] for name, estimate in found.baseline.accuracies.items()]
    columns = ["condition", "accuracy", "95 % interval", "n", "interval by"]
    return "\n".join([*_heading(found.baseline, found.counts), "", table(columns, rows)])


def _heading(baseline: Baseline, counts: TrialCounts | None) -> list[str]:
    lines = [f"baseline {visible(baseline.name)} ({baseline.kind})", f"source: {visible(baseline.source)}"]
    if baseline.note:
        lines.append(f"note: {visible(baseline.note)}")
    if counts is not None:
        people = "1 subject" if counts.subjects == 1 else f"{counts.subjects:,} subjects"
        missing = f"; {counts.missing:,} without a response count as wrong" if counts.missing else ""
        lines.append(f"trials: {counts.trials:,} of {people}{missing}")
    return lines


def _reported(estimate: Estimate) -> tuple[str, str, str]:
    """Return a baseline's value, interval and n; unlike a run's, the last two may not be known."""
    interval = "not reported" if isnan(estimate.low) else f"{estimate.low:.3f} to {estimate.high:.3f}"
    return f"{estimate.value:.3f}", interval, str(estimate.n) if estimate.n else "not reported"


def _compared_as_dict(compared: BaselineComparison) -> dict[str, Any]:
    rows = [asdict(row) | {"words": row.sentence()} for row in compared.conditions]
    return {field.name: getattr(compared, field.name) for field in fields(compared)} | {"conditions": rows}


def _compared_as_text(compared: BaselineComparison) -> str:
    first, *rest = _heading(compared.baseline, compared.counts)
    lines = [f"run {visible(compared.run.name)} against {first}", str(compared.coverage), *rest]
    lines += ["", _verdict_table(compared.conditions), ""]
    for who, names in (("run", compared.only_model), ("baseline", compared.only_baseline)):
        if names:
            lines.append(f"only in the {who}: {visible(', '.join(names))}")
    lines += compared.notes
    if compared.consistency is not None:
        lines += ["", *_consistency_lines(compared.consistency)]
    return "\n".join(lines)


def _verdict_table(rows: Sequence[ConditionVerdict]) -> str:
    remarks = ["remarks"] if any(row.remarks for row in rows) else []
    cells = [
        [
            row.condition,
            row.verdict,
            describe(row.model),
            describe(row.baseline),
            _difference(row.difference),
            *([", ".join(row.remarks)] if remarks else []),
        ]
        for row in rows
    ]
    return table(["condition", "the model is", "model", "baseline", "model - baseline", *remarks], cells)


def _difference(difference: Estimate) -> str:
    bounds = "no interval" if isnan(difference.low) else f"[{difference.low:+.3f}, {difference.high:+.3f}]"
    return f"{difference.value:+.3f} {bounds}"


def _consistency_lines(found: Consistency) -> list[str]:
    lines = ["error consistency: do model and people err on the same images? (1 the same errors, 0 chance)"]
    if found.conditions:
        lines += ["", table(CONSISTENCY_COLUMNS, [_consistency_row(row) for row in found.conditions]), ""]
    lines.append(f"trials used: {found.used:,} of {found.trials:,}" + "".join(_left_out(found)))
    if found.examples:
        lines.append(f"names that the run does not have, for example: {visible(', '.join(found.examples))}")
    if found.mislabelled:
        lines.append(f"{found.mislabelled:,} of the trials used give the image another category than the run does")
    undefined = sum(row.undefined for row in found.conditions)
    if undefined:
        lines.append(f"left out of the means, as always right or always wrong like the model: {undefined:,} subjects")
    if found.conditions:
        lines.append("What subjects reach among themselves is what a model that errs like them would reach.")
        lines.append("The intervals are over images; how far other people would differ is not in them.")
    return lines


def _consistency_row(row: ConditionConsistency) -> list[Any]:
    ends = "-" if isnan(row.lowest) else f"{row.lowest:.3f}, {row.highest:.3f}"
    subjects = len(row.subjects) - row.undefined
    return [row.condition, describe(row.kappa), ends, subjects, describe(row.between), row.pairs]


def _left_out(found: Consistency) -> list[str]:
    reasons = (
        (found.unknown, "name no image of the run"),
        (found.elsewhere, "name an image of another condition"),
        (found.ambiguous, "fit several images"),
        (found.repeated, "repeat an image that the subject had seen, of which the first trial counts"),
    )
    return [f"; {count:,} {reason}" for count, reason in reasons if count]
