"""docs/schema.md says what the catalog has: every public table and view, every column with its type, in order."""

from __future__ import annotations

import re
from pathlib import Path

from shotdex.store.store import Store

PAGE = Path(__file__).parents[1] / "docs" / "schema.md"
PRIVATE = {"meta", "stored_images"}


def documented() -> dict[str, list[tuple[str, str]]]:
    """Read the page: section -> (column, type)."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("### "):
            sections[line[4:]] = current = []
        elif (row := re.match(r"\| (\w+) \| ([A-Z\[\]]+) \|", line)) is not None:
            current.append((row.group(1), row.group(2)))
    return sections


def test_the_page_equals_the_catalog(tmp_path: Path) -> None:
    with Store.create(tmp_path / "store").reading() as con:
        tables = [row[0] for row in con.rows("SHOW TABLES")]
        found = {name: [row[:2] for row in con.rows(f"DESCRIBE {name}")] for name in tables if name not in PRIVATE}
    assert documented() == found
