"""Usual mistakes in a user's SQL: what to do about an error of DuckDB's, and results that may mislead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from shotdex.store.connection import Connection
from shotdex.store.near import near_misses
from shotdex.store.sql_guard import nodes

from .sql_functions import missing

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
