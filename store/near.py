"""What was near: values that SQL looked for and that are nowhere in the catalog, with those that are there."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

from .connection import Connection

PLACES = {
    "run": "SELECT DISTINCT name FROM runs",
    "run_a": "SELECT DISTINCT name FROM runs",
    "run_b": "SELECT DISTINCT name FROM runs",
    "category": "SELECT category FROM images UNION SELECT category FROM truths UNION SELECT category FROM prompts",
    "predicted": "SELECT DISTINCT category FROM prompts",
    "condition": "SELECT DISTINCT condition FROM stored_images",
    "split": "SELECT DISTINCT split FROM stored_images",
}
"""Columns whose values are few and have names, and where those are."""

SHOWN = 8


def near_misses(con: Connection, sql: str) -> list[str]:
    """Return for SQL without rows, such as `SELECT ... WHERE run = 'names'`, which compared values do not occur.

    Each is a phrase such as "no run `names` (there are: run-1)" or "no category `Dog` (dog)", in the order of the SQL.
    """
    tree = json.loads(str(con.value("SELECT json_serialize_sql($sql::VARCHAR)", {"sql": sql})))
    phrases = []
    for column, value in dict.fromkeys(_compared(tree)):
        known = sorted(row[0] for row in con.rows(PLACES[column]) if row[0] is not None)
        if value not in known:
            phrases.append(f"no {column.split('_')[0]} `{value}`{_instead(value, known)}")
    return phrases


def near_a_filter(con: Connection, where: str | None) -> str:
    """Return the same about a filter that leaves no image, as the beginning of a hint; empty where nothing was near."""
    found = near_misses(con, f"SELECT ({where}\n)") if where is not None else []
    return f"{', '.join(found)}; " if found else ""


def _instead(value: str, known: list[str]) -> str:
    by_folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(value.casefold(), by_folded, n=3, cutoff=0.7)
    if near:
        return f" ({', '.join(by_folded[name] for name in near)})"
    more = f" and {len(known) - SHOWN:,} more" if len(known) > SHOWN else ""
    return f" (there are: {', '.join(known[:SHOWN])}{more})" if known else " (there is none)"


def _compared(node: Any) -> Iterator[tuple[str, str]]:
    """Yield columns of `PLACES` with the texts that a parse tree requires them to equal, or to be one of."""
    if isinstance(node, list):
        for part in node:
            yield from _compared(part)
    elif isinstance(node, dict):
        if node.get("type") in ("COMPARE_EQUAL", "COMPARE_IN"):
            sides = node.get("children") or [node.get("left"), node.get("right")]
            columns = [side["column_names"][-1].lower() for side in sides if side and "column_names" in side]
            texts = [text for side in sides if (text := _text(side)) is not None]
            yield from ((column, text) for column in columns if column in PLACES for text in texts)
        for part in node.values():
            yield from _compared(part)


def _text(node: Any) -> str | None:
    literal = node.get("literal") if isinstance(node, dict) else None
    return str(literal["text"]) if literal and literal.get("kind") == "STRING" else None
