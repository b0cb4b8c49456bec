"""The catalog itself: it opens, its tables read to their ends and have their columns, and the views are there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import duckdb

from shotdex.store import schema
from shotdex.store.connection import Connection
from shotdex.store.encoders import list_encoders
from shotdex.store.errors import SchemaTooNew, StoreCorrupt
from shotdex.store.schema import encoder_tables
from shotdex.store.store import Store

from .check import LOST, REPAIR, Check, Fault, verdict

_COLUMNS = (
    "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal AND database_name <> 'temp'"
)
_VIEWS = "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal AND NOT temporary"


def opened(root: Path) -> tuple[Check, Store | None]:
    """Open the store and say whether that went well; a catalog of an older shotdex is brought up to this one.

    Raises:
        StoreNotFound, StoreLocked: there is nothing to check, or it cannot be checked now.
    """
    try:
        store = Store.open(root)
        found = store.identity
    except (StoreCorrupt, SchemaTooNew) as error:
        return Check("catalog", False, str(error), error.hint), None
    text = f"opens; schema {schema.VERSION}, store {found[:12]}"
    return Check("catalog", True, text), store


def tables(con: Connection) -> list[Check]:
    """Read every table to its end, which makes DuckDB compare the checksum of each block, and compare the columns."""
    expected = _as_made(_encoders(con)).columns
    missing = sorted({(table, column) for table, column, _ in expected - set(con.rows(_COLUMNS))})
    if missing:
        shown = ", ".join(f"{table}.{column}" for table, column in missing[:3])
        more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
        return [Check("tables", False, f"columns that are missing or of the wrong type: {shown}{more}", LOST)]
    names = sorted({table for table, _, _ in expected})
    rows = sum(con.rows(f'SELECT count(*), bit_xor(hash(t)) FROM "{name}" t')[0][0] for name in names)
    return [Check("tables", True, f"{len(names)} tables with every column; all {rows:,} rows can be read")]


def all_views(con: Connection) -> list[Check]:
    """Compare the views with those that this shotdex makes."""
    expected, found = _as_made(_encoders(con)).views, _views(con)
    names = [name for name, _ in schema.VIEWS]
    missing = [name for name in names if name not in found]
    other = [name for name in names if name in found and found[name] != expected[name]]
    return [
        verdict(
            "views",
            f"all {len(names)} exist, as this version of shotdex makes them",
            [
                Fault(f"missing views ({', '.join(missing)})", len(missing), REPAIR),
                Fault(
                    f"views that differ from those of this version of shotdex ({', '.join(other)})", len(other), REPAIR
                ),
            ],
        )
    ]


@dataclass(frozen=True, slots=True)
class _Made:
    """The columns (table, column, type) and the views (name -> SQL) of a catalog."""

    columns: frozenset[tuple[str, str, str]]
    views: Mapping[str, str]


def _views(con: Connection) -> dict[str, str]:
    """Return the views (name -> SQL) without parentheses: not every storage version keeps those around joins."""
    return {name: re.sub("[()]", "", sql) for name, sql in con.rows(_VIEWS)}


def _encoders(con: Connection) -> tuple[tuple[int, int, int], ...]:
    return tuple((number, encoder.dim, encoder.vision_dim) for number, encoder in list_encoders(con).items())


@lru_cache(maxsize=1)
def _as_made(encoders: tuple[tuple[int, int, int], ...]) -> _Made:
    """Return what this shotdex makes for these encoders (number, both lengths): made in memory, and read back."""
    made = Connection(duckdb.connect())
    for statements in [
        *schema.migration(0, ()),
        *(encoder_tables(*encoder) for encoder in encoders),
        schema.view_statements(),
    ]:
        made.run(statements)
    tables_only = " AND table_name NOT IN (SELECT view_name FROM duckdb_views())"
    found = _Made(frozenset(made.rows(_COLUMNS + tables_only)), _views(made))
    made.close()
    return found
