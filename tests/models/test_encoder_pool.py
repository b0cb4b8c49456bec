"""New texts are answered by the kept text tower, and by the model where there is none: the same answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shotdex.store.errors import ModelUnavailable
from tests.conftest import Ran
from tests.test_packaging import probe

Shotdex = Callable[..., Ran]


@pytest.fixture
def indexed(shotdex: Shotdex, colours: Path, tmp_path: Path) -> Path:
    root = tmp_path / "store"
    assert shotdex("index", colours, "--model", "demo", "--store", root).status == 0
    assert len(list((root / "index").glob("text-*.safetensors"))) == 1, "kept when the encoder is added"
    return root


def hits(ran: Ran) -> dict[str, float]:
    """Return the score of each image; the model sums in another order than the tower, so near ties may change."""
    assert ran.status == 0, ran.err
    found = {hit["path"]: hit["score"] for hit in json.loads(ran.out)}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    return found


def test_no_model_is_loaded_and_the_answer_is_the_models(
    indexed: Path, shotdex: Shotdex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise ModelUnavailable("a model was loaded", "")

    query = ("search", "a green hat", "--json", "--store", indexed)
    with monkeypatch.context() as without_models:
        without_models.setattr("shotdex.models.transformers_encoder.load_encoder", refuse)
        quick = hits(shotdex(*query))
        assert shotdex("classify", "--template", "a {} thing", "--store", indexed).status == 0
    tower = next((indexed / "index").glob("text-*"))
    size = tower.stat().st_size
    tower.unlink()
    again = ("search", "a green hat ", "--json", "--store", indexed)  # another text to the store, the same to the model
    assert hits(shotdex(*again)) == pytest.approx(quick, abs=1e-5)
    assert tower.stat().st_size == size, "kept anew"


def test_a_new_text_imports_neither_torch_nor_transformers(indexed: Path) -> None:
    text, imported = probe("search", "never asked before", "-k", "1", "--format", "paths", "--store", indexed)
    assert text.endswith(".png\n")
    assert imported == ["faiss", "duckdb"]


def test_verify_finds_a_broken_one_and_takes_it_away(indexed: Path, shotdex: Shotdex) -> None:
    tower = next((indexed / "index").glob("text-*"))
    assert f"{tower.name} is whole" in shotdex("verify", "--store", indexed).out
    data = bytearray(tower.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    _, end = json.loads(data[8:start])["embeddings.token_embedding.weight"]["data_offsets"]
    data[start + end - 2] ^= 1  # of a word that the known text does not have, so that opening the file does not notice
    tower.write_bytes(data)
    broken = shotdex("verify", "--store", indexed)
    assert broken.status == 1
    assert "its weights changed since it was made" in broken.out
    mended = shotdex("verify", "--repair", "--store", indexed)
    assert mended.status == 0, mended.out
    assert not tower.exists()
    assert shotdex("search", "a red cup", "--store", indexed).status == 0
    assert tower.exists()
