"""A user's SQL may only query. It is checked before DuckDB runs it, on top of what the settings of a reader forbid.

DuckDB's own rules leave gaps. A SELECT can hold a COPY that writes a file (`WITH x AS (COPY ... TO ...) FROM x`), a
table function can run SQL that is put together while it runs, and one that sleeps cannot be interrupted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
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
            _check_tree(con, _tree(con, text))
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
    _check_tree(con, tree)
    if _around(tree) != _around(_tree(con, _selected("true"))):
        raise BadSql(f"the filter {where!r} is more than a condition", "remove everything after the condition")


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


def _check_tree(con: Connection, tree: str) -> None:
    # In the JSON a quote inside a user's text has a backslash before it, so these patterns only meet the tree's own.
    others = sorted(set(_NODE.findall(tree)) - QUERIES)
    if others:
        raise BadSql(f"SQL is read-only here, and this is {others[0].split('_')[0]}", READS)
    called = {name.lower() for name in _FUNCTION.findall(tree)}
    never = sorted(NEVER.keys() & called)
    if never:
        raise BadSql(f"the function {never[0]} cannot be used here", NEVER[never[0]])
    if "row" in called:
        _check_rows(con, json.loads(tree))


def _check_rows(con: Connection, tree: Any) -> None:
    """Refuse a row of vectors, such as `(joint, vision)`: where it has to hash one, DuckDB 2.0 ends the process."""
    found = con.rows("SELECT table_name, column_name FROM duckdb_columns() WHERE regexp_matches(data_type, '[[][0-9]')")
    tables, vectors = {table.lower() for table, _ in found}, {column.lower() for _, column in found}
    parts = list(nodes(tree))
    named = {node["alias"] or node["table_name"] for node in parts if str(node.get("table_name")).lower() in tables}
    while not named <= vectors:
        vectors |= {name.lower() for name in named}
        named = {node["alias"].lower() for node in parts if node.get("alias") and _holds(node, vectors)}
    if any(str(node.get("function_name")).lower() == "row" and _holds(node, vectors) for node in parts):
        raise BadSql("a row of vectors cannot be used here", "name its parts, as in: {'a': joint, 'b': vision}")


def nodes(part: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a parse tree, and every other object in it."""
    if isinstance(part, dict):
        yield part
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from nodes(value)


def _holds(part: Any, vectors: set[str]) -> bool:
    """Whether an expression's value may hold an array of fixed length; `vectors` are the names of such values."""
    if not isinstance(part, dict):
        return isinstance(part, list) and any(_holds(value, vectors) for value in part)
    kind, function = part.get("class"), str(part.get("function_name", "")).lower()
    if kind == "COLUMN_REF":
        return str(part["column_names"][-1]).lower() in vectors
    if kind == "CAST":
        return any(str(node.get("type_name")).lower() == "array" for node in nodes(part["type_expr"]))
    if kind == "COMPARISON" or _MEASURES.match(function):
        return False
    return function == "array_value" or any(_holds(value, vectors) for value in part.values())


_MEASURES = re.compile(r"(array|list)_(?!value|agg)|len|count|approx_count|hash|md5|sha")
"""How functions begin that take vectors and return numbers, texts or lists."""


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
def sql_errors(what: str, hint_of: Callable[[str], str] = lambda _: "") -> Iterator[None]:
    """Turn DuckDB's errors in a user's SQL into `BadSql`, with its explanation and without its traceback.

    `hint_of` returns what to do about an explanation, or nothing where it knows none.
    """
    try:
        yield
    except TookTooLong as error:
        raise BadSql(f"{what}: {error}", "query fewer rows, or use fewer joins") from error
    except TooMuch as error:
        raise BadSql(f"{what}: {error}", "query fewer rows or columns: LIMIT, or count(*)") from error
    except duckdb.OutOfMemoryException as error:
        text = str(error).splitlines()[0]
        raise BadSql(f"{what}: {text}", "query fewer rows: a query may use half of the memory, and no disk") from error
    except duckdb.Error as error:
        text = str(error).strip()
        hint = "the tables and their columns: shotdex sql --schema   or one of them: shotdex sql --schema images"
        if isinstance(error, duckdb.PermissionException) or _OUTSIDE.search(text.splitlines()[0]):
            hint = "only the store can be queried; to read other files too, use shotdex sql --allow-external"
        raise BadSql(f"{what}: {text}", hint_of(text) or hint) from error
