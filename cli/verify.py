"""`shotdex verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shotdex.formatting import shown_path, visible

from .options import device_option, json_option, open_session, store_option
from .render import as_json as to_json
from .render import out
from .rows import format_option, rows_printed

if TYPE_CHECKING:
    from shotdex.upkeep.verify import Verified


@click.command("verify")
@click.option("--repair", is_flag=True, help="Fix what can be fixed without losing anything, then check again.")
@click.option("--files", is_flag=True, help="Also check that every image still exists and is unchanged.")
@click.option(
    "--model-check", is_flag=True, help="Also load the models and compare them with the store's record of them."
)
@device_option
@store_option
@json_option
@format_option
def command(*, device: str, store_path: Path | None, as_json: bool, form: str | None, **how: bool) -> None:
    """Check that a store is intact: ids, vectors, counts, hashes, and the FAISS files against the catalog.

    Prints one line per check: that it passed, or what is wrong and what to do. --repair rewrites FAISS files and views
    and removes invalid vectors; it never deletes images, runs or predictions. Exits with 1 if a check fails.
    """
    session = open_session(store_path, device)
    checked = session.verify(progress=True, **how)
    found = checked.details
    if as_json or form == "json":
        out(to_json({"store": str(found.root), "whole": found.whole, "done": found.done, "checks": found.checks}))
    elif not rows_printed(checked, form):
        out(as_text(found, how["repair"]))
    if not found.whole:
        raise click.exceptions.Exit(1)


def as_text(found: Verified, repair: bool) -> str:
    """Return the checks a line each, with what to do under each problem."""
    lines = [f"store {shown_path(visible(str(found.root)))}"]
    lines += [f"repaired {visible(line)}" for line in found.done]
    if repair and not found.done:
        lines.append("repaired nothing" + (": there was nothing to repair" if found.whole else ""))
    for check in found.checks:
        lines.append(f"{'ok' if check.ok else 'PROBLEM':<8} {visible(check.name)}: {visible(check.text)}")
        if check.hint:
            lines.append(f"{'':<8}   try: {visible(check.hint)}")
    problems = sum(not check.ok for check in found.checks)
    counted = f"{problems:,} of {len(found.checks):,} checks found a problem"
    lines.append(f"all {len(found.checks):,} checks hold" if problems == 0 else counted)
    return "\n".join(lines)
