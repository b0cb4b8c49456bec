"""`shotdex runs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shotdex.formatting import describe, estimate_cells, shown_path, visible

from .options import json_option, open_session, store_option
from .render import as_json as to_json
from .render import note, out
from .rows import format_option, rows_printed, table

if TYPE_CHECKING:
    from shotdex import Run
    from shotdex.store.types import Estimate


class _Runs(click.Group):
    """A group whose first argument may also be a run, or nothing: `shotdex runs names` is `shotdex runs show names`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `show` before what is not a sub-command."""
        first = args[0] if args else ""
        return super().parse_args(ctx, args if first in (*self.commands, "-h", "--help") else ["show", *args])


@click.group("runs", cls=_Runs)
def command() -> None:
    """List the classification runs, show one of them, or rename or remove one.

    `shotdex runs` lists them, and `shotdex runs RUN` shows the record of one, as `shotdex runs show` does.

    \b
    shotdex runs
    shotdex runs names
    shotdex runs rename run-1 names
    shotdex runs remove run-2
    """


@command.command()
@click.argument("run", required=False, metavar="[RUN]")
@store_option
@json_option
@format_option
def show(run: str | None, store_path: Path | None, as_json: bool, form: str | None) -> None:
    """List the runs, oldest first, each with its accuracy; or show the record of one RUN.

    The record has everything needed to repeat the run: command, encoder, prompts, digests of the data, versions and
    seed.
    """
    session = open_session(store_path)
    as_json = as_json or form == "json"
    if run is None and rows_printed(session.runs(), form):
        return
    if run is not None:
        one = session.run(run)
        accuracy, encoder = one.accuracy(), one.encoder
        out(to_json(_as_dict(one, accuracy, encoder.name) | {"encoder": encoder}) if as_json else record(one))
        return
    found = session.runs()
    listed = list(zip(found, found.accuracies, found.models, strict=True))
    if as_json:
        out(to_json([_as_dict(*one) for one in listed]))
        return
    if not found:
        note("no runs yet; make one with: shotdex classify")
        return
    columns = ["run", "name", "model", "prompts", "where", "classes", "chance", "accuracy@1", "95 % interval", "n"]
    out(table([*columns, "", "started (UTC)"], [_row(*one) for one in listed]))


def _as_dict(run: Run, accuracy: Estimate, model: str) -> dict[str, Any]:
    classes = len(run.prompts.classes)
    return {
        "run": run.record,
        "prompts": run.prompts,
        "accuracy": accuracy,
        "model": model,
        "classes": classes,
        "chance": 1 / classes,
    }


def _row(run: Run, accuracy: Estimate, model: str) -> list[Any]:
    kept, classes, met = run.record, len(run.prompts.classes), run.coverage.categories
    partly = f"{met[0]:,} of {met[1]:,} categories" if met else ""
    about = [kept.run_id, run.name, shown_path(model), run.prompts.name, kept.where, classes, f"{1 / classes:.3f}"]
    return [*about, *estimate_cells(accuracy), partly, f"{kept.started_at:%Y-%m-%d %H:%M}"]


@command.command()
@click.argument("run", metavar="RUN")
@click.argument("name", metavar="NAME")
@store_option
def rename(run: str, name: str, store_path: Path | None) -> None:
    """Rename a RUN to NAME."""
    old = open_session(store_path).run(run)
    out(f"renamed run {visible(old.name)}: it is called {visible(old.rename(name).name)} now")


@command.command()
@click.argument("run", metavar="RUN")
@click.argument("folder", metavar="FOLDER")
@store_option
def moved(run: str, folder: str, store_path: Path | None) -> None:
    """Record the new FOLDER of the files of a RUN's predictions (`shotdex classify --predictions`)."""
    one = open_session(store_path).run(run)
    one.moved(folder)
    out(f"the predictions of run {visible(one.name)} are read from {shown_path(visible(str(one.folder)))}")


@command.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@store_option
def remove(runs: tuple[str, ...], store_path: Path | None) -> None:
    """Delete runs with their predictions; images, vectors, prompt sets and prediction files are kept."""
    session = open_session(store_path)
    for run in [session.run(name) for name in dict.fromkeys(runs)]:
        folder = run.folder
        run.remove()
        out(f"removed run {visible(run.name)}: {run.record.scored:,} images, {run.record.k} predictions for each")
        if folder is not None:
            note(f"its files stay in {shown_path(visible(str(folder)))}")


def record(shown: Run) -> str:
    """Return all that is on record about a run."""
    run, prompts, encoder = shown.record, shown.prompts, shown.encoder
    texts = sum(map(len, prompts.classes.values()))
    rows = [
        ("run", f"{run.run_id}, {run.name}"),
        ("accuracy@1", f"{describe(shown.accuracy())}; chance {1 / len(prompts.classes):.3f}"),
        ("coverage", str(shown.coverage)),
        ("command", run.command or "not recorded"),
        ("prompts", f"{prompts.name}: {texts} for {len(prompts.classes)} classes, combined by {prompts.combine}"),
        ("prompts sha256", prompts.sha256),
        ("encoder", str(encoder)),
        ("weights sha256", encoder.weights_sha256),
        ("preprocessing sha256", encoder.preprocessing_sha256),
        ("filter", run.where or "none"),
        ("data sha256", run.data_sha256 or "not recorded"),
        ("labels sha256", run.labels_sha256 or "not recorded"),
        ("seed", str(run.seed)),
        ("predictions kept", f"{run.k} an image" + (f", in {folder}" if (folder := shown.folder) is not None else "")),
        ("started", f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC, took {run.seconds:.1f} s"),
        ("versions", ", ".join(f"{name} {number}" for name, number in run.versions.items())),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {visible(text)}" for name, text in rows)
