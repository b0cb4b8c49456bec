"""A user's SQL over the catalog, which can only read; it reads other files only where the store allows that."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from shotdex.models.protocols import LoadEncoder
from shotdex.store.connection import Connection
from shotdex.store.errors import BadSql
from shotdex.store.near import near_misses
from shotdex.store.sql_guard import QUERY_SECONDS, check_statements, nodes, sql_errors
from shotdex.store.store import Store

from .sql_functions import functions, missing, prepared

if TYPE_CHECKING:
    import pyarrow

REFUSED = "DuckDB refuses this statement"

RESULT_BYTES = 2 * 1024**3
"""The memory that a result may take: about ten million rows of a path and a number."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The result of a statement: column names, and rows as tuples of Python values."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    types: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    """Without rows: which values that the statement looked for are not there, and which are."""

    notes: tuple[str, ...] = ()
    """What may be a mistake in the statement."""

    more: bool = False
    """Whether there were more rows than the limit."""

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


@dataclass(frozen=True, slots=True)
class SqlLimits:
    """What statements may cost together: seconds, and each result bytes of memory and rows, of which the first stay."""

    seconds: float = QUERY_SECONDS
    bytes: int = RESULT_BYTES
    rows: int = sys.maxsize


def run_statements(
    store: Store,
    sql: str,
    parameters: Mapping[str, Any] | None = None,
    encoders: Callable[[], LoadEncoder] | None = None,
    limits: SqlLimits | None = None,
) -> list[Rows]:
    """Run one statement or several, with values for their $name parameters, and return the rows of each, in order.

    Ctrl-C ends it, and so does the clock. With `encoders`, which returns
    the store's, the functions of `sql_functions` work.

    Raises:
        BadSql: a statement does more than query, takes too long, returns too much, or DuckDB refuses it, with DuckDB's
            explanation; or there is none.
        ModelUnavailable, ModelOutputInvalid: the vector of a text is needed and cannot be made.
    """
    limits = limits or SqlLimits()
    given = dict(parameters or {})
    with sql_errors(REFUSED):
        used = prepared(store, sql, given, encoders)
    with store.reading() as con, sql_errors(REFUSED, lambda problem: hint_of(con, sql, problem)), functions(con, used):
        check_statements(con, sql)
        statements = con.statements(sql)
        if not statements:
            raise BadSql("the statement is empty", 'for example: shotdex sql "SELECT * FROM accuracy_by_condition"')
        unused = set(given).difference(*(names for _, _, names in statements))

        def run_all() -> list[Rows]:
            results: list[Rows] = []
            for _, text, names in statements:
                # DuckDB says that a parameter is not used where it gets one that the statement lacks.
                values = {name: value for name, value in given.items() if name in names | unused}
                columns, types, rows = con.described(text, limits.bytes, values, limits.rows)
                near = () if rows else tuple(near_misses(con, text))
                notes = tuple(notes_on(con, text, rows)) if not near else ()
                more = len(rows) > limits.rows
                results.append(Rows(tuple(columns), tuple(rows[: limits.rows]), tuple(types), near, notes, more))
            return results

        return con.watched(run_all, limits.seconds)


OF_RUNS = {
    "outcomes",
    "predictions",
    "truths",
    "confusion",
    "accuracy_by_condition",
    "accuracy_by_category",
    "topk_accuracy",
}
"""Tables and views that have rows for every run."""


def hint_of(con: Connection, sql: str, problem: str) -> str:
    """Return what to do about an explanation of DuckDB's, or nothing."""
    found = re.search(r'Referenced column "([^"]*)" (was )?not found', problem)
    if found and f'"{found[1]}"' in sql:
        quoted = found[1].replace("'", "''")
        return f"a text stands in single quotes: '{quoted}'; double quotes name a column"
    if found and re.search(rf"\b{re.escape(found[1])}\b", sql):
        text = found[1].replace("'", "''")
        return f"the columns: shotdex sql --schema   or, if it is meant as a text: '{text}'"
    return missing(con, sql, problem)


def notes_on(con: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    """Yield what may be a mistake in a statement that was run: names that are nowhere, and runs counted together."""
    try:
        tree = json.loads(str(con.value("SELECT json_serialize_sql($sql::VARCHAR)", {"sql": sql})))
    except duckdb.Error:
        return
    nothing = all(value in (None, 0) for row in rows for value in row)
    for phrase in near_misses(con, sql):
        if nothing or phrase.startswith("no run "):
            yield phrase
    parts = list(nodes(tree))
    tables = {str(part.get("table_name")).lower() for part in parts} & OF_RUNS
    columns = {str(part["column_names"][-1]).lower() for part in parts if part.get("column_names")}
    starred = any(part.get("class") == "STAR" for part in parts)
    if tables and not starred and not columns & {"run", "run_id"}:
        names = [str(row[0]) for row in con.rows("SELECT name FROM runs ORDER BY run_id")]
        if len(names) > 1:
            yield (
                f"{', '.join(sorted(tables))}: {len(names)} runs are counted together; choose one with "
                f"WHERE run = '{names[-1]}', or GROUP BY run"
            )
