"""A user's SQL over the catalog: it asks and nothing else. Other files it reads only where the store allows that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shotdex.store.errors import BadSql
from shotdex.store.sql_guard import QUERY_SECONDS, check_statements, sql_errors
from shotdex.store.store import Store

ANSWER_BYTES = 2 * 1024**3
"""The memory that an answer may take: about ten million rows of a path and a number."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a statement: column names, and rows as tuples of Python values."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as dicts, the form of JSON."""
        names: list[str] = []
        for name in self.columns:  # of two columns with one name neither may be lost
            same = sum(other == name for other in self.columns[: len(names)])
            names.append(f"{name}_{same}" if same else name)
        return [dict(zip(names, row, strict=True)) for row in self.rows]


def run_sql(store: Store, statement: str) -> Answer:
    """Run a statement and return all that it gives.

    Ctrl-C ends it, and so does the clock after `QUERY_SECONDS`.

    Raises:
        BadSql: it does more than ask, takes too long, gives too much, or DuckDB refuses it, with DuckDB's explanation.
    """
    with store.reading() as con, sql_errors("DuckDB refuses this statement"):
        check_statements(con, statement)
        columns, rows = con.watched(lambda: con.described(statement, ANSWER_BYTES), QUERY_SECONDS)
    if not columns:
        raise BadSql("the statement is empty", 'for example: shotdex sql "SELECT * FROM accuracy_by_condition"')
    return Answer(tuple(columns), tuple(rows))
