"""What `shotdex duplicates` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shotdex.analysis.coverage import coverage
from shotdex.analysis.duplicates.choose import choose_links
from shotdex.analysis.duplicates.effect import ALL_IMAGES, RunEffects
from shotdex.analysis.duplicates.find import Duplicates
from shotdex.analysis.duplicates.pairs import Rows
from shotdex.analysis.duplicates.summary import Summary, summary
from shotdex.analysis.duplicates.table import LABELS, pair_table

from .render import estimate_cells, shown_path, table, visible

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
