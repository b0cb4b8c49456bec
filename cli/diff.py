"""`shotdex diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shotdex.analysis.side_by_side import MARK, MARKED, shared_note
from shotdex.formatting import visible

from .options import anyway_option, json_option, open_session, store_option
from .render import as_json as to_json
from .render import out
from .rows import format_option, rows_printed, table

if TYPE_CHECKING:
    from shotdex.analysis.rerun import RunDiff


@click.command("diff")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@anyway_option
@store_option
@json_option
@format_option
def command(first: str, second: str, anyway: bool, store_path: Path | None, as_json: bool, form: str | None) -> None:
    """Show how two runs differ: encoder, prompts, filter, images, versions, and how many predictions.

    `shotdex compare` tests whether one is better.
    """
    found = open_session(store_path).diff(first, second, anyway=anyway)
    if not rows_printed(found, form):
        out(to_json(found.details) if as_json or form == "json" else as_text(found.details))


def as_text(found: RunDiff) -> str:
    """Return how two runs differ, as text."""
    a, b = map(visible, found.names)
    note = shared_note(found.shared, found.shared + found.only_first + found.only_second)
    first = [*([note] if note else []), *([] if found.same_classes else [MARKED])]
    mark = "" if found.same_classes else MARK
    if found.differences:
        rows = [[one.what, one.first, one.second] for one in found.differences]
        lines = [table(["what", *found.names], rows), ""]
    else:
        known = found.first.data_sha256 and found.second.data_sha256
        images = "the same images" if known else "images that older runs have no digest of"
        lines = [f"{a} and {b} asked the same of {images}, with the same versions."]
    lines.append(
        f"{found.shared:,} images in both: {found.changed:,}{mark} have another best class in {b}; "
        f"{found.gained:,}{mark} are right only there, {found.lost:,}{mark} only in {a}"
    )
    if found.only_first or found.only_second:
        lines.append(f"{found.only_first:,} images only in {a}, {found.only_second:,} only in {b}")
    return "\n".join([*first, *lines])
