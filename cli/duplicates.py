"""`shotdex duplicates`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from shotdex.analysis.coverage import coverage
from shotdex.analysis.duplicates.effect import ALL_IMAGES, RunEffects, effects
from shotdex.analysis.duplicates.find import SIDES, THRESHOLDS, DuplicateOptions, Duplicates, find_duplicates
from shotdex.analysis.duplicates.pairs import Rows
from shotdex.analysis.duplicates.selection import LEFT_OUT, SHOWN, choose_links, condition_without, left_out
from shotdex.analysis.duplicates.summary import LABELS, Summary, group_rows, pair_table, summary
from shotdex.store.errors import OptionError
from shotdex.store.runs import find_run, list_runs
from shotdex.store.types import Space

from .options import drawable, json_option, model_option, open_store, store_option, where_option
from .progress import Bar
from .render import as_json as to_json
from .render import estimate_cells, note, out, shown_path, table, visible

TITLES = {
    "closest": "Closest pairs",
    "weakest": "Weakest near pairs",
    "leaks": "Pairs across {across}s",
    "conflicts": "Pairs of two categories: one label may be wrong",
}


def as_text(found: Duplicates, shown: Rows, show: str, limit: int, changes: Sequence[RunEffects]) -> str:
    """Return what was found as text: coverage, counts, pairs, accuracy."""
    counts = summary(found)
    parts = [header(found), counts_as_text(found, counts)]
    if counts.conflicts.pairs and show != "conflicts" and limit:
        parts.append(pairs_as_text(found, choose_links(found, "conflicts", limit), "conflicts"))
    if len(shown):
        parts.append(pairs_as_text(found, shown, show))
    parts += [effects_as_text(found, made) for made in changes]
    if not changes:
        parts.append("no runs yet; after shotdex classify this prints accuracy with and without duplicates")
    return "\n\n".join(parts)


def title(found: Duplicates, show: str) -> str:
    """Return what the pairs to show are."""
    return TITLES[show].format(across=found.wanted.across)


def header(found: Duplicates) -> str:
    """Return which images were looked at, and how."""
    filtered = " in the filter" if found.wanted.where else ""
    labels = dict.fromkeys(("category", found.wanted.across))
    missing = ", ".join(f"without a {label} {found.images.column(label).null_count:,}" for label in labels)
    return (
        f"images{filtered}: indexed {len(found.groups):,}, failed {found.failed:,}, {missing}; "
        f"compared {found.compared:,}\n"
        f"near: cosine {found.wanted.threshold:g} or more in the {found.wanted.space} space of {found.encoder}"
    )


def counts_as_text(found: Duplicates, counts: Summary) -> str:
    """Return how many duplicates of each kind there are."""
    kinds = {
        "exact copies only": counts.copies,
        "with near duplicates": counts.near,
        "of several categories": counts.conflicts,
        f"across {found.wanted.across}s (leaks)": counts.leaks,
    }
    rows = [[name, t.groups, t.images, t.pairs] for name, t in kinds.items()]
    text = table(["duplicates", "groups", "images", "pairs"], rows)
    if set(found.labels(found.wanted.across)) == {None}:
        text += f"\nno image has a {found.wanted.across}, so nothing can leak"
    if counts.largest > 2:
        text += f"\nthe largest group has {counts.largest:,} images; chains link, so its ends may differ"
    return text


def pairs_as_text(found: Duplicates, links: Rows, show: str) -> str:
    """Return some pairs as a table, two lines each."""
    labels = [label for label in LABELS if found.images.column(label).null_count < len(found.groups)]
    rows: list[Sequence[Any]] = []
    for number, pair in enumerate(pair_table(found, links).to_pylist(), 1):
        score = "exact" if pair["kind"] == "exact" else f"{pair['cosine']:.5f}"
        for letter, start in (("a", [str(number), score]), ("b", ["", ""])):
            names = [pair[f"{label}_{letter}"] for label in labels]
            rows.append([*start, pair[f"image_id_{letter}"], *names, shown_path(visible(pair[f"path_{letter}"]))])
    return f"{title(found, show)}\n" + table(["pair", "cosine", "image_id", *labels, "path"], rows)


def effects_as_text(found: Duplicates, made: RunEffects) -> str:
    """Return a run's accuracy with and without duplicates as a table."""
    met = coverage(made.run)
    lines = [f"run {visible(made.run.name)}: {met}"]
    if made.looked_at != met.evaluated:
        lines.append(f"  {made.looked_at:,} of the evaluated were compared here; the table is over those")
    rows = [
        [effect.side, effect.kept, effect.left_out, *estimate_cells(effect.accuracy)]
        for effect in made.effects
        if effect.left_out or effect.kept == ALL_IMAGES
    ]
    lines.append(table([found.wanted.across, "images", "left out", "accuracy@1", "95 % interval", "n"], rows))
    if len(rows) < len(made.effects):
        lines.append("rows that would leave out nothing are not shown")
    return "\n".join(lines)


LONGEST_ARGUMENT = 128 * 1024
"""Bytes of one argument that Linux passes on: MAX_ARG_STRLEN in its binfmts.h."""


