"""`shotdex classify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from shotdex.analysis.classify import Classification, classify, indexed_categories
from shotdex.analysis.prompts.build import from_names, read_prompt_file
from shotdex.analysis.results import GROUPS, UNLABELLED, accuracy_by, overall
from shotdex.store.errors import SettingsError
from shotdex.store.prompt_sets import load_prompt_set
from shotdex.store.store import Store
from shotdex.store.words import Estimate, PromptSet, Run

from .options import device_option, encoder_loader, json_option, model_option, open_store, store_option, where_option
from .render import as_json as to_json
from .render import estimate_cells, out, table, visible


@click.command("classify")
@click.option("--prompts", type=click.Path(path_type=Path), metavar="FILE", help="A prompt set as a TOML file.")
@click.option("--template", "templates", multiple=True, metavar="TEXT", help="Such as 'a photo of a {}.'; repeatable.")
@click.option("--classes", metavar="A,B,C", help="The classes. [default: the categories of the indexed images]")
@click.option("--name", metavar="RUN", help="A name for the run. [default: run-N]")
@where_option
@click.option("-k", "k", type=click.IntRange(1), default=5, show_default=True, help="Predictions kept for each image.")
@model_option
@device_option
@store_option
@json_option
def command(
    prompts: Path | None,
    templates: tuple[str, ...],
    classes: str | None,
    name: str | None,
    where: str | None,
    k: int,
    model: str | None,
    device: str,
    store_path: Path | None,
    as_json: bool,
) -> None:
    """Score every image against every class and print accuracy with 95 % intervals.

    Without options the prompts are the bare names of the indexed categories. Several templates are averaged. The
    predictions stay in the store: see `shotdex sql "FROM outcomes LIMIT 5"`.

    \b
    shotdex classify
    shotdex classify --template "a photo of a {}." --name photo
    shotdex classify --prompts my-prompts.toml --where "split = 'test'"
    """
    store = open_store(store_path)
    chosen = choose_prompts(store, prompts, templates, classes, where)
    settings = {"prompts": str(prompts) if prompts else None, "templates": list(templates), "classes": classes}
    wanted = Classification(chosen, name, where, k, model, settings)
    run = classify(store, wanted, encoder_loader(device))
    out(to_json(run_as_dict(store, run)) if as_json else run_as_text(store, run))


def choose_prompts(
    store: Store, prompts: Path | None, templates: Sequence[str], classes: str | None, where: str | None
) -> PromptSet:
    """Return the prompt set that the options mean.

    Raises:
        SettingsError: options that do not go together; MissingLabels: no categories to take as classes.
    """
    if prompts is not None:
        if templates or classes is not None:
            raise SettingsError("--prompts already says classes and templates", "leave out --template and --classes")
        return read_prompt_file(prompts)
    names = split_names(classes) if classes is not None else indexed_categories(store, where)
    return from_names(names, templates)


def split_names(listed: str) -> list[str]:
    """Return the names in a comma-separated list.

    Raises:
        SettingsError: there are none.
    """
    names = [name.strip() for name in listed.split(",") if name.strip()]
    if not names:
        raise SettingsError("--classes is empty", "for example: --classes cat,dog")
    return names


def run_as_dict(store: Store, run: Run) -> dict[str, Any]:
    """Return a run with its accuracies."""
    with store.reading() as con:
        return {
            "run": run,
            "prompts": load_prompt_set(con, run.prompt_set_id),
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
        f"run {visible(run.name)}: prompts {visible(prompts.name)!r}, {texts} for {len(prompts.classes)} classes{how}",
        f"images {run.images:,}: scored {run.scored:,}, without a category {run.unlabelled:,}, "
        f"of another category {run.outside:,}; could not be scored {run.failed:,}",
    ]
    if total.n == 0:
        return "\n".join([*lines, "no image has a category, so there is no accuracy; see: shotdex sql 'FROM outcomes'"])
    rows: list[Sequence[Any]] = []
    for group, estimates in groups.items():
        if set(estimates) != {UNLABELLED}:
            rows += [[group, *_row(name, estimate)] for name, estimate in estimates.items()]
    rows.append(["all", *_row("", total)])
    return "\n".join([*lines, "", table(["by", "", "accuracy@1", "95 % interval", "n"], rows)])


def _row(name: str, estimate: Estimate) -> list[Any]:
    value, interval, n = estimate_cells(estimate)
    return [name, value, interval, n]
