"""`shotdex selections`."""

from __future__ import annotations

from pathlib import Path

import click

from shotdex.formatting import visible

from .options import open_session, store_option
from .render import note, out
from .rows import FORMATS, print_rows


@click.command("selections")
@click.option("--remove", multiple=True, metavar="NAME", help="Remove this selection, but not its images; repeatable.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="How to print them.  [default: table]")
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@store_option
def command(remove: tuple[str, ...], form: str | None, store_path: Path | None) -> None:
    """List the saved selections, oldest first, or remove some.

    `search --save NAME` saves one. @NAME then stands for its images in every --where, and also as a query in search.

    \b
    shotdex search "a boat" --min-z 3 -k 500 --save boats
    shotdex selections
    shotdex classify --where "@boats AND condition = 'blurred'"
    shotdex selections --remove boats
    """
    session = open_session(store_path)
    for name in remove:
        session.remove_selection(name.removeprefix("@"))
        out(f"removed selection {visible(name)}")
    if remove:
        return
    found = session.selections()
    person = form in (None, "table")
    if not found and person:
        note('no selections yet; save one with: shotdex search "a dog" --save dogs')
        return
    times = [f"{one.saved_at:%Y-%m-%d %H:%M}" if person else one.saved_at.isoformat() for one in found]
    rows = [[one.name, one.images, one.query, saved_at] for one, saved_at in zip(found, times, strict=True)]
    print_rows(["name", "images", "query", "saved (UTC)" if person else "saved_at"], rows, form or "table")
