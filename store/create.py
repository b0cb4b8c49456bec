"""How a catalog comes to be: its tables made, or brought to this version's form, aside and whole."""

from __future__ import annotations

import uuid
from importlib.metadata import version
from pathlib import Path

from . import opening, schema, views
from .connection import Connection
from .errors import StoreCorrupt

HEADER_BYTES = 3 * 4096
"""What DuckDB writes of a catalog before anything else."""


def begin_anew(catalog: Path) -> None:
    """Make a catalog aside and put it into its place when it is whole, so that nobody ever meets half of one."""
    young = catalog.with_suffix(".part")
    logs = [path.with_name(path.name + ".wal") for path in (catalog, young)]
    for left in (young, *logs):
        left.unlink(missing_ok=True)
    try:
        con = opening.to_write(young)
        try:
            with opening.damage_named(catalog):
                with con.transaction():
                    bring_up(con)
                con.run("CHECKPOINT")  # nothing of it is in a log of its own any more
        finally:
            con.close()
        young.replace(catalog)
    finally:
        for left in (young, *logs):
            left.unlink(missing_ok=True)


def bring_up(con: Connection) -> None:
    """Make the tables, or bring older ones to this version's form."""
    con.run("CREATE TABLE IF NOT EXISTS meta (key VARCHAR, value VARCHAR)")
    found = int(con.value("SELECT value FROM meta WHERE key = 'schema_version'") or 0)
    if found == 0:
        con.run("DROP TABLE meta")
    for statements in schema.MIGRATIONS[found:]:
        con.run(statements)
    if found == 0:
        con.run("INSERT INTO meta VALUES ('store_id', $id)", {"id": uuid.uuid4().hex})
    con.run(views.statements())
    con.run("DELETE FROM meta WHERE key IN ('schema_version', 'shotdex_version')")
    con.run(
        "INSERT INTO meta VALUES ('schema_version', $schema), ('shotdex_version', $version)",
        {"schema": str(schema.VERSION), "version": version("shotdex")},
    )


def is_cut_short(catalog: Path) -> bool:
    """Tell whether a catalog ends within its headers, so that nothing can ever have been in it."""
    if catalog.stat().st_size >= HEADER_BYTES:
        return False
    with catalog.open("rb") as file:
        head = file.read(12)
    return head == b"" or head[8:] == b"DUCK"


def unborn(root: Path) -> StoreCorrupt:
    """Return the error for a store whose first indexing ended before it wrote anything."""
    return StoreCorrupt(
        f"the store at {root} is empty: an indexing ended before it had begun to write",
        f"nothing is lost; index into it again: shotdex index SOURCE --store {root}",
    )
