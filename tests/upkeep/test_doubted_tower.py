"""What a text tower with a flipped bit may have encoded is forgotten with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import shotdex
from tests.support.evaluated import save_noisy_colour


@pytest.fixture
def store(tmp_path: Path) -> shotdex.Session:
    for number in range(2):
        save_noisy_colour(tmp_path / "p" / f"{number}.png", "red", 0.5, number)
    store = shotdex.open(tmp_path / "store", create=True)
    store.index(tmp_path / "p", model="demo")
    return store


def test_texts_go_with_the_tower(store: shotdex.Session) -> None:
    store.search("a duck")
    tower = next(store.path.glob("index/text-*.safetensors"))
    data = bytearray(tower.read_bytes())
    data[-100] ^= 1
    tower.write_bytes(bytes(data))
    remembered = "SELECT count(*) AS n FROM text_vectors_1"
    assert store.sql(remembered).to_dicts()[0]["n"] > 0
    assert not all(check.ok for check in store.verify())
    assert all(check.ok for check in store.verify(repair=True))
    assert store.sql(remembered).to_dicts() == [{"n": 0}]
    shutil.rmtree(store.path)
