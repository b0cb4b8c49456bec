"""Searching: exact, best first, ties by id, filters that only take away."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shotdex.query.search import search
from shotdex.query.sql import Rows, run_statements
from shotdex.store import opening
from shotdex.store.errors import (
    BadSql,
    EmptyQuery,
    EmptyStore,
    EncoderMismatch,
    ModelOutputInvalid,
    OptionError,
    UnreadableImage,
)
from shotdex.store.queries import Hit, Part, Query
from shotdex.store.store import Store
from shotdex.store.types import EncoderId, Vectors
from tests.conftest import COLOURS, index, save_colours
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.images import save_noise
from tests.support.orders import NEAR, disorder, image_part


def run_sql(store: Store, sql: str) -> Rows:
    """Return the rows of the last statement."""
    return run_statements(store, sql)[-1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ten images of `colours`, twenty of `noise`, and the `store` of them."""
    folder = tmp_path_factory.mktemp("filled")
    store, fake = Store.create(folder / "store"), FakeEncoder()
    index(store, save_colours(folder / "colours"), fake, "{condition}/{category}*", COLOURS)
    for i in range(20):
        save_noise(folder / "noise" / f"{i:02}.png", seed=i)
    index(store, folder / "noise", fake, "*")
    return folder


@pytest.fixture
def filled(made: Path, tmp_path: Path) -> Store:
    """A copy of the store, to be changed; its images stay where they are."""
    shutil.copytree(made / "store", tmp_path / "filled")
    return Store(tmp_path / "filled")


def ask(store: Store, *texts: str | Part, encoder: Any = None, model: str | None = None, **how: Any) -> list[Hit]:
    return search(store, Query(texts, **how), lambda _: encoder or FakeEncoder(), model).hits


def check(store: Store, hits: list[Hit], vector: np.ndarray, k: int, where: str = "true") -> None:
    """Compare an answer with the products in float64 of what the catalog holds."""
    with store.reading() as con:
        rows = con.rows(f"SELECT image_id, joint FROM vectors_1 SEMI JOIN (FROM images WHERE {where}) USING (image_id)")
    ids, vectors = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.float32)
    assert disorder([hit.image_id for hit in hits], ids, vectors, vector, k) == ""
    products = dict(zip(ids.tolist(), vectors.astype(np.float64) @ vector, strict=True))
    assert [hit.cosine for hit in hits] == pytest.approx([products[hit.image_id] for hit in hits], abs=NEAR)


def test_best_first_and_ties_by_id(filled: Store) -> None:
    hits = ask(filled, "red", k=30)
    check(filled, hits, FakeEncoder().encode_texts(["red"])[0], 30)
    assert [hit.rank for hit in hits] == list(range(1, 31))
    assert [(Path(hit.path).parts[-2:], hit.category, hit.condition) for hit in hits[:2]] == [
        (("plain", "Red0.png"), "red", "plain"),
        (("wide", "Red0.png"), "red", "wide"),
    ]
    assert hits[0].cosine == pytest.approx(1, abs=1e-6)
    assert hits[0].image_id < hits[1].image_id


def test_more_than_there_are(filled: Store) -> None:
    assert len(ask(filled, "red", k=1000)) == 30


def test_filters(filled: Store) -> None:
    hits = ask(filled, "red", k=3, where="condition = 'wide'")
    check(filled, hits, FakeEncoder().encode_texts(["red"])[0], 3, "condition = 'wide'")
    assert ask(filled, "red", where="false") == []
    assert len(ask(filled, "red", where="condition = 'wide'", k=50)) == 5
    with pytest.raises(BadSql, match="nonsense"):
        ask(filled, "red", where="nonsense = 1")


def test_a_image_finds_itself(filled: Store, made: Path) -> None:
    for name in ("03.png", "17.png"):
        hits = ask(filled, image_part(made / "noise" / name), k=3, with_itself=True)
        assert (Path(hits[0].path).name, hits[0].cosine) == (name, pytest.approx(1, abs=1e-6))
        assert hits[1].cosine < 0.9999


def test_texts_and_images_are_averaged(filled: Store, made: Path) -> None:
    from shotdex.media.open_image import open_image

    encoder, path = FakeEncoder(), str(made / "noise" / "05.png")
    vector = encoder.encode_texts(["red"])[0] + encoder.encode_images([open_image(path)])[0]
    hits = ask(filled, "red", image_part(path), k=10, with_itself=True)
    check(filled, hits, vector.astype(np.float64) / np.linalg.norm(vector), 10)


