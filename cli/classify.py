"""`shotdex classify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from shotdex.analysis.categories import classes_without_images, narrowing
from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.coverage import beyond_filter, counting_failures, coverage, unscored
from shotdex.analysis.results import GROUPS, UNLABELLED, accuracy_by, outside_labels, overall
from shotdex.analysis.stats.proportions import describe
from shotdex.formatting import estimate_cells, shown_path, table, visible
from shotdex.models.encoder_pool import EncoderPool
from shotdex.prompts import choose_prompts
from shotdex.store.connection import Connection
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.store import Store
from shotdex.store.types import Estimate, Run

from .options import (
    command_line,
    device_option,
    json_option,
    model_option,
    open_store,
    store_option,
    where_option,
)
from .prompt_options import classes_option, prompts_option, template_option
from .render import as_json as to_json
from .render import out

SHOWN = 5
"""Images and labels left out of the accuracy that are named one by one."""


@click.command("classify")
@prompts_option
@template_option
@classes_option
@click.option("--name", metavar="RUN", help="A name for the run. [default: run-N]")
@click.option("--replace", is_flag=True, help="Replace the run that has this name.")
@click.option("--partial", is_flag=True, help="Leave categories without a class out of the accuracy.")
@where_option
@click.option("-k", "k", type=click.IntRange(1), default=5, show_default=True, help="Predictions kept for each image.")
@model_option
@device_option
@store_option
@json_option
def command(
    prompts: str | None,
    templates: tuple[str, ...],
    classes: str | None,
    name: str | None,
    replace: bool,
    partial: bool,
    where: str | None,
    k: int,
    model: str | None,
    device: str,
    store_path: Path | None,
    as_json: bool,
) -> None:
    """Score every image against every class and print accuracy with 95 % intervals.

    Without options the prompts are the bare names of all indexed categories, also where --where keeps only some of
    them. Several templates are averaged. The predictions stay in the store: see `shotdex sql "FROM outcomes LIMIT 5"`.

    \b
    shotdex classify
    shotdex classify --template "a photo of a {}." --name photo
    shotdex classify --prompts my-prompts.toml --where "split = 'test'"
    shotdex classify --prompts fashion-mnist-described
    """
    store = open_store(store_path)
    chosen = choose_prompts(store, prompts, templates, classes)
    settings = {"prompts": prompts, "templates": list(templates), "classes": classes, "model": model}
    wanted = Classification(chosen, name, where, k, model, settings, command_line(), replace=replace, partial=partial)
    run = classify(store, wanted, EncoderPool(store, device))
    out(to_json(run_as_dict(store, run)) if as_json else run_as_text(store, run))


def run_as_dict(store: Store, run: Run) -> dict[str, Any]:
    """Return a run with its accuracies."""
    with store.reading() as con:
        return {
            "run": run,
            "prompts": load_prompt_set(con, run.prompt_set_id),
            "coverage": coverage(run),
            "not_scored": unscored(con, run, 1000),
            "beyond_filter": beyond_filter(con, run),
            "classes_without_images": classes_without_images(con, run),
            "accuracy": overall(con, run),
            **{f"by_{group}": accuracy_by(con, run, group) for group in GROUPS},
        }


def run_as_text(store: Store, run: Run) -> str:
    """Return a run's coverage and accuracies as text."""
    with store.reading() as con:
        prompts = load_prompt_set(con, run.prompt_set_id)
        total = overall(con, run)
        groups = {group: accuracy_by(con, run, group) for group in ("condition", "category", "split")}
        texts = sum(len(part) for part in prompts.classes.values())
        how = f", combined by {prompts.combine}" if texts > len(prompts.classes) else ""
        lines = [
            f"run {visible(run.name)}: prompts {visible(prompts.name)!r}, "
            f"{texts} for {len(prompts.classes)} classes{how}",
            str(coverage(run)),
            *_what_is_missing(con, run, total),
        ]
    if total.n == 0:
        return "\n".join([*lines, "no image has a category, so there is no accuracy; see: shotdex sql 'FROM outcomes'"])
    rows: list[Sequence[Any]] = []
    for group, estimates in groups.items():
        if set(estimates) != {UNLABELLED}:
            rows += [[group, *_row(name, estimate)] for name, estimate in estimates.items()]
    rows.append(["all", *_row("", total)])
    return "\n".join([*lines, "", table(["by", "", "accuracy@1", "95 % interval", "n"], rows)])


def _what_is_missing(con: Connection, run: Run, total: Estimate) -> list[str]:
    """Say which images the accuracy does not speak of, and what it would be if all that failed were errors."""
    lines = [f"  {visible(sentence)}"] if (sentence := narrowing(con, run)) else []
    for label, n in outside_labels(con, run)[:SHOWN]:
        lines.append(f"  {n:,} images of category {visible(label)!r} are of no class; a prompt file can say [aliases]")
    for path, stage, reason in unscored(con, run, SHOWN):
        lines.append(f"  not scored: {shown_path(visible(path))} ({stage}: {reason})")
    if run.failed > SHOWN:
        lines.append(
            f"  and {run.failed - SHOWN:,} more" + (': shotdex sql "FROM failures"' if run.where is None else "")
        )
    beyond = beyond_filter(con, run)
    if beyond:
        lines.append(
            f"  {beyond:,} images could not be indexed, and a filter cannot say whether they belong here: "
            'shotdex sql "FROM failures"'
        )
    if run.failed and total.n:
        worst = counting_failures(run, round(total.value * total.n))
        lines.append(f"  if those {run.failed:,} counted as errors, accuracy@1 would be {describe(worst)}")
    return lines


def _row(name: str, estimate: Estimate) -> list[Any]:
    value, interval, n = estimate_cells(estimate)
    return [name, value, interval, n]
