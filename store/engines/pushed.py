"""The part of a SQL filter that Milvus can look at: equality of labels, as numbers.

DuckDB decides every filter. What is sent with a search only spares Milvus rows that cannot be hits, and what comes back
is compared with the images that DuckDB keeps. So it may keep too much and never too little. A label travels as a number
made of its SHA-256: nothing that a user wrote is ever part of an expression, and no label leaves the machine.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any
from unicodedata import normalize

LABELS = {"category": "categories", "condition": "conditions", "split": "splits"}
"""The columns of `images` that Milvus knows, and the field that has the labels of all copies of an image."""

CAPACITY = 64
"""Different labels that a field holds; of an image whose copies have more it holds `ANY`."""

ANY = 0
"""Stands for every label."""

DIGITS = 15
"""Hexadecimal digits of the SHA-256 that make the number: 60 bits, which every signed number of 64 bits holds."""

MOST_LABELS = 1_000
"""Labels that one comparison sends."""

LONGEST = 100_000
"""Characters of a filter up to which it is looked at."""


def code(label: str) -> int:
    """Return the number that stands for a label."""
    return int(hashlib.sha256(normalize("NFC", label).encode(errors="surrogatepass")).hexdigest()[:DIGITS], 16)


def code_sql(column: str) -> str:
    """Return the SQL for `code` of a column."""
    return f"('0x' || left(sha256(nfc_normalize({column})), {DIGITS}))::BIGINT"


@lru_cache(maxsize=64)
def pushed(where: str) -> str:
    """Return a Milvus expression that keeps every image that the condition keeps; empty where none says less than that.

    Taken over are `=` and lists of `IN` on category, condition and split, and what AND and OR make of them.
    """
    import duckdb

    if len(where) > LONGEST:
        return ""
    try:
        with duckdb.connect() as con:
            rows = con.execute("SELECT json_serialize_sql($sql::VARCHAR)", {"sql": f"SELECT ({where}\n)"}).fetchall()
        tree = json.loads(rows[0][0])
        if tree.get("error") or len(tree["statements"]) != 1:
            return ""
        found = _expression(tree["statements"][0]["node"]["select_list"][0])
    except (duckdb.Error, ValueError, KeyError, IndexError, TypeError, RecursionError):
        return ""  # `filtered_ids` says what is wrong with it
    return found or ""


def _expression(node: dict[str, Any]) -> str | None:
    """Return what a node of DuckDB's parse tree demands of labels; None where that is nothing Milvus can tell."""
    kind = node["type"]
    if kind in ("CONJUNCTION_AND", "CONJUNCTION_OR"):
        parts = [_expression(child) for child in node["children"]]
        known = [part for part in parts if part is not None]
        if not known or (kind == "CONJUNCTION_OR" and len(known) < len(parts)):
            return None
        return "(" + (" and " if kind == "CONJUNCTION_AND" else " or ").join(known) + ")"
    if kind == "COMPARE_EQUAL":
        sides = node["left"], node["right"]
        for column, value in (sides, sides[::-1]):
            if (field := _field(column)) is not None:
                return _holds(field, [value])
    if kind == "COMPARE_IN":
        column, *values = node["children"]
        if (field := _field(column)) is not None:
            return _holds(field, values)
    return None


def _field(node: dict[str, Any]) -> str | None:
    """Return the field of a label's column: `category` or `images.category`, and not the category of a struct."""
    names = [name.lower() for name in node.get("column_names", ())] if node["type"] == "COLUMN_REF" else []
    return LABELS.get(names[-1]) if names and names[:-1] in ([], ["images"]) else None


def _holds(field: str, values: list[dict[str, Any]]) -> str | None:
    literals = [value.get("literal") or {} for value in values]
    if not 0 < len(literals) <= MOST_LABELS or any(literal.get("kind") != "STRING" for literal in literals):
        return None
    codes = sorted({ANY, *(code(literal["text"]) for literal in literals)})
    return f"array_contains_any({field}, {codes})"
