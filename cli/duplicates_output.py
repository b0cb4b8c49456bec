"""What `shotdex duplicates` prints and writes."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from shotdex.duplicates import ALL_IMAGES, LABELS, RunEffects, Tally
from shotdex.formatting import estimate_cells, shown_path, visible
from shotdex.store.errors import OptionError

from .render import note, out
from .rows import table

if TYPE_CHECKING:
    from shotdex.duplicates import Duplicates, DuplicatesResult

LONGEST_ARGUMENT = 128 * 1024
"""Bytes of one argument that Linux passes on: MAX_ARG_STRLEN in its binfmts.h."""


def as_text(found: DuplicatesResult, title: str) -> str:
    """Return what was found as text: coverage, counts, pairs, accuracy."""
    parts = [_header(found.details), _counts(found)]
    if found:
        parts.append(_pairs(found, title))
    across = found.details.options.across
    parts += [_effects(across, made) for made in found.effects]
    if not found.effects:
        parts.append("no runs yet; after shotdex classify this prints accuracy with and without duplicates")
    return "\n\n".join(parts)


def _header(found: Duplicates) -> str:
    filtered = " in the filter" if found.options.where else ""
    labels = dict.fromkeys(("category", found.options.across))
    missing = ", ".join(f"without a {label} {found.images.column(label).null_count:,}" for label in labels)
    return (
        f"images{filtered}: indexed {len(found.groups):,}, failed {found.failed:,}, {missing}; "
        f"compared {found.compared:,}\n"
        f"near: cosine {found.options.threshold:g} or more in the {found.options.space} space of {found.encoder}"
    )


def _counts(found: DuplicatesResult) -> str:
    counts, across = found.counts, found.details.options.across
    names = {"conflicts": "of several categories", "leaks": f"across {across}s (leaks)"}
    if isinstance(counts, Tally):
        kinds = {names[found.show]: counts}
    else:
        kinds = {"exact copies only": counts.copies, "with near duplicates": counts.near}
        kinds |= {names["conflicts"]: counts.conflicts, names["leaks"]: counts.leaks}
    rows = [[name, tally.groups, tally.images, tally.pairs] for name, tally in kinds.items()]
    text = table(["duplicates", "groups", "images", "pairs"], rows)
    if names["leaks"] in kinds and set(found.details.labels(across)) == {None}:
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


def _pairs(found: DuplicatesResult, title: str) -> str:
    """Return the pairs to show as a table, two lines each."""
    images = found.details.images
    labels = [label for label in LABELS if images.column(label).null_count < images.num_rows]
    rows: list[Sequence[Any]] = []
    for number, pair in enumerate(found, 1):
        cosine = "exact" if pair.kind == "exact" else f"{pair.cosine:.5f}"
        for letter, start in (("a", [str(number), cosine]), ("b", ["", ""])):
            names = [getattr(pair, f"{label}_{letter}") for label in labels]
            path = shown_path(visible(getattr(pair, f"path_{letter}")))
            rows.append([*start, getattr(pair, f"image_id_{letter}"), *names, path])
    return f"{title}\n" + table(["pair", "cosine", "image_id", *labels, "path"], rows)


def _effects(across: str, made: RunEffects) -> str:
    met = made.coverage
    lines = [f"run {visible(made.run.name)}: {met}"]
    if made.looked_at != met.evaluated:
        lines.append(f"  {made.looked_at:,} of the evaluated were compared here; the table is over those")
    rows = [
        [effect.side, effect.kept, effect.left_out, *estimate_cells(effect.accuracy)]
        for effect in made.effects
        if effect.left_out or effect.kept == ALL_IMAGES
    ]
    lines.append(table([across, "images", "left out", "accuracy@1", "95 % interval", "n"], rows))
    if len(rows) < len(made.effects):
        lines.append("rows that would leave out nothing are not shown")
    return "\n".join(lines)


def print_filter(found: DuplicatesResult) -> None:
    """Print the condition alone; on standard error say how much it leaves out."""
    condition = found.condition
    out(condition)
    note(f"leaves out {len(found.left_out):,} of {len(found.details.groups):,} images")
    if len(condition) >= LONGEST_ARGUMENT:
        note("that is longer than some shells accept as one argument; raise --threshold")


def as_dict(result: DuplicatesResult) -> dict[str, Any]:
    """Return what was found: counts, groups, the pairs to show, and accuracies."""
    found = result.details
    return {
        "search": found.options,
        "encoder": found.encoder,
        "images": {
            "indexed": len(found.groups),
            "compared": found.compared,
            "failed": found.failed,
            **{f"without_{label}": found.images.column(label).null_count for label in LABELS},
        },
        "counts": result.counts,
        "groups": result.groups,
        "pairs": list(result),
        "runs": [{"run": made.run, "looked_at": made.looked_at, "accuracies": made.effects} for made in result.effects],
    }


BEGINNING = b"kind,cosine,group,"
"""How the first line of such a table begins."""


def is_table_of_pairs(path: Path) -> bool:
    """Tell whether a file begins as the tables of pairs do that shotdex writes: only such a one is replaced."""
    try:
        with path.open("rb") as file:
            return file.read(len(BEGINNING)) == BEGINNING
    except OSError:
        return False


def write_pairs(pairs: Any, target: Path) -> None:
    """Write a table of pairs as CSV.

    Raises:
        OptionError: the file cannot be written.
    """
    try:
        with NamedTemporaryFile("w", dir=target.parent, encoding="utf-8", newline="", delete=False) as file:
            aside = Path(file.name)
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(pairs.column_names)
            for batch in pairs.to_batches(65_536):
                writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        aside.chmod(0o666 & ~_umask())
        aside.replace(target)
    except OSError as error:
        raise OptionError(f"cannot write {target}: {error.strerror or error}") from error
    note(f"wrote {len(pairs):,} pairs to {target}")


def _umask() -> int:
    """Return the process's file mask; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
