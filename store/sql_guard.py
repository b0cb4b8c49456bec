"""A user's SQL may only query. It is checked before DuckDB runs it, on top of what the settings of a reader forbid.

DuckDB's own rules leave gaps. A SELECT can hold a COPY that writes a file (`WITH x AS (COPY ... TO ...) FROM x`), a
table function can run SQL that is put together while it runs, and one that sleeps cannot be interrupted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from .connection import Connection, TookTooLong, TooMuch
from .errors import BadSql

QUERY_SECONDS = 300.0
"""How long a user's SQL may run: it keeps an indexer from committing, which waits 600 s for its turn."""

QUERIES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
"""The parts of a statement that only read, as DuckDB's parser names them."""

NEVER = {
    "query": "write out what it would do",
    "json_execute_serialized_sql": "write out what it would do",
    "sleep_ms": "leave it out",
    "summary": "use SUMMARIZE instead, as in: SUMMARIZE images",
}
"""Functions that are not allowed, and what to do instead: they run SQL that cannot be checked first, cannot be
interrupted, or (`summary` of a table) return rows without end."""

READS = "use SELECT, FROM, WITH, SHOW, DESCRIBE, SUMMARIZE, PIVOT or EXPLAIN"

_NODE = re.compile(r'"type":"([A-Z_]+_NODE)"')
_FUNCTION = re.compile(r'"function_name":"([^"]*)"')
_EXPLAIN = re.compile(r"EXPLAIN\s+(?:ANALYZE\s+)?(?:\([^()]*\)\s*)?(.+)", re.IGNORECASE | re.DOTALL)
_WORDS = re.compile(rf"\b({'|'.join(sorted([*NEVER, 'copy']))})\b", re.IGNORECASE)


def check_statements(con: Connection, sql: str) -> None:
    """Refuse statements that do anything but query.

    Raises:
        BadSql: one of them writes, attaches, loads, sets, or cannot be looked at.
        duckdb.Error: they are not SQL.
    """
    for kind, text, _ in con.statements(sql):
        if kind == "EXPLAIN":
            explained = _EXPLAIN.fullmatch(text)
            check_statements(con, explained.group(1) if explained else "EXPLAIN")
        elif kind == "SELECT":
            _check_tree(_tree(con, text))
        elif kind == "MULTI":  # PIVOT, which is two statements in one and has no tree
            found = _WORDS.search(text)
            if found:
                raise BadSql(f"{found.group(1)} cannot be used together with PIVOT", READS)
        else:
            raise BadSql(f"SQL is read-only here, and this is {kind.replace('_', ' ')}", READS)


def check_condition(con: Connection, where: str) -> None:
    """Refuse a filter that is anything but one condition.

    Raises:
        BadSql: it is more than a condition, or does more than query.
    """
    tree = _tree(con, _selected(where))
    _check_tree(tree)
    if _around(tree) != _around(_tree(con, _selected("true"))):
        raise BadSql(f"the filter {where!r} is more than a condition", "leave out what follows the condition")


def _selected(where: str) -> str:
    return f"SELECT ({where}\n)"  # the line break ends a comment at the filter's end


def _tree(con: Connection, sql: str) -> str:
    """Return DuckDB's parse tree of SELECT statements as JSON text.

    Raises:
        BadSql: there is none, as for a PIVOT.
        duckdb.Error: it is not SQL.
    """
    text = str(con.value("SELECT json_serialize_sql($sql::VARCHAR)", {"sql": sql}))
    if text.startswith('{"error":true'):
        con.statements(sql)  # where the grammar is at fault, this says at which place
        raise BadSql(f"this cannot be parsed: {json.loads(text)['error_message']}", READS)
    return text


def _check_tree(tree: str) -> None:
    # In the JSON a quote inside a user's text has a backslash before it, so these patterns only meet the tree's own.
    others = sorted(set(_NODE.findall(tree)) - QUERIES)
    if others:
        raise BadSql(f"SQL is read-only here, and this is {others[0].split('_')[0]}", READS)
    never = sorted(NEVER.keys() & {name.lower() for name in _FUNCTION.findall(tree)})
    if never:
        raise BadSql(f"the function {never[0]} cannot be used here", NEVER[never[0]])


def _around(tree: str) -> Any:
    """Return everything of a statement but what it selects, and of that the number."""
    statements = json.loads(tree, object_hook=_without_places)["statements"]
    for statement in statements:
        node = statement["node"]
        node["select_list"] = len(node.get("select_list", ()))
    return statements


def _without_places(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if not name.startswith("query_location")}


_OUTSIDE = re.compile(r"disabled (by|through) configuration|[Ee]xtension|Table with name \S*[./]\S* does not exist")
"""What DuckDB says where it may not look at other files, or takes a file's name for a table's."""


@contextmanager
def sql_errors(what: str) -> Iterator[None]:
    """Turn DuckDB's errors in a user's SQL into `BadSql`, with its explanation and without its traceback."""
    try:
        yield
    except TookTooLong as error:
        raise BadSql(f"{what}: {error}", "query less, or with fewer joins") from error
    except TooMuch as error:
        raise BadSql(f"{what}: {error}", "query fewer rows or columns: LIMIT, or count(*)") from error
    except duckdb.OutOfMemoryException as error:
        text = str(error).splitlines()[0]
        raise BadSql(f"{what}: {text}", "query less: a query gets half of the memory, and never the disk") from error
    except duckdb.Error as error:
        text = str(error).strip()
        hint = 'the tables and their columns: docs/schema.md, or shotdex sql "SHOW TABLES"'
        if isinstance(error, duckdb.PermissionException) or _OUTSIDE.search(text.splitlines()[0]):
            hint = "only the store can be queried; to read other files too, use shotdex sql --allow-external"
        raise BadSql(f"{what}: {text}", hint) from error
