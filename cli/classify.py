"""`shotdex classify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shotdex.formatting import estimate_cells, shown_path, table, visible

from .options import (
    command_line,
    device_option,
    json_option,
    model_option,
    open_session,
    store_option,
    where_option,
)
from .prompt_options import classes_option, prompts_option, template_option
from .render import as_json as to_json
from .render import out

if TYPE_CHECKING:
    from shotdex.analysis.classify import Classified

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
    run = open_session(store_path, device).classify(
        classes,
        templates=templates,
        prompts=prompts,
        where=where,
        k=k,
        name=name,
        model=model,
        replace=replace,
        partial=partial,
        command=command_line(),
    )
    assert run.summary is not None
    out(to_json(as_dict(run.summary)) if as_json else as_text(run.summary))


def as_dict(found: Classified) -> dict[str, Any]:
    """Return a run with its accuracies."""
    from shotdex.analysis.coverage import coverage

    return {
        "run": found.run,
        "prompts": found.prompts,
        "coverage": coverage(found.run),
        "not_scored": found.unscored.listed,
        "beyond_filter": found.unscored.beyond_filter,
        "classes_without_images": found.classes_without_images,
        "accuracy": found.accuracy,
        **{f"by_{group}": estimates for group, estimates in found.groups.items()},
        "notes": found.notes,
    }


def as_text(found: Classified) -> str:
    """Return a run's coverage and accuracies as text."""
    from shotdex.analysis.coverage import coverage
    from shotdex.analysis.results import UNLABELLED

    run, prompts, total = found.run, found.prompts, found.accuracy
    texts = sum(len(part) for part in prompts.classes.values())
    how = f", combined by {prompts.combine}" if texts > len(prompts.classes) else ""
    lines = [
        f"run {visible(run.name)}: prompts {visible(prompts.name)!r}, {texts} for {len(prompts.classes)} classes{how}",
        *(f"  {visible(note)}" for note in found.notes),
        str(coverage(run)),
        *_what_is_missing(found),
    ]
    if total.n == 0:
        return "\n".join([*lines, "no image has a category, so there is no accuracy; see: shotdex sql 'FROM outcomes'"])
    rows: list[Sequence[Any]] = []
    for group in ("condition", "category", "split"):
        if set(found.groups[group]) != {UNLABELLED}:
            rows += [[group, name, *estimate_cells(estimate)] for name, estimate in found.groups[group].items()]
    rows.append(["all", "", *estimate_cells(total)])
    return "\n".join([*lines, "", table(["by", "", "accuracy@1", "95 % interval", "n"], rows)])


def _what_is_missing(found: Classified) -> list[str]:
    """Say which images the accuracy does not speak of, and what it would be if all that failed were errors."""
    from shotdex.analysis.coverage import counting_failures
    from shotdex.analysis.stats.proportions import describe

    lines = [f"  {visible(found.narrowing)}"] if found.narrowing else []
    run, total = found.run, found.accuracy
    for label, n in found.outside[:SHOWN]:
        lines.append(f"  {n:,} images of category {visible(label)!r} are of no class; a prompt file can say [aliases]")
    for path, stage, reason in found.unscored.listed[:SHOWN]:
        lines.append(f"  not scored: {shown_path(visible(path))} ({stage}: {reason})")
    if run.failed > SHOWN:
        lines.append(
            f"  and {run.failed - SHOWN:,} more" + (': shotdex sql "FROM failures"' if run.where is None else "")
        )
    if found.unscored.beyond_filter:
        lines.append(
            f"  {found.unscored.beyond_filter:,} images could not be indexed, and a filter cannot say whether they "
            'belong here: shotdex sql "FROM failures"'
        )
    if run.failed and total.n:
        worst = counting_failures(run, round(total.value * total.n))
        lines.append(f"  if those {run.failed:,} counted as errors, accuracy@1 would be {describe(worst)}")
    return lines
