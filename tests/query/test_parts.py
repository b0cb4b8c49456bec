"""Queries of several parts: how words are read, and that the hits are those of a sum in float64."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotdex.query.parts import parse
from shotdex.query.search import Searcher, search
from shotdex.store.errors import EmptyQuery, OptionError, QueryError
from shotdex.store.queries import Hit, Part, PartKind, Query
from shotdex.store.store import Store
from shotdex.store.types import Space
from tests.conftest import index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_noise
from tests.support.orders import NEAR, image_part

IMAGES = 40


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Path]:
    """Images of noise with the ids 1 to 40, the last of which are two copies of the first."""
    folder = tmp_path_factory.mktemp("noise")
    for i in range(IMAGES):
        save_noise(folder / "images" / f"{i:02}.png", seed=i if i < IMAGES - 2 else 0)
    store = Store.create(folder / "store")
    index(store, folder / "images", FakeEncoder(), "*")
    return store, folder / "images"


def no_model(_: Any) -> Any:
    raise AssertionError("the model was asked for")


def ask(store: Store, *parts: str | Part, load: Any = lambda _: FakeEncoder(), **how: Any) -> list[Hit]:
    return search(store, Query(parts, **how), load).hits


def stored(store: Store, space: str = "joint") -> np.ndarray:
    with store.reading() as con:
        rows = con.rows(f"SELECT {space} FROM vectors_1 ORDER BY image_id")
    vectors = np.array([row[0] for row in rows], np.float64)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


WEIGHTS = st.floats(0.05, 8).flatmap(lambda weight: st.sampled_from([weight, -weight, 1.0, -1.0]))
WORDS = ("red", "green", "blue", "a dog", "a zoo", "stripes", "horse")
TEXTS = st.sampled_from(WORDS)
PARTS = st.one_of(
    st.builds(Part, TEXTS, st.just(PartKind.TEXT), WEIGHTS),
    st.builds(Part, st.integers(1, IMAGES), st.just(PartKind.LIKE), WEIGHTS),
)


def test_weighted_sums_rank_as_in_float64(noise: tuple[Store, Path]) -> None:
    store, _ = noise
    searcher, vectors = Searcher(store), stored(store)
    searcher.search(Query(WORDS), lambda _: FakeEncoder())  # which remembers them, so that what follows only reads

    @settings(max_examples=200)
    @given(st.lists(PARTS, min_size=1, max_size=4), st.booleans())
    def check(parts: list[Part], least: bool) -> None:
        total = sum(
            part.weight * (vectors[int(part.value) - 1] if part.kind is PartKind.LIKE else _text(str(part.value)))
            for part in parts
        )
        assert isinstance(total, np.ndarray)
        if np.linalg.norm(total) < 1e-5 * sum(abs(part.weight) for part in parts):
            return
        scores = vectors @ (total / np.linalg.norm(total))
        query = Query(tuple(parts), k=IMAGES, with_itself=True, least=least)
        hits = searcher.search(query, lambda _: FakeEncoder()).hits
        assert [hit.cosine for hit in hits] == pytest.approx(sorted(scores, reverse=not least), abs=NEAR)
        assert [hit.cosine for hit in hits] == pytest.approx([scores[hit.image_id - 1] for hit in hits], abs=NEAR)
        z = (scores - scores.mean()) / scores.std()
        assert [hit.z for hit in hits] == pytest.approx([z[hit.image_id - 1] for hit in hits], abs=1e-4)

    with store.reading():  # once for all: to open the catalog takes longer than a search
        check()


def _text(text: str) -> np.ndarray:
    return np.asarray(FakeEncoder().encode_texts([text])[0], np.float64)


def test_how_words_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my pool.jpg").touch()
    (tmp_path / "dog").mkdir()
    cases: dict[tuple[str, ...], list[Part]] = {
        ("a", "dog", "on", "grass"): [Part("a dog on grass")],
        ("horse", "+", "stripes", "-", "a zoo"): [Part("horse"), Part("stripes"), Part("a zoo", weight=-1)],
        ("a big", "horse", "-", "a", "zoo"): [Part("a big horse"), Part("a zoo", weight=-1)],
        ("dog - grass",): [Part("dog - grass")],
        ("dog", "\u2212", "grass"): [Part("dog"), Part("grass", weight=-1)],
        ("-", "a", "zoo"): [Part("a zoo", weight=-1)],
        ("2:golden", "retriever", "+", "./pool.jpg"): [
            Part("golden retriever", weight=2),
            Part("./pool.jpg", PartKind.IMAGE),
        ],
        (".5:#12", "-", "0.25:dog"): [Part(12, PartKind.LIKE, 0.5), Part("dog", weight=-0.25)],
        ("16:9 photo",): [Part("16:9 photo")],
        ("a train at 10:30",): [Part("a train at 10:30")],
        ("\u22121:dog",): [Part("dog", weight=-1)],
        ("my pool.jpg",): [Part("my pool.jpg", PartKind.IMAGE)],
        ("a pool.jpg in a text",): [Part("a pool.jpg in a text")],
        ("a.jpg", "b.PNG"): [Part("a.jpg", PartKind.IMAGE), Part("b.PNG", PartKind.IMAGE)],
        ("http://host/x.jpg", "+", "dog"): [Part("http://host/x.jpg", PartKind.IMAGE), Part("dog")],
        ("dog",): [Part("dog")],
        ("#dog", "t-shirt"): [Part("#dog t-shirt")],
        ("", " "): [],
    }
    for words, parts in cases.items():
        assert parse(words) == parts, words


@pytest.mark.parametrize("words", [("+",), ("dog", "+"), ("dog", "+", "-", "cat"), ("-", "")])
def test_signs_without_a_part(words: tuple[str, ...]) -> None:
    with pytest.raises(EmptyQuery):
        parse(words)


@pytest.mark.parametrize("weight", [0.0, 1e9, float("nan"), float("inf")])
def test_weights_that_mean_nothing(noise: tuple[Store, Path], weight: float) -> None:
    with pytest.raises(OptionError, match="weight"):
        ask(noise[0], Part("red", weight=weight))


def test_parts_that_cancel_out(noise: tuple[Store, Path]) -> None:
    for parts in (
        [Part("red"), Part("red", weight=-1)],
        [Part(1, PartKind.LIKE, 3), Part(IMAGES, PartKind.LIKE, -1), Part(1, PartKind.LIKE, -2)],
    ):
        with pytest.raises(EmptyQuery, match="cancel"):
            ask(noise[0], *parts)


@pytest.mark.parametrize("space", list(Space))
def test_an_indexed_image_needs_no_model_and_leaves_out_itself_and_its_copies(
    noise: tuple[Store, Path], space: Space
) -> None:
    store, folder = noise
    scores = stored(store, space) @ stored(store, space)[0]
    want = [int(i) + 1 for i in np.argsort(-scores, kind="stable") if i not in (0, IMAGES - 2, IMAGES - 1)][:5]
    data = (folder / "00.png").read_bytes()
    for part in (image_part(folder / "00.png"), Part(data, PartKind.IMAGE), Part(1, PartKind.LIKE)):
        hits = ask(store, part, load=no_model, k=5, space=space)
        assert [hit.image_id for hit in hits] == want
        assert [hit.cosine for hit in hits] == pytest.approx([scores[i - 1] for i in want], abs=NEAR)
        assert hits[0].z == pytest.approx((scores[want[0] - 1] - scores.mean()) / scores.std(), abs=1e-4)
        itself = ask(store, part, load=no_model, k=4, space=space, with_itself=True)
        assert [hit.image_id for hit in itself] == [1, IMAGES - 1, IMAGES, want[0]]


def test_an_image_that_is_not_indexed_in_the_vision_space(noise: tuple[Store, Path], tmp_path: Path) -> None:
    from PIL import Image

    save_noise(tmp_path / "new.png", seed=77)
    encoder = FakeEncoder()
    made = encoder.encode_prepared([encoder.prepare(Image.open(tmp_path / "new.png").convert("RGB"))]).vision[0]
    scores = stored(noise[0], "vision") @ (made.astype(np.float64) / np.linalg.norm(made))
    hits = ask(noise[0], image_part(tmp_path / "new.png"), space=Space.VISION, k=IMAGES)
    assert [hit.cosine for hit in hits] == pytest.approx(sorted(scores, reverse=True), abs=NEAR)
    some = ask(noise[0], Part(3, PartKind.LIKE), space=Space.VISION, k=IMAGES, where="image_id < 10", least=True)
    assert sorted(hit.image_id for hit in some) == [1, 2, 4, 5, 6, 7, 8, 9]
    assert [hit.cosine for hit in some] == sorted(hit.cosine for hit in some)
    with pytest.raises(OptionError, match="vision space"):
        ask(noise[0], "red", space=Space.VISION)


def test_thresholds(noise: tuple[Store, Path]) -> None:
    every = ask(noise[0], "red", k=IMAGES)
    bound = every[7].cosine
    assert ask(noise[0], "red", k=IMAGES, min_score=bound) == every[:8]
    assert ask(noise[0], "red", k=3, min_score=bound) == every[:3]
    assert ask(noise[0], "red", min_score=1.01) == []
    z = every[4].z
    assert z is not None
    assert [hit.rank for hit in ask(noise[0], "red", k=IMAGES, min_z=z - 1e-6)] == [1, 2, 3, 4, 5]
    least = ask(noise[0], "red", k=2, least=True, min_score=bound)
    assert [hit.image_id for hit in least] == [every[7].image_id, every[6].image_id]
    with pytest.raises(OptionError, match="--min-score"):
        ask(noise[0], "red", min_score=float("nan"))
    found = search(noise[0], Query(("red",), k=3, min_score=-1.0), lambda _: FakeEncoder())
    assert "raise -k" in found.notes[0]


def test_one_image_has_no_z(store: Store, tmp_path: Path) -> None:
    save_noise(tmp_path / "one" / "1.png", seed=1)
    index(store, tmp_path / "one", FakeEncoder(), "*")
    assert [hit.z for hit in ask(store, "red")] == [None]
    assert ask(store, "red", min_z=-5.0) == []
    assert ask(store, Part(1, PartKind.LIKE)) == []


def test_ids_that_are_not_there(noise: tuple[Store, Path], store: Store, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="99") as caught:
        ask(noise[0], Part(99, PartKind.LIKE))
    assert "image_id" in caught.value.hint
    for i in range(2):
        save_noise(tmp_path / "two" / f"{i}.png", seed=i)
    index(store, tmp_path / "two", FakeEncoder(), "*")
    (tmp_path / "two" / "0.png").unlink()
    index(store, tmp_path / "two", FakeEncoder(), "*")
    with pytest.raises(QueryError, match="id 1"):
        ask(store, Part(1, PartKind.LIKE))


def test_a_text_with_a_sign_in_it_says_how_to_subtract(noise: tuple[Store, Path]) -> None:
    found = search(noise[0], Query(("dog - tall grass",)), lambda _: FakeEncoder())
    assert "to subtract" in found.notes[0] and "dog - 'tall grass'" in found.notes[0]
    assert search(noise[0], Query(("a t-shirt, -5 degrees",)), lambda _: FakeEncoder()).notes == ()


def test_an_indexed_image_imports_neither_torch_nor_pillow(noise: tuple[Store, Path]) -> None:
    code = (
        "import sys, shotdex; store = shotdex.open(sys.argv[1]); store.search(image=sys.argv[2]);"
        "store.search(image=sys.argv[2], space='vision'); store.search(like=3);"
        "print({'torch', 'transformers', 'PIL'} & set(sys.modules))"
    )
    store, folder = noise
    ran = subprocess.run(
        [sys.executable, "-c", code, str(store.root), str(folder / "00.png")],
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout == "set()\n"