def writable(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Check that a file's folder is there before any work is done for it; a click callback."""
    if path is not None and not path.parent.is_dir():
        raise OptionError(f"there is no folder {path.parent} to write {path.name} to", "make it first")
    return path


@click.command("duplicates")
@click.option(
    "--threshold",
    type=float,
    metavar="COSINE",
    help="The least cosine of near duplicates, up to 1. "
    f"[default: {THRESHOLDS[Space.JOINT]}; {THRESHOLDS[Space.VISION]} with --space vision]",
)
@click.option(
    "--space",
    type=click.Choice([space.value for space in Space]),
    default=Space.JOINT.value,
    show_default=True,
    help="joint: what text is compared with; vision: the image tower before its projection.",
)
@click.option(
    "--across",
    type=click.Choice(SIDES),
    default=SIDES[0],
    show_default=True,
    help="What duplicates should not bridge. One drawing may be meant to be in several conditions.",
)
@click.option(
    "--show",
    type=click.Choice(SHOWN),
    default=SHOWN[0],
    show_default=True,
    help="The pairs to list and to draw. weakest: the near ones with the lowest cosine.",
)
@click.option("--limit", type=click.IntRange(0), default=10, show_default=True, help="How many pairs to show.")
@click.option(
    "--sheet", type=click.Path(path_type=Path), callback=drawable, metavar="FILE", help="Draw those pairs (.png, .svg)."
)
@click.option(
    "--out",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=writable,
    metavar="FILE",
    help="Write every pair as CSV, with both image ids and the group.",
)
@click.option(
    "--filter",
    "leave_out",
    type=click.Choice(list(LEFT_OUT)),
    help="Print only a condition for --where that leaves out: all copies but the first of a group, all leaked images, "
    "or all with a duplicate of another category.",
)
@click.option("--run", multiple=True, metavar="RUN", help="Its accuracy; repeatable. [default: the newest, if any]")
@where_option
@model_option
@store_option
@json_option
def command(
    threshold: float | None,
    space: str,
    across: str,
    show: str,
    limit: int,
    sheet: Path | None,
    target: Path | None,
    leave_out: str | None,
    run: tuple[str, ...],
    where: str | None,
    model: str | None,
    store_path: Path | None,
    as_json: bool,
) -> None:
    """Find images that are there twice, those with two labels, and leaks between splits; accuracy without them.

    Exact copies have the same bytes (in IDX files: the same pixels). Near duplicates have vectors whose cosine is at
    least the threshold; every pair is compared. Chains link: near a near one is in the group, too. An image is leaked
    when its group has an image in another split. What counts as the same depends on the model: look at the weakest
    pairs before you trust a threshold.

    \b
    shotdex duplicates --show weakest --sheet weakest.png
    shotdex duplicates --show leaks --run my-run
    shotdex classify --where "$(shotdex duplicates --filter copies)"
    """
    if leave_out is not None and as_json:
        raise OptionError("--filter prints a condition and no JSON", "leave out --filter or --json")
    store = open_store(store_path)
    with store.reading() as con:
        runs = [find_run(con, name) for name in dict.fromkeys(run)] or list_runs(con)[-1:]
    with Bar("comparing", " blocks") as bar:
        found = find_duplicates(store, DuplicateOptions(threshold, Space(space), across, where, model), bar)
    shown = choose_links(found, show, limit)
    if leave_out is not None:
        print_filter(found, leave_out)
    else:
        with store.reading() as con:
            changes = [effects(con, chosen, found) for chosen in runs]
        out(to_json(as_dict(found, shown, changes)) if as_json else as_text(found, shown, show, limit, changes))
    if target is not None:
        write_pairs(found, target)
    if sheet is not None:
        draw(found, shown, show, sheet)


def print_filter(found: Duplicates, which: str) -> None:
    """Print the condition alone, and say beside it how much it leaves out."""
    ids = left_out(found, which)
    condition = condition_without(ids)
    out(condition)
    note(f"leaves out {len(ids):,} of {len(found.groups):,} images")
    if len(condition) >= LONGEST_ARGUMENT:
        note("that is more than some shells pass on as one argument; raise --threshold")


def as_dict(found: Duplicates, shown: Rows, changes: Sequence[RunEffects]) -> dict[str, Any]:
    """Return what was found: counts, every group, the pairs to show, and accuracies."""
    return {
        "search": found.wanted,
        "encoder": found.encoder,
        "images": {
            "indexed": len(found.groups),
            "compared": found.compared,
            "failed": found.failed,
            **{f"without_{label}": found.images.column(label).null_count for label in LABELS},
        },
        "counts": summary(found),
        "groups": group_rows(found),
        "pairs": pair_table(found, shown).to_pylist(),
        "runs": [{"run": made.run, "looked_at": made.looked_at, "accuracies": made.effects} for made in changes],
    }


def write_pairs(found: Duplicates, target: Path) -> None:
    """Write every pair as CSV.

    Raises:
        OptionError: the file cannot be written.
    """
    pairs = pair_table(found, np.arange(len(found.links)))
    try:
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(pairs.column_names)
            for batch in pairs.to_batches(65_536):
                writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    except OSError as error:
        raise OptionError(f"cannot write {target}: {error.strerror or error}") from error
    note(f"wrote {len(pairs):,} pairs to {target}")


def draw(found: Duplicates, shown: Rows, show: str, target: Path) -> None:
    """Draw the pairs to show and write the image; without any, say so."""
    if len(shown) == 0:
        note(f"no pair to draw, so {target} is not written")
        return
    from shotdex.analysis.duplicates.selection import pairs_plot
    from shotdex.analysis.figures.style import save

    save(pairs_plot(found, shown, title(found, show)), target)
    note(f"wrote {target}")