def test_a_text_met_before_needs_no_model(filled: Store) -> None:
    def no_model(_: EncoderId) -> Any:
        raise AssertionError("the model was asked for")

    first = ask(filled, "red")
    assert search(filled, Query(("red",)), no_model).hits == first


class AtHand:
    """Loads a model, and has the vectors of some texts without doing so."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.loaded = 0

    def at_hand(self, _: EncoderId, texts: Sequence[str]) -> Vectors | None:
        return FakeEncoder().encode_texts(texts) if set(texts) <= set(self.texts) else None

    def __call__(self, _: EncoderId) -> FakeEncoder:
        self.loaded += 1
        return FakeEncoder()


def test_texts_at_hand_need_no_model_and_two_openings_of_the_catalog(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, load, opened = ("red", "green", "red"), AtHand("red", "green"), []
    want = search(filled, Query((*texts, "blue")), lambda _: FakeEncoder()).hits
    with filled.writing() as con:
        con.run("DELETE FROM text_vectors_1 WHERE text <> 'blue'")
    for name, reads in (("to_read", True), ("to_write", False)):
        found = getattr(opening, name)

        def counted(*arguments: Any, _found: Any = found, _reads: bool = reads, **named: Any) -> Any:
            opened.append(_reads)
            return _found(*arguments, **named)

        monkeypatch.setattr(opening, name, counted)
    assert search(filled, Query((*texts, "blue")), load).hits == want
    assert opened == [True, False], "read once; what is new is remembered"
    assert search(filled, Query((*texts, "blue")), load).hits == want
    assert opened == [True, False, True]
    assert load.loaded == 0
    with filled.reading() as con:
        assert con.rows("SELECT text FROM text_vectors_1 ORDER BY text") == [("blue",), ("green",), ("red",)]


def test_what_is_not_at_hand_is_asked_of_the_model(filled: Store) -> None:
    load = AtHand("red")
    assert search(filled, Query(("red", "green")), load).hits == ask(filled, "red", "green")
    assert load.loaded == 1


def test_questions_that_ask_nothing(filled: Store, tmp_path: Path) -> None:
    for texts in ((), ("",), (" \n",)):
        with pytest.raises(EmptyQuery):
            ask(filled, *texts)
    with pytest.raises(OptionError):
        ask(filled, "red", k=0)
    with pytest.raises(UnreadableImage, match="gone"):
        ask(filled, image_part(tmp_path / "gone.png"))


def test_an_empty_store(store: Store) -> None:
    with pytest.raises(EmptyStore) as caught:
        ask(store, "red")
    assert "shotdex index" in caught.value.hint


def test_a_model_whose_files_changed_is_refused(filled: Store) -> None:
    other = FakeEncoder(fake_id(weights="9" * 64))
    with pytest.raises(EncoderMismatch, match="changed since") as caught:
        ask(filled, "a new text", encoder=other)
    assert "shotdex index" in caught.value.hint


def test_several_encoders_need_a_name(filled: Store, made: Path) -> None:
    other = FakeEncoder(fake_id("org/other", weights="9" * 64))
    index(filled, made / "colours", other, "{condition}/{category}*", COLOURS)
    with pytest.raises(OptionError, match="several encoders") as caught:
        ask(filled, "red")
    assert "--model" in caught.value.hint
    assert len(ask(filled, "red", encoder=other, model="other", k=99)) == 10
    assert len(ask(filled, "red", model="1", k=99)) == 30
    with pytest.raises(EncoderMismatch, match="third"):
        ask(filled, "red", model="third")


def test_a_number_is_an_encoder_s_number_whatever_is_called_so(filled: Store, made: Path) -> None:
    other = FakeEncoder(fake_id("org/1", weights="9" * 64))
    index(filled, made / "colours", other, "{condition}/{category}*", COLOURS)
    assert len(ask(filled, "red", model="1", k=99)) == 30
    assert len(ask(filled, "red", encoder=other, model="2", k=99)) == 10


def test_removed_images_are_not_found(filled: Store, fake: FakeEncoder, made: Path, tmp_path: Path) -> None:
    removed = (made / "colours" / "plain" / "Red0.png").rename(tmp_path / "Red0.png")
    try:
        index(filled, made / "colours", fake, "{condition}/{category}*", COLOURS)
    finally:
        removed.rename(made / "colours" / "plain" / "Red0.png")
    assert Path(ask(filled, "red")[0].path).parts[-2:] == ("wide", "Red0.png")
    assert len(ask(filled, "red", k=99)) == 29


def test_a_question_that_cancels_itself_out_is_an_error_not_a_crash(filled: Store) -> None:
    class Opposite(FakeEncoder):
        def encode_texts(self, texts: Any) -> Any:
            return np.stack([np.eye(12, dtype=np.float32)[0] * (1 if text == "plus" else -1) for text in texts])

    with pytest.raises(EmptyQuery):
        ask(filled, "plus", "minus", encoder=Opposite())


class TestSql:
    """SQL by the user."""

    def test_columns_and_rows(self, filled: Store) -> None:
        answer = run_sql(filled, "SELECT category, count(*) AS n FROM images GROUP BY ALL ORDER BY ALL LIMIT 2")
        assert answer.columns == ("category", "n")
        assert answer.rows == (("blue", 2), ("green", 2))
        assert answer.records() == [{"category": "blue", "n": 2}, {"category": "green", "n": 2}]

    @pytest.mark.parametrize(
        "statement", ["", " ; ", "-- only a comment", "SELECT", "SELEC 1", "FROM nothing", "SELECT $x", "SELECT ?"]
    )
    def test_what_is_no_statement(self, filled: Store, statement: str) -> None:
        with pytest.raises(BadSql) as caught:
            run_sql(filled, statement)
        assert caught.value.hint

    @pytest.mark.parametrize(
        "statement",
        [
            "SHOW TABLES",
            "DESCRIBE images",
            "EXPLAIN SELECT 1",
            "SELECT now()",
            "SELECT 1; SELECT 2 AS b",
            "SUMMARIZE images",
        ],
    )
    def test_statements_that_work(self, filled: Store, statement: str) -> None:
        assert len(run_sql(filled, statement).columns) >= 1

    def test_nothing_of_the_program_shows(self, filled: Store) -> None:
        with pytest.raises(BadSql):
            run_sql(filled, "SELECT * FROM answer_rows_that_do_not_exist")
        for name in ("statement", "store", "con", "rows", "self"):
            with pytest.raises(BadSql):
                run_sql(filled, f"SELECT * FROM {name}")


def test_a_image_that_the_model_gives_no_number_for_finds_nothing(filled: Store, tmp_path: Path) -> None:
    save_noise(tmp_path / "new.png", seed=99)
    with pytest.raises(ModelOutputInvalid, match="not finite"):
        ask(filled, image_part(tmp_path / "new.png"), encoder=FakeEncoder(spoil=lambda _: True))


def test_threads_that_ask_and_remember_at_once(filled: Store) -> None:
    """DuckDB opens a catalog either for reading or for writing in one process, too: one waits for the other."""

    def work(number: int) -> list[list[Hit]]:
        store = Store.open(filled.root)
        return [ask(store, f"text {number} {i}", k=3) for i in range(8)]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(work, range(2)))
    assert found == [[ask(filled, f"text {number} {i}", k=3) for i in range(8)] for number in range(2)]


class Spoiled(FakeEncoder):
    """Gives a NaN in the vectors of texts and images."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        vectors = super().encode_texts(texts)
        vectors[0, 0] = np.nan
        return vectors


def test_a_text_vector_that_is_not_finite_is_refused_and_not_remembered(filled: Store) -> None:
    for spoil in (np.nan, np.inf):

        class AtOnce(AtHand):
            def at_hand(self, identity: EncoderId, texts: Sequence[str], spoil: float = spoil) -> Vectors | None:
                found = super().at_hand(identity, texts)
                return None if found is None else found * spoil

            def __call__(self, _: EncoderId) -> FakeEncoder:
                return Spoiled()

        for load in (lambda _: Spoiled(), AtOnce("red", "green")):
            with pytest.raises(ModelOutputInvalid, match="not finite"):
                search(filled, Query(("red", "green")), load)
    with filled.reading() as con:
        assert con.rows("SELECT count(*) FROM text_vectors_1") == [(0,)]


def test_a_remembered_vector_that_is_not_finite_is_made_again(filled: Store) -> None:
    want = search(filled, Query(("red",)), lambda _: FakeEncoder()).hits
    with filled.writing() as con:
        con.run("UPDATE text_vectors_1 SET vector = list_transform(vector, lambda x: 'nan'::FLOAT)::FLOAT[12]")
    assert search(filled, Query(("red",)), lambda _: FakeEncoder()).hits == want
