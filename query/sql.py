"""A user's SQL over the catalog: read-only, with no way to files, network or settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shotdex.store.errors import BadSql
from shotdex.store.store import Store, sql_errors


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a statement: column names, and rows as tuples of Python values."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as dicts, the form of JSON."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def run_sql(store: Store, statement: str) -> Answer:
    """Run a statement and return all that it gives.

    Raises:
        BadSql: DuckDB refuses it, with DuckDB's explanation.
    """
    if not statement.strip().strip(";"):
        raise BadSql("the statement is empty", 'for example: shotdex sql "SELECT * FROM accuracy_by_condition"')
    with store.reading() as con, sql_errors("DuckDB refuses this statement"):
        columns, rows = con.described(statement)
    return Answer(tuple(columns), tuple(rows))
