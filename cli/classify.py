"""`shotdex classify`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import shotdex
from shotdex.formatting import estimate_cells, shown_path, visible
from shotdex.store.location import find_store, named_store
from shotdex.tabular import Table

from .options import (
    classes_option,
    command_line,
    device_option,
    json_option,
    open_session,
    prompts_option,
    store_option,
    template_option,
    where_option,
)
from .render import as_json as to_json
from .render import note, out, wrapped
from .rows import format_option, rows_printed, table

if TYPE_CHECKING:
    from shotdex import ClassifiedImages, Session
    from shotdex.analysis.classify import Classified

SHOWN = 5
"""Images and labels left out of the accuracy that are named one by one."""


STORE_ONLY = ("name", "replace", "partial", "where", "predictions")
"""Options that speak of a run or of indexed images, of which there are none where image files are classified."""


@click.command("classify")
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@prompts_option
@template_option
@classes_option
@click.option("--name", metavar="RUN", help="A name for the run. [default: run-N]")
@click.option("--replace", is_flag=True, help="Replace the run that has this name.")
@click.option("--partial", is_flag=True, help="Exclude categories without a class from the accuracy.")
@where_option
@click.option(
    "-k", "k", type=click.IntRange(1), default=5, show_default=True, help="Number of predictions kept for each image."
)
@click.option(
    "--predictions",
    metavar="FOLDER",
    help="Write the predictions as Parquet files to a new folder in FOLDER, for millions of images. [default: to the "
    "catalog]",
)
@click.option(
    "--model",
    metavar="NAME",
    help="An encoder of the store, by name or number; required if it has several. For image files, any model.",
)
@device_option
@store_option
@json_option
@format_option
@click.pass_context
def command(
    context: click.Context,
    /,
    images: tuple[str, ...],
    classes: str | None,
    device: str,
    store_path: Path | None,
    as_json: bool,
    form: str | None,
    **options: Any,
) -> None:
    """Score every image against every class and print accuracy with 95 % intervals.

    Without options, the prompts are the bare names of all indexed categories, even if --where keeps only some of them.
    Several templates are averaged. The predictions are kept in the store: see `shotdex sql "FROM outcomes LIMIT 5"`.
    With --predictions they are in files; the same commands and SQL read them.

    \b
    shotdex classify
    shotdex classify --template "a photo of a {}." --name photo
    shotdex classify --prompts my-prompts.toml --where "split = 'test'"
    shotdex classify --prompts fashion-mnist-described

    With image files, classify needs no store, records nothing, and shows the k best classes of each. It uses the model
    of the store if there is one, or else the default of `shotdex index`.

    \b
    shotdex classify photo.jpg --classes cat,dog
    shotdex classify *.jpg --classes classes.txt --template "a photo of a {}."
    """
    if images:
        _refuse(context)
        model, prompts = options["model"], options["prompts"]
        needed = model is None or model.isdecimal() or (classes is None and prompts is None)
        session = _store_here(store_path, device) if needed or store_path is not None else None
        about = {name: value for name, value in options.items() if name not in STORE_ONLY}
        found = shotdex.classify_images(images, classes, store=session, device=device, **about)
        _show_images(found, "json" if as_json else form)
        return
    run = open_session(store_path, device).classify(classes, command=command_line(), **options)
    assert run.summary is not None
    if not rows_printed(accuracies(run.summary), form):
        out(to_json(as_dict(run.summary)) if as_json or form == "json" else wrapped(as_text(run.summary)))
    if options["predictions"] is not None and run.folder is not None:
        note(f"predictions in {shown_path(visible(str(run.folder)))}")


def _refuse(context: click.Context) -> None:
    """Raise an error for options that say nothing about image files."""
    given = [
        f"--{name}"
        for name in STORE_ONLY
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    ]
    if given:
        raise click.UsageError(
            f"{', '.join(given)} is for the images of a store, and image files are classified without one.\n"
            "Leave it out, or index the images first: shotdex index FOLDER"
        )


def _store_here(store_path: Path | None, device: str) -> Session | None:
    """Open the store that the user means, or that is here; None where no store is named and none is here."""
    if named_store(store_path, os.environ) is None:
        try:
            find_store(None, os.environ, Path.cwd())
        except shotdex.errors.StoreNotFound:
            return None
    return shotdex.open(store_path, device=device)


def accuracies(found: Classified) -> Table:
    """Return the accuracy of each condition, category and split, and of all images, as rows."""
    from shotdex.analysis.results import UNLABELLED

    known = {label: estimates for label, estimates in found.groups.items() if set(estimates) != {UNLABELLED}}
    rows = [
        (label, name, one.value, one.low, one.high, one.n)
        for label, estimates in {**known, "all": {"": found.accuracy}}.items()
        for name, one in estimates.items()
    ]
    return Table(found.run.name, ("by", "group", "accuracy", "accuracy_low", "accuracy_high", "accuracy_n"), rows)


def _show_images(found: ClassifiedImages, form: str | None) -> None:
    """Print the best classes of image files; exit with an error if some of the images cannot be read."""
    if form == "json":
        out(to_json(images_as_dict(found)))
    elif not rows_printed(found, form):
        encoding = sys.stdout.encoding or "ascii"
        plain = "█".encode(encoding, "replace") == b"?"
        out(found.bars(shutil.get_terminal_size().columns, ascii_only=plain))
    if found.failures:
        note(f"error: {len(found.failures):,} of the images cannot be read")
        raise click.exceptions.Exit(1)


def images_as_dict(found: ClassifiedImages) -> dict[str, Any]:
    """Return the best classes of image files, image by image."""
    names = ("rank", "category", "probability", "cosine", "prompt")
    return {
        "model": found.model,
        "prompts": found.prompts,
        "images": [
            {"image": image, "predictions": [{name: getattr(row, name) for name in names} for row in rows]}
            for image, rows in found.by_image()
        ],
        "failures": [{"image": image, "reason": reason} for image, reason in found.failures],
        "notes": found.notes,
    }


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
        lines.append(
            f"  {n:,} images of category {visible(label)!r} match no class; a prompt file can define [aliases]"
        )
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
