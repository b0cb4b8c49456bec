"""`shotdex reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import shotdex
from shotdex import Reproduction
from shotdex.formatting import describe, shown_path, visible
from shotdex.reproduction import PublishedAccuracy
from shotdex.result_keywords import MODEL

from .options import UserPath, command_line, device_option, json_option
from .render import as_json as to_json
from .render import note, out
from .rows import table
from .source_options import BatchSize


@click.command("reproduce")
@click.argument("name", required=False)
@click.argument("source", required=False)
@click.option(
    "--model", metavar="NAME_OR_PATH", default=MODEL, show_default=True, help="A hub name, a local folder, or demo."
)
@click.option(
    "--against", metavar="MODEL", help="The published model to compare with. [default: the one that --model names]"
)
@click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="TEXT",
    help="A template with {} for the class, instead of the published ones.",
)
@click.option(
    "--layout",
    metavar="PATTERN",
    help="Meaning of the path parts of a local copy: '{split}/{category}/*'. [default: guess]",
)
@click.option(
    "--table",
    type=UserPath(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Your own TOML file with published accuracies; see docs/reproduce.md.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bf16", "fp16", "auto"]),
    help="Number format of the computation. [default: float32]",
)
@click.option(
    "--batch-size", type=BatchSize(), metavar="auto|N", default="auto", show_default=True, help="Images per batch."
)
@device_option
@click.option(
    "--store",
    "store_path",
    type=UserPath(path_type=Path),
    metavar="DIR",
    help="The store's folder. [default: NAME.shotdex in the current folder]",
)
@json_option
def command(name: str | None, source: str | None, store_path: Path | None, as_json: bool, **options: Any) -> None:
    """Evaluate a model on a published benchmark and compare the accuracy with the published one.

    Without NAME, list the benchmarks. SOURCE is a local copy of the data set: a folder, archive or anything else that
    `shotdex index` takes. Without it, the data set is downloaded if torchvision has it. Prompts and class names are
    those of the published evaluation.

    \b
    shotdex reproduce
    shotdex reproduce cifar10 --model openai/clip-vit-large-patch14
    shotdex reproduce fashion-mnist data/fashion-mnist/ --model demo
    shotdex reproduce toddlers stimuli/
    """
    if name is None:
        listed = list(shotdex.benchmarks(options["table"]))
        out(to_json(listed) if as_json else list_text(listed))
        return
    found = shotdex.reproduce(
        name, source, store=store_path, progress=True, note=note, command=command_line(), **options
    )
    out(to_json(as_dict(found)) if as_json else as_text(found))


def list_text(listed: list[PublishedAccuracy]) -> str:
    """Return the published accuracies as a table: a row for each benchmark, prompt set and condition."""
    models = list(dict.fromkeys(one.model for one in listed))
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for one in listed:
        key = (
            one.benchmark,
            one.prompts,
            one.condition,
            f"{one.images:,}" if one.images else "",
            f"{one.tolerance:.3f}",
            one.download or "a local copy",
        )
        rows.setdefault(key, {})[one.model] = f"{one.accuracy:.4f}"
    headings = ["benchmark", "prompts", "condition", "images", "tolerance", "data", *models]
    cells = [[*key, *(values.get(model, "") for model in models)] for key, values in rows.items()]
    return "\n".join([table(headings, cells), "", "an empty cell: no published value is known here"])


def as_dict(found: Reproduction) -> dict[str, Any]:
    """Return a comparison with published numbers in the terms of JSON."""
    return {
        "benchmark": found.benchmark.name,
        "title": found.benchmark.title,
        "model": found.model,
        "published_model": found.published.name,
        "verdict": found.verdict,
        "results": list(found),
        "likely_causes": found.causes,
        "notes": found.notes,
        "store": str(found.store),
    }


def as_text(found: Reproduction) -> str:
    """Return a comparison with published numbers as text, the verdict first."""
    rows = [
        [
            row.group,
            visible(row.prompts),
            describe(row.ours),
            f"{row.published:.4f}",
            "" if row.ours.n == 0 else f"{row.difference.value:+.4f}",
            f"{row.tolerance:.4f}",
            row.verdict,
        ]
        for row in found
    ]
    headings = ["images", "prompts", "accuracy@1", "published", "difference", "tolerance", "verdict"]
    lines = [
        f"{found.benchmark.title}, {shown_path(visible(found.model))}: {found.verdict}",
        f"published: {found.published.name}",
        "",
        table(headings, rows),
    ]
    if found.causes:
        lines += ["", "likely causes:", *(f"  {visible(cause)}" for cause in found.causes)]
    sources = dict.fromkeys(row.source for row in found)
    lines += ["", *(f"source: {visible(source)}" for source in sources), *map(visible, found.notes)]
    lines += [f"runs in {shown_path(str(found.store))}: {', '.join(visible(run.name) for run in found.runs)}"]
    return "\n".join(lines)
