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
    "category": "SELECT category FROM images UNION SELECT category FROM outcome_counts "
    "UNION SELECT category FROM prompts",
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
    return phrases + _near_in_part(con, tree) + _near_in_numbers(con, tree)


def near_a_filter(con: Connection, where: str | None) -> str:
    """Return the same about a filter that leaves no image, as the beginning of a hint; empty where nothing was near."""
    found = near_misses(con, f"SELECT ({where}\n)") if where is not None else []
    return f"{', '.join(found)}; " if found else ""


_FOLDERS = "SELECT DISTINCT regexp_replace(path, '[/!][^/!]*$', '') AS folder FROM images LIMIT 100000"


def _near_in_part(con: Connection, tree: Any) -> list[str]:
    """Say which parts of cameras and beginnings of paths occur nowhere, with the cameras and folders that are alike."""
    phrases: dict[str, None] = {}
    for name, arguments in _calls(tree):
        columns = [column for part in arguments for column in _columns(part)]
        value = next((text for part in arguments if (text := _text(part)) is not None), None)
        if not value or len(columns) != 1:
            continue
        if name == "contains" and columns == ["camera"]:
            known = sorted(row[0] for row in con.rows("SELECT DISTINCT camera FROM images WHERE camera IS NOT NULL"))
            if not any(value in camera.lower() for camera in known):
                phrases[f"no camera `{value}`{_instead(value, known, ends=True)}"] = None
        elif name in ("contains", "starts_with") and columns == ["path"] and value[-1] in "/!":
            folder = value[:-1].strip("/") if name == "contains" else value[:-1]
            asked = {"start": value[:-1]}
            if not con.value(f"SELECT EXISTS (FROM images WHERE {name}(path, $start))", asked):
                names = sorted({row[0].rstrip("/").rpartition("/")[2] for row in con.rows(_FOLDERS)})
                phrases[f"no image in `{folder}`{_instead(folder.rpartition('/')[2], names)}"] = None
    return list(phrases)


_SIGNS = {
    "COMPARE_GREATERTHANOREQUALTO": ">=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
}


def _near_in_numbers(con: Connection, tree: Any) -> list[str]:
    """Say between which times images were taken where none was then, and how far the nearest place is."""
    phrases = []
    bounds = [(sign, text) for sign, column, text in _ranges(tree) if column == "taken_at"]
    if bounds:
        then = " AND ".join(f"taken_at {sign} TRY_CAST($at_{n} AS TIMESTAMP)" for n, (sign, _) in enumerate(bounds))
        found = con.rows(
            f"SELECT count(*) FILTER ({then}), min(taken_at), max(taken_at) FROM images",
            {f"at_{n}": text for n, (_, text) in enumerate(bounds)},
        )[0]
        if not found[0]:
            when = f"taken from {found[1]} to {found[2]}" if found[1] else "no image says when it was taken"
            phrases.append(f"no image was taken then ({when})")
    for name, arguments in _calls(tree):
        place = [float(number) for part in arguments if (number := _number(part)) is not None]
        if name == "distance_km" and len(place) == 2:
            least = con.value(
                "SELECT min(distance_km(latitude, longitude, $latitude, $longitude)) FROM images",
                {"latitude": place[0], "longitude": place[1]},
            )
            near = "no image says where it was taken" if least is None else f"the nearest image is {least:,.1f} km away"
            phrases.append(f"{near}")
    return phrases


def _calls(node: Any) -> Iterator[tuple[str, list[Any]]]:
    """Yield the functions that a parse tree calls, with their arguments."""
    for part in _parts(node):
        if part.get("class") == "FUNCTION":
            yield str(part["function_name"]).lower(), [one["expression"] for one in part.get("arguments", ())]


def _ranges(node: Any) -> Iterator[tuple[str, str, str]]:
    """Yield sign, column and text of the bounds in a parse tree."""
    for part in _parts(node):
        sign, text = _SIGNS.get(part.get("type", "")), _text(part.get("right"))
        if sign is not None and text is not None:
            yield from ((sign, column, text) for column in _columns(part.get("left")))


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _parts(part)


def _columns(node: Any) -> list[str]:
    return [part["column_names"][-1].lower() for part in _parts(node) if "column_names" in part]


def _number(node: Any) -> str | None:
    literal = node.get("literal") if isinstance(node, dict) else None
    return str(literal["text"]) if literal and literal.get("kind") == "NUMERIC" else None


def _instead(value: str, known: list[str], ends: bool = False) -> str:
    by_folded = {name.casefold(): name for name in known}
    if ends:  # EOS R5 is Canon EOS R5
        words = {name: name.casefold().split() for name in known}
        by_folded |= {" ".join(found[start:]): name for name, found in words.items() for start in range(len(found))}
    near = difflib.get_close_matches(value.casefold(), by_folded, n=3, cutoff=0.7)
    if near:
        return f" ({', '.join(dict.fromkeys(by_folded[name] for name in near))})"
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
