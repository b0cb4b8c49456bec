"""`shotdex status`."""

from __future__ import annotations

from pathlib import Path

import click

from shotdex.formatting import shown_path, size, visible
from shotdex.upkeep.status import Status, status

from .options import json_option, open_store, store_option
from .render import as_json as to_json
from .render import out

MANY = 12
"""Labels shown by name; of more, the largest."""


@click.command("status")
@store_option
@json_option
def command(store_path: Path | None, as_json: bool) -> None:
    """Show images per category, condition and split, encoders, runs, failures, and sizes on disk."""
    found = status(open_store(store_path))
    out(to_json(found) if as_json else as_text(found))


def as_text(found: Status) -> str:
    """Return a store's status as text."""
    removed = f" ({found.removed:,} more were removed at their source)" if found.removed else ""
    lines = [f"store {shown_path(visible(str(found.root)))}", f"images {found.images:,}{removed}"]
    lines += [f"  from {shown_path(visible(source))}: {n:,}" for source, n in found.sources.items()]
    for label, counts in found.labels.items():
        if set(counts) - {None}:
            lines.append(f"{label}: {_counts(counts)}")
    failed = ", ".join(f"{n:,} {reason}" for reason, n in found.failures.items())
    lines.append(f"failures {sum(found.failures.values()):,}" + (f": {failed}" if failed else ""))
    for entry in found.encoders:
        lines.append(
            f"encoder {entry.number}: {entry.encoder}, {entry.images:,} images, index {size(entry.index_bytes)}"
        )
        if entry.approximate is not None:
            from .approximate import as_text as figures_text

            lines.append(figures_text(entry.approximate, "  "))
            if entry.images > entry.approximate.rows:
                lines.append("    images added since it was built are searched exactly; build it again to cover them")
    lines.append(f"runs {len(found.runs):,}" + (": " + ", ".join(run.name for run in found.runs) if found.runs else ""))
    lines.append(f"catalog {size(found.catalog_bytes)}")
    return "\n".join(lines)


def _counts(counts: dict[str | None, int]) -> str:
    named = [(name, n) for name, n in counts.items() if name is not None]
    shown = sorted(named, key=lambda item: -item[1])[:MANY] if len(named) > MANY else named
    text = ", ".join(f"{visible(str(name))} {n:,}" for name, n in shown)
    if len(named) > MANY:
        text += f" and {len(named) - MANY:,} more"
    return text + (f", none {counts[None]:,}" if None in counts else "")
