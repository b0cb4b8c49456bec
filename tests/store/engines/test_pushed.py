"""What of a filter is left to Milvus never loses an image that DuckDB keeps, whatever labels and filter hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.store.connection import Connection
from shotdex.store.encoders import add_encoder
from shotdex.store.engines.milvus_rows import wanted
from shotdex.store.engines.pushed import ANY, CAPACITY, LABELS, code, pushed
from shotdex.store.ids import filtered_ids
from shotdex.store.store import Store
from shotdex.store.types import ImageVectors
from tests.support.fakes import fake_id
from tests.support.rows import ImageRow, add_images, add_vectors

LONG = "x" * 65_536
PLAIN = ("dog", "Dog", "it's", 'a"b', "a\\b", " ", "%", "0", "", "]) or true")
TEXTS = (*PLAIN, "\u00e4", "a\u0308", "\u202eabc", LONG, "日本", "😀")


@dataclass(frozen=True)
class Labelled:
    con: Connection
    owners: dict[int, int]
    fields: dict[int, dict[str, list[int]]]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labelled]:
    """A store whose images have hostile labels, many of them copies; one content has more labels than a field holds."""
    store, rng = Store.create(tmp_path_factory.mktemp("labelled") / "store"), np.random.default_rng(4)
    rows = []
    for number in range(1, 401):
        labels = [None if rng.random() < 0.2 else TEXTS[rng.integers(len(TEXTS))] for _ in LABELS]
        content = int(rng.integers(0, 150)) if number < 300 else 1000
        labels = [f"label {number}", labels[1], labels[2]] if content == 1000 else labels
        rows.append(ImageRow(number, f"/p/{number}.png", "/p", *labels, f"{content:064x}"))
    vectors = np.zeros((len(rows), 4), np.float32)
    vectors[:, 0] = 1
    with store.writing() as con:
        encoder = add_encoder(con, fake_id(dim=4, vision_dim=2))
        add_images(con, rows)
        vision = np.zeros((len(rows), 2), np.float32)
        add_vectors(con, encoder, [row.image_id for row in rows], ImageVectors(vectors, vision))
    with store.reading() as con:
        table = wanted(con, encoder).to_pylist()
        fields = {row["owner"]: {field: row[field] for field in LABELS.values()} for row in table}
        assert any(codes["categories"] == [ANY] for codes in fields.values())
        yield Labelled(con, {row["image_id"]: row["owner"] for row in table}, fields)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


letters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
texts = st.one_of(st.integers(0, len(TEXTS) - 1).map(TEXTS.__getitem__), st.text(letters))
columns = st.sampled_from([*LABELS, "images.category", '"Split"', "CONDITION"])
conditions = st.recursive(
    st.one_of(
        st.builds(lambda column, text: f"{column} = {quoted(text)}", columns, texts),
        st.builds(lambda column, text: f"{quoted(text)} = {column}", columns, texts),
        st.builds(lambda column, text: f"{column} <> {quoted(text)}", columns, texts),
        st.builds(
            lambda column, words: f"{column} IN ({', '.join(map(quoted, words))})",
            columns,
            st.lists(texts, min_size=1, max_size=4),
        ),
        st.builds(lambda column: f"{column} IS NULL", columns),
        st.builds(lambda column, text: f"lower({column}) = {quoted(text)}", columns, texts),
        st.sampled_from(
            ["image_id % 3 = 0", "category IN ('dog', NULL)", "condition LIKE 'a%'", "true", "split > 'b'"]
        ),
    ),
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"({a}) AND ({b})", inner, inner),
        st.builds(lambda a, b: f"({a}) OR ({b})", inner, inner),
        st.builds(lambda a: f"NOT ({a})", inner),
    ),
    max_leaves=5,
)


@given(conditions)
def test_it_never_loses_an_image(labelled: Labelled, where: str) -> None:
    expression = pushed(where)
    assert re.fullmatch(r"[a-z_0-9 ,\[\]()]*", expression)
    kept = filtered_ids(labelled.con, where)
    lost = [one for one in kept.tolist() if not keeps(expression, labelled.fields[labelled.owners[one]])]
    assert lost == []


def keeps(expression: str, fields: dict[str, list[int]]) -> bool:
    def array_contains_any(field: list[int], codes: list[int]) -> bool:
        return bool(set(field) & set(codes))

    return not expression or eval(expression, {"array_contains_any": array_contains_any, **fields})


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("category = 'dog'", f"array_contains_any(categories, [0, {code('dog')}])"),
        ("category = 'dog' AND width > 3", f"(array_contains_any(categories, [0, {code('dog')}]))"),
        ("category = 'dog' OR width > 3", ""),
        ("NOT category = 'dog'", ""),
        ("metadata.category = 'dog'", ""),
        ("category = 'dog' COLLATE NOCASE", ""),
        ("category = 'a\u0308'", f"array_contains_any(categories, [0, {code(chr(0xE4))}])"),
        ("category = ", ""),
        ("category = 'a' " + "AND (" * 3000, ""),
        ("category IN (" + ", ".join(f"'{n}'" for n in range(2000)) + ")", ""),
    ],
)
def test_what_is_left_to_milvus(where: str, said: str) -> None:
    assert pushed(where) == said


def test_a_field_holds_no_more_labels_than_it_can(labelled: Labelled) -> None:
    assert max(len(codes) for fields in labelled.fields.values() for codes in fields.values()) <= CAPACITY
    assert ANY not in {code(text) for text in TEXTS}
