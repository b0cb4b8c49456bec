"""What the SQL of a store can name: the page on its tables, and examples, both in the package."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from shotdex.store.errors import OptionError

HERE = Path(__file__).parent


def schema(table: str | None = None) -> str:
    """Return the description of a table, view or function in SQL, or of all of them, as Markdown.

    Args:
        table: its name, such as "outcomes", "search" or, for one encoder's vectors, "vectors_1".

    Raises:
        OptionError: there is none of that name.

    >>> print(shotdex.schema("confusion").splitlines()[0])
    ### confusion
    """
    page = (HERE / "schema.md").read_text(encoding="utf-8")
    if table is None:
        return page.rstrip("\n")
    parts = {part.split("\n", 1)[0]: part for part in re.split(r"^### ", page, flags=re.MULTILINE)[1:]}
    name = re.sub(r"_\d+$", "_N", table.lower().split("(")[0])
    found = parts.get(name) or parts.get(name.removesuffix("_N"))
    if found is None:
        near = difflib.get_close_matches(name, parts, n=3)
        raise OptionError(
            f"there is no table or view {table!r}", f"choose one of: {', '.join(near or parts)}   or see all: --schema"
        )
    return "### " + re.split(r"^## ", found, maxsplit=1, flags=re.MULTILINE)[0].rstrip("\n")


def examples() -> str:
    """Return SQL for common queries, each statement with a comment that describes it; it runs in any store.

    >>> len(store.sql(shotdex.examples()).results)
    10
    """
    return (HERE / "examples.sql").read_text(encoding="utf-8").rstrip("\n")
