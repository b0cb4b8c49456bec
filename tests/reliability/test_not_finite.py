"""NaN and infinity in the vector of an image or a text: every command refuses it, and nothing remembers it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from PIL import Image

import shotdex
from shotdex.errors import ModelOutputInvalid, StoreCorrupt
from shotdex.store.types import Vectors
from tests.conftest import index
from tests.support.evaluated import save_noisy_colour
from tests.support.fakes import FakeEncoder

COLOURS = ("red", "green", "blue")


class NanEncoder(FakeEncoder):
    """Has no number for any text or image."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        return super().encode_texts(texts) * np.float32("nan")

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        return super().encode_images(images) * np.float32("inf")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finite")
    for number in range(12):
        colour = COLOURS[number % 3]
        save_noisy_colour(folder / "p" / colour / f"{number}.png", colour, 0.5, number)
    with shotdex.open(folder / "store", create=True) as session:
        index(session.store, folder / "p", FakeEncoder(), "{category}/*")
        session.encoders.add(FakeEncoder())
        session.classify(name="first")
    return folder


def opened(made: Path, tmp_path: Path, sql: str, encoder: FakeEncoder | None = None) -> shotdex.Session:
    """Return a session on a copy of the store that was changed behind its back."""
    shutil.copytree(made / "store", tmp_path / "store")
    with duckdb.connect(str(tmp_path / "store" / "catalog.duckdb")) as con:
        con.execute(sql)
    session = shotdex.open(tmp_path / "store")
    session.encoders.add(encoder or FakeEncoder())
    return session


def spoiled(value: str, of: str = "image_id = 3") -> str:
    number = f"CASE WHEN i = 2 THEN '{value}'::FLOAT ELSE {{0}}[i + 1] END"
    parts = (f"{name} = [{number.format(name)} FOR i IN range(len({name}))]" for name in ("joint", "vision"))
    return f"UPDATE vectors_1 SET {', '.join(parts)} WHERE {of}"


COMMANDS: dict[str, Callable[[shotdex.Session], Any]] = {
    "classify": lambda session: session.classify(name="second"),
    "sweep": lambda session: session.sweep_prompts(["{}", "a {}"]),
    "probe": lambda session: session.probe(few_shot=(1,)),
    "duplicates": lambda session: session.duplicates(),
    "duplicates in the vision space": lambda session: session.duplicates(space="vision"),
    "map": lambda session: session.plot.map(),
    "vectors": lambda session: session.vectors(),
    "rerun": lambda session: session.rerun("first"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("value", ["nan", "-inf"])
def test_images(made: Path, tmp_path: Path, command: str, value: str) -> None:
    session = opened(made, tmp_path, spoiled(value))
    with pytest.raises(StoreCorrupt, match="the vectors of 1 images hold NaN, infinity") as caught:
        COMMANDS[command](session)
    assert "verify --repair" in caught.value.hint
    assert [run.name for run in session.runs()] == ["first"]
    assert session.sql("SELECT count(*) AS n FROM projections").to_dicts() == [{"n": 0}]


def test_a_search_leaves_the_image_out(made: Path, tmp_path: Path) -> None:
    session = opened(made, tmp_path, spoiled("nan"))
    for path in (session.path / "index").glob("*.faiss"):
        path.unlink()
    found = session.search("red", k=12)
    assert len(found) == 11 and all(np.isfinite(hit.cosine) for hit in found)


def test_texts_that_are_remembered(made: Path, tmp_path: Path) -> None:
    """They are encoded again, and every answer is what it was."""
    session = opened(made, tmp_path, "UPDATE text_vectors_1 SET vector = ['nan'::FLOAT FOR x IN vector]")
    assert session.rerun("first").identical
    assert session.classify(name="second").accuracy().value == session.run("first").accuracy().value
    assert np.isfinite(session.search("red")[0].cosine)


REFUSED: dict[str, Callable[[shotdex.Session, Path], Any]] = {
    "search": lambda session, _: session.search("a text that is new"),
    "search by image": lambda session, folder: session.search(
        image=save_noisy_colour(folder / "new.png", "red", 0.5, 99)
    ),
    "classify": lambda session, _: session.classify(templates=["the {}"], name="second"),
    "sweep": lambda session, _: session.sweep_prompts(["the {}", "a {}"]),
    "rerun": lambda session, _: session.rerun("first"),
}


@pytest.mark.parametrize("command", REFUSED)
def test_a_model_that_answers_with_nan(made: Path, tmp_path: Path, command: str) -> None:
    session = opened(made, tmp_path, "SELECT 1", NanEncoder())
    before = session.sql("SELECT count(*) AS n FROM text_vectors_1").to_dicts()
    with pytest.raises(ModelOutputInvalid, match="not finite"):
        REFUSED[command](session, made)
    assert session.sql("SELECT count(*) AS n FROM text_vectors_1").to_dicts() == before
    assert [run.name for run in session.runs()] == ["first"]


def test_a_rerun_does_not_ask_the_memory_that_was_wrong(made: Path, tmp_path: Path) -> None:
    """The vectors that are remembered are finite and of length 1, but another text's."""
    other = "(SELECT vector FROM text_vectors_1 WHERE text = 'blue')"
    session = opened(made, tmp_path, f"UPDATE text_vectors_1 SET vector = {other} WHERE text = 'red'")
    found = session.rerun("first", name="again")
    assert found.identical and found.changes[0].startswith("the text vectors, by up to")
    assert session.run("again").accuracy().value == session.run("first").accuracy().value
