"""Named selections: images that a search found, saved under a name that filters, queries and exports can use."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from .connection import Connection, now
from .errors import OptionError

NAME = r"\w[\w.-]*"
"""How a name is written: letters, digits and `_`, and from the second character on `.` and `-`."""

_MENTION = re.compile(rf"""('(?:[^']|'')*'|"(?:[^"]|"")*")|(?<![\w@])@({NAME})""")


@dataclass(frozen=True, slots=True)
class Selection:
    """A named selection: how many of its images are present, what was searched for, and when it was saved (UTC)."""

    name: str
    images: int
    query: str
    saved_at: datetime


def save_selection(con: Connection, name: str, ids: Sequence[int], query: str) -> None:
    """Save images under a new name, in their order, within the transaction of a writer.

    Raises:
        OptionError: the name is taken or cannot be one, or there are no images.
    """
    check_name(name)
    if not ids:
        raise OptionError("there are no images to save", "search for something else, or relax the filter")
    if con.value("SELECT count(*) FROM selections WHERE name = $name", {"name": name}):
        raise OptionError(
            f"there is a selection {name!r} already", f"choose another name, or: shotdex selections --remove {name}"
        )
    con.run("INSERT INTO selections VALUES ($name, $query, $now)", {"name": name, "query": query, "now": now()})
    con.run(
        "INSERT INTO selection_images SELECT $name, generate_subscripts($ids::BIGINT[], 1), unnest($ids::BIGINT[])",
        {"name": name, "ids": list(ids)},
    )


def check_name(name: str) -> None:
    """Refuse a name that cannot be written as `@name`.

    Raises:
        OptionError: it has other characters than letters, digits, `_`, `.` and `-`.
    """
    if not re.fullmatch(NAME, name) or len(name) > 100:
        raise OptionError(
            f"{name!r} cannot be the name of a selection", "use letters, digits, _, - and ., as in dogs-1"
        )


def list_selections(con: Connection) -> list[Selection]:
    """Return every selection, oldest first."""
    rows = con.rows(
        "SELECT s.name, count(i.image_id), s.query, s.saved_at FROM selections s "
        "LEFT JOIN selection_images m ON m.selection = s.name LEFT JOIN images i USING (image_id) "
        "GROUP BY ALL ORDER BY s.saved_at, s.name"
    )
    return [Selection(*row) for row in rows]


def remove_selection(con: Connection, name: str) -> None:
    """Forget a selection; its images stay.

    Raises:
        OptionError: there is no selection of that name.
    """
    if name not in _names(con):
        raise no_selection(con, name)
    con.run("DELETE FROM selection_images WHERE selection = $name", {"name": name})
    con.run("DELETE FROM selections WHERE name = $name", {"name": name})


def selected_ids(con: Connection, name: str) -> list[int]:
    """Return the ids of the present images of a selection, in its order.

    Raises:
        OptionError: there is no selection of that name.
    """
    if name not in _names(con):
        raise no_selection(con, name)
    rows = con.rows(
        "SELECT image_id FROM selection_images SEMI JOIN images USING (image_id) WHERE selection = $name ORDER BY rank",
        {"name": name},
    )
    return [row[0] for row in rows]


def with_selections(con: Connection, where: str) -> str:
    """Return a filter in SQL: each `@name` in it becomes the condition that an image is in that selection.

    Raises:
        OptionError: there is no such selection, nor a column of which `@` is the absolute value.
    """
    if "@" not in where:
        return where
    known = _names(con)

    def condition(found: re.Match[str]) -> str:
        name = found.group(2)
        if name is None:  # a text or a name in quotes
            return found.group()
        if name not in known:
            columns = {row[0] for row in con.rows("SELECT column_name FROM (DESCRIBE images)")}
            if re.match(r"\w+", name).group() in columns or name.isdecimal():  # type: ignore[union-attr]
                return found.group()
            raise no_selection(con, name)
        return f"(image_id IN (SELECT image_id FROM selection_images WHERE selection = '{name}'))"

    return _MENTION.sub(condition, where)


def no_selection(con: Connection, name: str) -> OptionError:
    """Return the error for a name that no selection has."""
    known = _names(con)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean @{near[0]}? " if near else ""
    listed = ", ".join(sorted(known))
    return OptionError(
        f"there is no selection {name!r}",
        f"{hint}the selections: {listed}" if known else f'save one: shotdex search "a dog" --save {name}',
    )


def _names(con: Connection) -> set[str]:
    return {row[0] for row in con.rows("SELECT name FROM selections")}
