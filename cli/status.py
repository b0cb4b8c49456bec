"""`shotdex status`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shotdex.formatting import shown_path, size, visible
from shotdex.tabular import Table

from .options import json_option, open_session, store_option
from .render import as_json as to_json
from .render import out, wrapped
from .rows import format_option, rows_printed

if TYPE_CHECKING:
    from shotdex.store.types import LeftOut
    from shotdex.upkeep.status import Status

MANY = 12
"""Labels shown by name; of more, the largest."""


@click.command("status")
@click.option(
    "--left-out",
    "all_left_out",
    is_flag=True,
    help="List the files that were left out, and the images without a category.",
)
@store_option
@json_option
@format_option
def command(all_left_out: bool, store_path: Path | None, as_json: bool, form: str | None) -> None:
    """Show images per category, condition and split, encoders, runs, failures, and sizes on disk."""
    found = open_session(store_path).status()
    if as_json or form == "json":
        out(to_json(found))
    elif not rows_printed(counts(found, all_left_out), form):
        out(left_out_text(found) if all_left_out else wrapped(as_text(found)))


def counts(found: Status, all_left_out: bool) -> Table:
    """Return what a store holds as rows: what is counted, its name, and how many; or every path that was left out."""
    if all_left_out:
        paths = [(left.kind, path) for left in found.left_out for path in left.paths]
        return Table("left out", ("what", "path"), [*paths, *(("no category", path) for path in found.unlabelled)])
    rows: list[tuple[str, str | None, int]] = [("images", None, found.images), ("removed", None, found.removed)]
    rows += [("source", name, n) for name, n in found.sources.items()]
    rows += [(label, name, n) for label, by in found.labels.items() for name, n in by.items()]
    rows += [("failure", reason, n) for reason, n in found.failures.items()]
    rows += [("encoder", one.encoder.name, one.images) for one in found.encoders]
    rows += [("run", run.name, run.scored) for run in found.runs]
    return Table("store", ("what", "name", "images"), rows)


def left_out_text(found: Status) -> str:
    """Return every file and folder that the store's sources left out, by kind, and the images without a category."""
    lines = []
    for left in found.left_out:
        lines.append(_count(left.count, left.kind))
        lines += [f"  {shown_path(visible(path))}" for path in left.paths]
        lines += [f"  and {left.count - len(left.paths):,} more"] if left.count > len(left.paths) else []
    if found.unlabelled:
        lines.append(f"{found.labels['category'].get(None, 0):,} images without a category")
        lines += [f"  {shown_path(visible(path))}" for path in found.unlabelled]
    return "\n".join(lines) or "nothing was left out, and every image has a category"


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
    for place in found.vector_shards:
        missing = f", {place.missing:,} of them missing" if place.missing else ""
        lines.append(
            f"  vectors in {_count(place.shards, 'shards')} in {shown_path(visible(str(place.folder)))}{missing}"
        )
    if found.engines:
        from .engine import as_text as engine_text

        lines += [f"encoder {one.encoder} in {engine_text(one)}" for one in found.engines]
    lines.append(f"runs {len(found.runs):,}" + (": " + ", ".join(run.name for run in found.runs) if found.runs else ""))
    for files in found.prediction_files:
        lost = f", which {files.lost}" if files.lost else f", {size(files.bytes)}"
        lines.append(f"  predictions of {visible(files.run)} in {shown_path(visible(str(files.folder)))}{lost}")
    if found.left_out:
        lines.append("left out: " + ", ".join(_count(n, kind) for kind, n in _by_kind(found.left_out).items()))
    lines.append(f"catalog {size(found.catalog_bytes)}")
    return "\n".join(lines)


def _count(number: int, kind: str) -> str:
    return f"{number:,} {kind if number != 1 else kind.removesuffix('s')}"


def _by_kind(left_out: list[LeftOut]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for left in left_out:
        counts[left.kind] += left.count
    return dict(counts)


def _counts(counts: dict[str | None, int]) -> str:
    named = [(name, n) for name, n in counts.items() if name is not None]
    shown = sorted(named, key=lambda item: -item[1])[:MANY] if len(named) > MANY else named
    text = ", ".join(f"{visible(str(name))} {n:,}" for name, n in shown)
    if len(named) > MANY:
        text += f" and {len(named) - MANY:,} more"
    return text + (f", none {counts[None]:,}" if None in counts else "")
