"""docs/schema.md says what the catalog has: every public table and view, every column with its type, in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import shotdex
from shotdex.store.errors import OptionError
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


VECTORS = ("vectors", "vectors_N", "text_vectors_N")
FUNCTIONS = ("similarity", "search", "nearest")


def test_the_page_equals_the_catalog(tmp_path: Path) -> None:
    with Store.create(tmp_path / "store").reading() as con:
        tables = [row[0] for row in con.rows("SHOW TABLES")]
        found = {name: [row[:2] for row in con.rows(f"DESCRIBE {name}")] for name in tables if name not in PRIVATE}
    assert {name: columns for name, columns in documented().items() if name not in (*VECTORS, *FUNCTIONS)} == found


def test_the_page_equals_what_an_encoder_adds(evaluated: Store) -> None:
    store = shotdex.open(evaluated.root)
    dim, vision_dim = store.sql("SELECT dim, vision_dim FROM encoders")[0]
    for name in VECTORS:
        found = store.sql(f"SELECT column_name, column_type FROM (DESCRIBE {name.replace('N', '1')})")
        sizes = {"FLOAT[D]": f"FLOAT[{dim}]", "FLOAT[V]": f"FLOAT[{vision_dim}]"}
        assert [(column, sizes.get(kind, kind)) for column, kind in documented()[name]] == list(found)


def test_the_page_is_in_the_package() -> None:
    assert shotdex.schema() == PAGE.read_text().rstrip("\n")
    assert shotdex.schema("outcomes").splitlines()[0] == "### outcomes"
    assert shotdex.schema("vectors_12").startswith("### vectors_N")
    assert "category = " not in shotdex.schema("search_2")
    with pytest.raises(OptionError, match="outcom") as caught:
        shotdex.schema("outcom")
    assert "outcomes" in caught.value.hint
