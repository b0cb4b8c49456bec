"""Texts' vectors in the catalog: remembered once, bit for bit, and none that is not whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotdex.store.encoders import add_encoder
from shotdex.store.errors import QueryError, StoreCorrupt
from shotdex.store.store import Store
from shotdex.store.vectors import TEXTS_AT_ONCE, remember_texts, remembered_texts
from tests.support.fakes import fake_id

ID = fake_id(dim=5, vision_dim=3)


def test_texts_are_remembered_once(store: Store) -> None:
    rows = np.arange(15, dtype=np.float32).reshape(3, 5) / 7
    with store.writing() as con:
        number = add_encoder(con, ID)
        remember_texts(con, number, ["a", "b'\"; --", "ünï"], rows)
        remember_texts(con, number, ["a", "new"], -rows[:2])
    with store.reading() as con:
        got = remembered_texts(con, number, ["a", "b'\"; --", "ünï", "new", "never"])
        assert con.value("SELECT count(*) FROM text_vectors_1") == 4
    assert {text: vector.tobytes() for text, vector in got.items()} == {
        "a": rows[0].tobytes(),
        "b'\"; --": rows[1].tobytes(),
        "ünï": rows[2].tobytes(),
        "new": (-rows[1]).tobytes(),
    }


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, unique=True))
def test_any_text_comes_back_with_its_own_vector(store: Store, texts: list[str]) -> None:
    rows = np.random.default_rng(len(texts)).standard_normal((len(texts), 5), dtype=np.float32)
    with store.writing() as con:
        number = add_encoder(con, ID)
        con.run(f"DELETE FROM text_vectors_{number}")
        remember_texts(con, number, texts, rows)
        got = remembered_texts(con, number, texts)
    assert {text: got[text].tobytes() for text in texts} == {
        text: row.tobytes() for text, row in zip(texts, rows, strict=True)
    }


def test_more_texts_than_are_written_at_a_time(store: Store) -> None:
    texts = [f"text {number}" for number in range(2 * TEXTS_AT_ONCE + 3)]
    rows = np.random.default_rng(1).standard_normal((len(texts), 5), dtype=np.float32)
    with store.writing() as con:
        number = add_encoder(con, ID)
        remember_texts(con, number, texts, rows)
    with store.reading() as con:
        got = remembered_texts(con, number, texts)
        assert con.value(f"SELECT count(*) FROM text_vectors_{number}") == len(texts)
    assert np.array_equal(np.stack([got[text] for text in texts]), rows)


@pytest.mark.parametrize("vector", ["NULL", "[1, 2, NULL, 4, 5]"])
def test_a_vector_with_numbers_missing_is_said(store: Store, vector: str) -> None:
    with store.writing() as con:
        number = add_encoder(con, ID)
        remember_texts(con, number, ["whole"], np.ones((1, 5), np.float32))
        con.run(f"INSERT INTO text_vectors_{number} VALUES ('broken', {vector})")
        assert list(remembered_texts(con, number, ["whole"])) == ["whole"]
        with pytest.raises(StoreCorrupt, match="numbers missing"):
            remembered_texts(con, number, ["whole", "broken"])


def test_bytes_that_are_no_text_are_an_error_of_ours(store: Store) -> None:
    """A word typed in a Latin-1 terminal arrives with a lone surrogate in it."""
    with store.writing() as con:
        number = add_encoder(con, ID)
    with store.reading() as con, pytest.raises(QueryError, match=r"^'caf\\udce9' is not text in UTF-8$"):
        remembered_texts(con, number, ["café", "caf\udce9"])
