"""A user's SQL over the catalog: it asks and nothing else. Other files it reads only where the store allows that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shotdex.store.errors import BadSql
from shotdex.store.sql_guard import QUERY_SECONDS, check_statements, sql_errors
from shotdex.store.store import Store

if TYPE_CHECKING:
    import pyarrow

ANSWER_BYTES = 2 * 1024**3
"""The memory that a result may take: about ten million rows of a path and a number."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The result of a statement: column names, and rows as tuples of Python values."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    types: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Return the names of the columns, the second of two equal ones with a number, so that neither is lost."""
        names: list[str] = []
        for name in self.columns:
            same = sum(other == name for other in self.columns[: len(names)])
            names.append(f"{name}_{same}" if same else name)
        return tuple(names)

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as dicts, the form of JSON."""
        return [dict(zip(self.names(), row, strict=True)) for row in self.rows]

    def to_arrow(self) -> pyarrow.Table:
        """Return a `pyarrow.Table` with the types that DuckDB gave the columns."""
        import duckdb
        import pyarrow as pa

        empty = ", ".join(f"NULL::{kind} AS c{number}" for number, kind in enumerate(self.types))
        with duckdb.connect() as con:
            schema = con.sql(f"SELECT {empty} LIMIT 0").to_arrow_table().schema
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        arrays = [pa.array(list(values), field.type) for values, field in zip(columns, schema, strict=True)]
        return pa.table(arrays, names=list(self.names()))


def run_sql(store: Store, statement: str, parameters: Mapping[str, Any] | None = None) -> Rows:
    """Run a statement, with values for its $name parameters, and return all that it gives.

    Ctrl-C ends it, and so does the clock after `QUERY_SECONDS`.

    Raises:
        BadSql: it does more than ask, takes too long, gives too much, or DuckDB refuses it, with DuckDB's explanation.
    """
    with store.reading() as con, sql_errors("DuckDB refuses this statement"):
        check_statements(con, statement)
        columns, types, rows = con.watched(lambda: con.described(statement, ANSWER_BYTES, parameters), QUERY_SECONDS)
    if not columns:
        raise BadSql("the statement is empty", 'for example: shotdex sql "SELECT * FROM accuracy_by_condition"')
    return Rows(tuple(columns), tuple(rows), tuple(types))
