"""What `shotdex duplicates` prints, writes and draws."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shotdex.analysis.coverage import coverage
from shotdex.analysis.duplicates.effect import ALL_IMAGES, RunEffects
from shotdex.analysis.duplicates.find import Duplicates
from shotdex.analysis.duplicates.pairs import Flags, Rows
from shotdex.analysis.duplicates.rows import (
    LABELS,
    DuplicatePair,
    Summary,
    Tally,
    condition_without,
    duplicate_groups,
    left_out,
    pairs_plot,
)
from shotdex.formatting import estimate_cells, shown_path, table, visible
from shotdex.store.errors import OptionError

from .render import note, out

LONGEST_ARGUMENT = 128 * 1024
"""Bytes of one argument that Linux passes on: MAX_ARG_STRLEN in its binfmts.h."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one command shows: the heading of its `pairs` to show, all their `links`, and the kind to leave out.

    `counts` are what it counts and `groups` (N,) bool an image of each of its groups; `effects` names the rows of
    accuracies that it prints, None for all.
    """

    title: str
    pairs: Sequence[DuplicatePair]
    links: Rows
    leave_out: str
    counts: Summary | Tally
    groups: Flags | None = None
    effects: tuple[str, ...] | None = None


def as_text(found: Duplicates, task: Task, changes: Sequence[RunEffects]) -> str:
    """Return what was found as text: coverage, counts, pairs, accuracy."""
    parts = [header(found), counts_as_text(found, task)]
    if task.pairs:
        parts.append(pairs_as_text(found, task))
    parts += [effects_as_text(found, made) for made in changes]
    if not changes:
        parts.append("no runs yet; after shotdex classify this prints accuracy with and without duplicates")
    return "\n\n".join(parts)


def header(found: Duplicates) -> str:
    """Return which images were looked at, and how."""
    filtered = " in the filter" if found.options.where else ""
    labels = dict.fromkeys(("category", found.options.across))
    missing = ", ".join(f"without a {label} {found.images.column(label).null_count:,}" for label in labels)
    return (
        f"images{filtered}: indexed {len(found.groups):,}, failed {found.failed:,}, {missing}; "
        f"compared {found.compared:,}\n"
        f"near: cosine {found.options.threshold:g} or more in the {found.options.space} space of {found.encoder}"
    )


def counts_as_text(found: Duplicates, task: Task) -> str:
    """Return how many duplicates of each kind there are."""
    counts, across = task.counts, found.options.across
    names = {"conflicts": "of several categories", "leaks": f"across {across}s (leaks)"}
    if isinstance(counts, Tally):
        kinds = {names[task.leave_out]: counts}
    else:
        kinds = {"exact copies only": counts.copies, "with near duplicates": counts.near}
        kinds |= {names["conflicts"]: counts.conflicts, names["leaks"]: counts.leaks}
    rows = [[name, tally.groups, tally.images, tally.pairs] for name, tally in kinds.items()]
    text = table(["duplicates", "groups", "images", "pairs"], rows)
    if names["leaks"] in kinds and set(found.labels(across)) == {None}:
        text += f"\nno image has a {across}, so nothing can leak"
    if isinstance(counts, Tally):
        return text
    if counts.largest > 2:
        text += f"\nthe largest group has {counts.largest:,} images; links chain, so its ends may differ"
    if counts.conflicts.pairs:
        text += "\none label of a conflicting pair may be wrong: shotdex duplicates conflicts"
    if counts.leaks.pairs:
        text += "\npairs across splits: shotdex duplicates leaks"
    return text


def pairs_as_text(found: Duplicates, task: Task) -> str:
    """Return the pairs to show as a table, two lines each."""
    labels = [label for label in LABELS if found.images.column(label).null_count < len(found.groups)]
    rows: list[Sequence[Any]] = []
    for number, pair in enumerate(task.pairs, 1):
        cosine = "exact" if pair.kind == "exact" else f"{pair.cosine:.5f}"
        for letter, start in (("a", [str(number), cosine]), ("b", ["", ""])):
            names = [getattr(pair, f"{label}_{letter}") for label in labels]
            path = shown_path(visible(getattr(pair, f"path_{letter}")))
            rows.append([*start, getattr(pair, f"image_id_{letter}"), *names, path])
    return f"{task.title}\n" + table(["pair", "cosine", "image_id", *labels, "path"], rows)


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
    lines.append(table([found.options.across, "images", "left out", "accuracy@1", "95 % interval", "n"], rows))
    if len(rows) < len(made.effects):
        lines.append("rows that would leave out nothing are not shown")
    return "\n".join(lines)


def print_filter(found: Duplicates, which: str) -> None:
    """Print the condition alone; on standard error say how much it leaves out."""
    ids = left_out(found, which)
    condition = condition_without(ids)
    out(condition)
    note(f"leaves out {len(ids):,} of {len(found.groups):,} images")
    if len(condition) >= LONGEST_ARGUMENT:
        note("that is more than some shells pass on as one argument; raise --threshold")


def as_dict(found: Duplicates, task: Task, changes: Sequence[RunEffects]) -> dict[str, Any]:
    """Return what was found: counts, groups, the pairs to show, and accuracies."""
    return {
        "search": found.options,
        "encoder": found.encoder,
        "images": {
            "indexed": len(found.groups),
            "compared": found.compared,
            "failed": found.failed,
            **{f"without_{label}": found.images.column(label).null_count for label in LABELS},
        },
        "counts": task.counts,
        "groups": duplicate_groups(found, task.groups),
        "pairs": task.pairs,
        "runs": [{"run": made.run, "looked_at": made.looked_at, "accuracies": made.effects} for made in changes],
    }


def write_pairs(pairs: Any, target: Path) -> None:
    """Write a table of pairs as CSV.

    Raises:
        OptionError: the file cannot be written.
    """
    try:
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(pairs.column_names)
            for batch in pairs.to_batches(65_536):
                writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    except OSError as error:
        raise OptionError(f"cannot write {target}: {error.strerror or error}") from error
    note(f"wrote {len(pairs):,} pairs to {target}")


def draw(found: Duplicates, task: Task, target: Path) -> None:
    """Draw the pairs to show and write the image; without any, say so."""
    if not task.pairs:
        note(f"no pairs to draw, so {target} is not written")
        return
    from shotdex.analysis.figures.style import save

    save(pairs_plot(found, task.pairs, task.title), target)
    note(f"wrote {target}")
