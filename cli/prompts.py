"""`shotdex prompts`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shotdex.formatting import estimate_cells, small_sample, visible
from shotdex.prompts import PromptCheck, check_prompts, find_prompts, list_prompts
from shotdex.store.errors import StoreNotFound
from shotdex.store.types import PromptSet

from .options import (
    classes_option,
    device_option,
    json_option,
    model_option,
    open_session,
    prompts_option,
    store_option,
    template_option,
    where_option,
)
from .render import as_json as to_json
from .render import note, out
from .rows import format_option, print_rows, rows_printed, table

if TYPE_CHECKING:
    from shotdex.analysis.prompt_sweep import Sweep, Trial
    from shotdex.store.store import Store


@click.group("prompts")
def command() -> None:
    """List, show, check and compare prompt sets, which assign texts to classes."""


def _store_if_any(store_path: Path | None) -> Store | None:
    """Open the store where there is one: shipped sets and files need none, but one that was named has to be there."""
    try:
        return open_session(store_path).store
    except StoreNotFound:
        if store_path is not None or os.environ.get("SHOTDEX_STORE"):
            raise
        return None


@command.command("list")
@store_option
@json_option
@format_option
def list_(store_path: Path | None, as_json: bool, form: str | None) -> None:
    """List the prompt sets that ship with shotdex and those used by runs in the store."""
    found = list_prompts(_store_if_any(store_path))
    if as_json or form == "json":
        out(to_json(list(found)))
        return
    rows = [
        [where, name, len(p.classes), sum(map(len, p.classes.values())), len(p.templates), p.combine, p.sha256[:12]]
        for where, name, p in ((one.where, one.name, one.prompts) for one in found)
    ]
    columns = ["where", "name", "classes", "prompts", "templates", "combine", "sha256"]
    if form in (None, "table"):
        out(table(columns, rows))
    else:
        print_rows(columns, rows, form)


@command.command()
@click.argument("name", metavar="SET")
@store_option
@json_option
@format_option
def show(name: str, store_path: Path | None, as_json: bool, form: str | None) -> None:
    """Show every text of a prompt SET.

    SET is a file, the name of a shipped set, or the name or sha256 of one used by a run in the store.
    """
    prompts = find_prompts(name, lambda: _store_if_any(store_path))
    if form in (None, "table", "json"):
        out(to_json(prompts) if as_json or form == "json" else as_text(prompts))
    else:
        print_rows(
            ["class", "prompt"], [[name, text] for name, texts in prompts.classes.items() for text in texts], form
        )


def as_text(prompts: PromptSet) -> str:
    """Return a prompt set spelled out."""
    lines = [
        f"{visible(prompts.name)}: {len(prompts.classes)} classes, combined by {prompts.combine}, "
        f"sha256 {prompts.sha256[:12]}",
        f"source: {visible(prompts.source)}",
    ]
    lines += [f"template: {visible(template)}" for template in prompts.templates]
    rows = [[category, text] for category, texts in prompts.classes.items() for text in texts]
    lines += ["", table(["class", "prompt"], rows)]
    if prompts.aliases:
        rows = [[category, label] for category, labels in prompts.aliases.items() for label in labels]
        lines += ["", table(["class", "also labelled"], rows)]
    return "\n".join(lines)


@command.command()
@click.argument("name", metavar="SET")
@where_option
@model_option
@store_option
@json_option
@format_option
def check(
    name: str, where: str | None, model: str | None, store_path: Path | None, as_json: bool, form: str | None
) -> None:
    """Check a prompt SET, with the images of the store if there is one. Exits with 1 if there is a problem.

    Finds categories without a class, classes without an image, prompts shared by two classes, and prompts longer than
    the model reads.
    """
    checked = check_prompts(name, _store_if_any(store_path), where, model)
    found: PromptCheck = checked.details
    if found.note:
        note(f"lengths were not checked: {found.note}")
    if as_json or form == "json":
        out(to_json({"prompts": found.prompts.name, "sha256": found.prompts.sha256, "findings": found.findings}))
    elif not rows_printed(checked, form):
        for finding in found.findings:
            out(f"{finding.weight}: {visible(finding.text)}")
        many = "1 finding" if len(found.findings) == 1 else f"{len(found.findings)} findings"
        out(f"{visible(found.prompts.name)}: {many} ({_checked(found)})")
    if any(finding.weight == "problem" for finding in found.findings):
        sys.exit(1)


def _checked(found: PromptCheck) -> str:
    if not found.categories:
        return "no store here, so only the texts were checked"
    return "texts, categories and lengths" if found.lengths else "texts and categories"


@command.command("sweep")
@prompts_option
@template_option
@classes_option
@click.option("--choose-where", metavar="SQL", help="The images on which to choose the best templates.")
@click.option("--report-where", metavar="SQL", help="The images on which to report their accuracy. [default: the rest]")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed for the split and the intervals."
)
@where_option
@model_option
@device_option
@store_option
@json_option
@format_option
def sweep_(
    prompts: str | None,
    templates: tuple[str, ...],
    classes: str | None,
    choose_where: str | None,
    report_where: str | None,
    seed: int,
    where: str | None,
    model: str | None,
    device: str,
    store_path: Path | None,
    as_json: bool,
    form: str | None,
) -> None:
    """Score each template on its own, and the set without it.

    The best templates are chosen on some images, and their accuracy is reported on others; without --choose-where and
    --report-where, these are random halves of each class. Nothing is recorded; `shotdex classify` records a run with
    the templates that you choose.

    \b
    shotdex prompts sweep --template "a photo of a {}." --template "{}"
    shotdex prompts sweep --prompts sentences \\
        --choose-where "split = 'train'" --report-where "split = 'test'"
    """
    found = open_session(store_path, device).sweep_prompts(
        templates,
        prompts=prompts,
        classes=classes,
        choose_where=choose_where,
        report_where=report_where,
        where=where,
        model=model,
        seed=seed,
    )
    if not rows_printed(found, form):
        out(to_json(found.details) if as_json or form == "json" else sweep_as_text(found.details))


def sweep_as_text(found: Sweep) -> str:
    """Return a sweep as a table and what follows from it."""
    rows = [[_what(trial), *_cells(trial), "best" if trial is found.best else ""] for trial in found.trials]
    columns = ["templates", "choosing", "95 % interval", "n", "reporting", "95 % interval", "n", "", ""]
    against = found.against_all
    lines = [str(found.coverage), *map(visible, found.notes), found.how, "", table(columns, rows), ""]
    if found.best.kind == "all":
        return "\n".join([*lines, "All templates together do best on the choosing images."])
    difference = against.difference
    return "\n".join(
        [
            *lines,
            f"Best on the choosing images: {_what(found.best)}. On the reporting images that is "
            f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}] against all templates",
            f"(n={against.n:,}, exact McNemar p = {against.p_value:.3g}; {len(found.trials)} trials were compared, "
            "so quote only the reporting column).",
        ]
    )


def _what(trial: Trial) -> str:
    return trial.kind if not trial.template else f"{trial.kind} {visible(trial.template)!r}"


def _cells(trial: Trial) -> list[str | int]:
    return [*estimate_cells(trial.chosen_on), *estimate_cells(trial.reported_on), small_sample(trial.reported_on)]
