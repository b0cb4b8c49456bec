"""`shotdex baseline`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from math import isnan
from pathlib import Path
from typing import Any

import click

from shotdex.analysis.baselines.compare import BaselineComparison, ConditionVerdict, compare_baseline, describe_reported
from shotdex.analysis.baselines.consistency import ConditionConsistency, Consistency
from shotdex.analysis.baselines.file_formats import TrialCounts, count_trials
from shotdex.analysis.baselines.importing import read_baseline, record_baseline, shipped_names
from shotdex.analysis.coverage import coverage
from shotdex.analysis.stats.proportions import describe
from shotdex.formatting import table, visible
from shotdex.store.baselines import Baseline, Kind, find_baseline, list_baselines, load_trials, remove_baseline
from shotdex.store.connection import Connection
from shotdex.store.runs import find_run
from shotdex.store.types import Estimate

from .options import json_option, open_store, run_option, store_option
from .render import as_json as to_json
from .render import note, out

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
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="A name for the baseline. [default: the file's name]")
@click.option("--source", metavar="TEXT", help="Where the numbers come from. [default: the file's column `source`]")
@store_option
@json_option
def import_(
    files: tuple[Path, ...], name: str | None, source: str | None, store_path: Path | None, as_json: bool
) -> None:
    """Import a baseline from a CSV file; its header says which kind it is.

    A table: condition,accuracy,n,low,high,source,note. Accuracies are shares between 0 and 1; the condition `all`, or
    none, is the overall value. Fill in what is known of n, low and high.

    Trials, one row per decision, as the model-vs-human toolbox writes them: subj,object_response,category,imagename and
    maybe condition; other columns are ignored. Trials may come in several files, such as one per person.

    FILE may also be the name of a baseline that ships: fashion-mnist-cnn, fashion-mnist-people or toddlers.

    \b
    shotdex baseline import toddlers
    shotdex baseline import children.csv --source "Smith (2024), table 2"
    shotdex baseline import contrast_subject-*.csv --name people
    """
    store = open_store(store_path)
    read = read_baseline(files, name, source)
    baseline = record_baseline(store, read)
    for line in read.notes:
        note(visible(line))
    counts = count_trials(read.trials) if read.trials is not None else None
    out(to_json(_as_dict(baseline, counts)) if as_json else "imported " + _as_text(baseline, counts))


@command.command("list")
@store_option
@json_option
def list_(store_path: Path | None, as_json: bool) -> None:
    """List the baselines, oldest first."""
    with open_store(store_path).reading() as con:
        found = [(baseline, _counts(con, baseline)) for baseline in list_baselines(con)]
    if as_json:
        out(to_json([_as_dict(baseline, counts) for baseline, counts in found]))
        return
    if not found:
        note("no baselines yet; import a file, or one that ships: " + ", ".join(shipped_names()))
        return
    rows = [[b.baseline_id, b.name, b.kind, ", ".join(b.accuracies), n.trials if n else None] for b, n in found]
    out(table(["baseline", "name", "kind", "conditions", "trials"], rows))
    for baseline, _ in found:
        out()
        out(f"{visible(baseline.name)}: {visible(baseline.source)}")
        if baseline.note:
            out(f"  note: {visible(baseline.note)}")


@command.command()
@click.argument("name", metavar="NAME")
@store_option
@json_option
def show(name: str, store_path: Path | None, as_json: bool) -> None:
    """Show a baseline's accuracies, their source and its notes."""
    with open_store(store_path).reading() as con:
        baseline = find_baseline(con, name)
        counts = _counts(con, baseline)
    out(to_json(_as_dict(baseline, counts)) if as_json else _as_text(baseline, counts))


@command.command()
@click.argument("name", metavar="NAME")
@run_option
@store_option
@json_option
def compare(name: str, run: str | None, store_path: Path | None, as_json: bool) -> None:
    """Show where a run is better or worse than a baseline, and where the difference may be chance.

    The difference is the model's accuracy minus the baseline's, with its 95 % interval; better and worse are said only
    where the interval leaves out 0. With trials, also whether model and people err on the same images (error
    consistency: Cohen's kappa of right and wrong; 1 is the same errors, 0 what chance gives).

    \b
    shotdex baseline compare toddlers
    shotdex baseline compare people --run names
    """
    store = open_store(store_path)
    with store.reading() as con:
        baseline, chosen = find_baseline(con, name), find_run(con, run)
    compared = compare_baseline(store, baseline, chosen)
    out(to_json(_compared_as_dict(compared)) if as_json else _compared_as_text(compared))


@command.command()
@click.argument("name", metavar="NAME")
@store_option
def remove(name: str, store_path: Path | None) -> None:
    """Remove a baseline, with its trials; the file it came from stays."""
    store = open_store(store_path)
    with store.writing() as con:
        trials = _counts(con, find_baseline(con, name))
        removed = remove_baseline(con, name)
    had = f" and {trials.trials:,} trials" if trials else ""
    out(f"removed baseline {visible(removed.name)}: {len(removed.accuracies)} accuracies{had}")


def _counts(con: Connection, baseline: Baseline) -> TrialCounts | None:
    return count_trials(load_trials(con, baseline.baseline_id)) if baseline.kind is Kind.TRIALS else None


def _as_dict(baseline: Baseline, counts: TrialCounts | None) -> dict[str, Any]:
    return {"baseline": baseline, "counts": counts}


def _as_text(baseline: Baseline, counts: TrialCounts | None) -> str:
    rows = [[name, *_reported(estimate), estimate.method] for name, estimate in baseline.accuracies.items()]
    columns = ["condition", "accuracy", "95 % interval", "n", "interval by"]
    return "\n".join([*_heading(baseline, counts), "", table(columns, rows)])


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
    lines = [f"run {visible(compared.run.name)} against {first}", str(coverage(compared.run)), *rest]
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
            describe_reported(row.baseline),
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
