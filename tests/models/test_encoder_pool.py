"""New texts are answered by the kept text tower, and by the model where there is none: the same answer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shotdex.models import transformers_encoder
from shotdex.models.encoder_pool import EncoderPool, ModelOptions
from shotdex.store.encoders import add_encoder
from shotdex.store.errors import EncoderMismatch, ModelUnavailable
from shotdex.store.store import Store
from shotdex.store.types import EncoderId
from tests.conftest import Ran
from tests.support.fakes import FakeEncoder
from tests.support.images import noise
from tests.support.models import save_random_clip
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
        assert shotdex("classify", "--classes", "red,blue", "--template", "a {} thing", "--store", indexed).status == 0
    tower = next((indexed / "index").glob("text-*"))
    size = tower.stat().st_size
    tower.unlink()
    again = ("search", "a green hat ", "--json", "--store", indexed)  # another text to the store, the same to the model
    assert hits(shotdex(*again)) == pytest.approx(quick, abs=1e-5)
    assert tower.stat().st_size == size, "kept again"


def test_a_new_text_imports_neither_torch_nor_transformers(indexed: Path) -> None:
    text, imported = probe("search", "never asked before", "-k", "1", "--format", "paths", "--store", indexed)
    assert text.endswith(".png\n")
    assert imported == ["faiss", "duckdb"]


def test_verify_finds_a_broken_one_and_takes_it_away(
    indexed: Path, shotdex: Shotdex, caplog: pytest.LogCaptureFixture
) -> None:
    tower = next((indexed / "index").glob("text-*"))
    assert f"{tower.name} is whole" in shotdex("verify", "--store", indexed).out
    data = bytearray(tower.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    _, end = json.loads(data[8:start])["embeddings.token_embedding.weight"]["data_offsets"]
    data[start + end - 2] ^= 1  # of a word that the known text does not have
    tower.write_bytes(data)
    assert shotdex("search", "a blue cup", "--store", indexed).status == 0
    assert "is not used: its bytes changed" in caplog.text
    broken = shotdex("verify", "--store", indexed)
    assert broken.status == 1
    assert "its bytes changed since it was made" in broken.out
    repaired = shotdex("verify", "--repair", "--store", indexed)
    assert repaired.status == 0, repaired.out
    assert not tower.exists()
    assert shotdex("search", "a red cup", "--store", indexed).status == 0
    assert tower.exists()


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that were loaded, in order."""
    names: list[str] = []
    real = transformers_encoder.load_encoder

    def load(name: str, *how: Any) -> Any:
        names.append(name)
        return real(name, *how)

    monkeypatch.setattr(transformers_encoder, "load_encoder", load)
    return names


class TestPool:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return save_random_clip(tmp_path / "model", seed=3)

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return Store.create(tmp_path / "store")

    @pytest.fixture
    def known(self, store: Store, folder: Path) -> EncoderId:
        """The identity of the model in `folder`, on record in `store`."""
        identity = transformers_encoder.load_encoder(str(folder)).id
        with store.writing() as con:
            add_encoder(con, identity)
        return identity

    def test_eight_threads_load_one_model(self, store: Store, known: EncoderId, loads: list[str]) -> None:
        pool, images = EncoderPool(store, "cpu"), [noise(seed=1), noise(seed=2)]
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: pool(known).encode_images(images), range(8)))
            texts = list(threads.map(lambda n: pool(known).encode_texts([f"text {n % 2}", "one more"]), range(16)))
        assert loads == [known.name]
        assert all(np.array_equal(vectors, found[0]) for vectors in found)
        for number, vectors in enumerate(texts):
            np.testing.assert_allclose(vectors, texts[number % 2], atol=1e-6)

    def test_a_text_after_its_tower_was_kept_needs_no_model(self, store: Store, known: EncoderId) -> None:
        pool = EncoderPool(store, "cpu")
        assert pool.at_hand(known, ["a dog"]) is None, "no tower is kept yet"
        asked = pool(known).encode_texts(["a dog"])
        found = pool.at_hand(known, ["a dog"])
        assert found is not None
        np.testing.assert_allclose(found, asked, atol=1e-5)
        assert pool.at_hand(known, []) is None
        assert pool.at_hand(known, ["x"] * 2000) is None, "so many are the model's"
        assert pool.at_hand(known, ["a dog"]) is not None

    def test_one_that_was_added_is_used_and_nothing_loaded(self, store: Store, loads: list[str]) -> None:
        mine, pool = FakeEncoder(), EncoderPool(store, "cpu")
        pool.add(mine)
        assert pool(mine.id) is pool.model(mine.id) is mine
        assert pool.at_hand(mine.id, ["a dog"]) is None
        named = pool.for_indexing(ModelOptions(model=mine.id.name), loads.append)
        assert named.encoder() is mine
        assert named.identity() == (None, mine.id)
        with store.writing() as con:
            add_encoder(con, mine.id)
        chosen = pool.for_indexing(ModelOptions(), loads.append)
        assert chosen.stored == mine.id
        assert np.array_equal(chosen.encoder().encode_texts(["a dog"]), mine.encode_texts(["a dog"]))
        pool.keep_texts(mine.id)
        assert loads == []
        assert list(store.index_folder.iterdir()) == [], "it has no text tower that could be kept"

    def test_named_twice_it_is_loaded_once_and_again_after_its_files_changed(
        self, store: Store, folder: Path, loads: list[str], tmp_path: Path
    ) -> None:
        pool, said = EncoderPool(store, "cpu"), []
        options = ModelOptions(model=str(folder))
        first = pool.for_indexing(options, said.append).load()
        assert pool.for_indexing(options, said.append).load() is first
        assert pool.model(first.id) is first
        assert (loads, said) == ([str(folder)], [f"loading {folder}"])
        for file in save_random_clip(tmp_path / "other", seed=4).iterdir():
            shutil.copy(file, folder)
        second = pool.for_indexing(options, said.append).load()
        assert second.id.key() != first.id.key()
        assert loads == [str(folder)] * 2
        with pytest.raises(EncoderMismatch, match="changed since these images were indexed"):
            pool(first.id).encode_images([noise(seed=1)])
        np.testing.assert_array_equal(
            pool(second.id).encode_images([noise(seed=1)]), second.encode_images([noise(seed=1)])
        )

    def test_the_stores_own_is_refused_when_its_files_changed(
        self, store: Store, known: EncoderId, folder: Path, tmp_path: Path
    ) -> None:
        for file in save_random_clip(tmp_path / "other", seed=4).iterdir():
            shutil.copy(file, folder)
        chosen = EncoderPool(store, "cpu").for_indexing(ModelOptions(), print).encoder()
        with pytest.raises(EncoderMismatch, match="the model of that name is now"):
            chosen.prepare(noise(seed=1))

    def test_named_it_is_loaded_only_when_needed_while_its_files_are_as_they_were(
        self, store: Store, known: EncoderId, folder: Path, loads: list[str], tmp_path: Path
    ) -> None:
        def chosen(**how: Any) -> Any:
            return EncoderPool(store, "cpu").for_indexing(ModelOptions(str(folder), **how), lambda _: None)

        loads.clear()
        assert chosen().stored is None, "nothing is known of its files yet"
        pool = EncoderPool(store, "cpu")
        pool.for_indexing(ModelOptions(str(folder)), lambda _: None).encoder()
        pool.keep_texts(known)
        assert loads == [str(folder)]
        assert chosen().encoder().id == chosen(precision="auto").encoder().id == known
        assert chosen(precision="bf16").stored is None
        assert loads == [str(folder)]
        assert chosen().encoder().encode_images([noise(seed=1)]).shape == (1, known.dim)
        with store.writing() as con:
            con.run("UPDATE encoders SET weights_sha256 = 'other'")  # as where a library reads the same files otherwise
        with pytest.raises(EncoderMismatch, match="the model of that name is now"):
            chosen().encoder().prepare(noise(seed=1))
        assert chosen().encoder().id == known, "named once more it is added alongside"
        for file in save_random_clip(tmp_path / "other", seed=4).iterdir():
            shutil.copy(file, folder)
        assert chosen().stored is None

    def test_what_was_measured_is_the_model_of_its_identity(self, store: Store, folder: Path, loads: list[str]) -> None:
        pool, said = EncoderPool(store, "cpu"), []
        found = pool.for_indexing(ModelOptions(str(folder), precision="auto"), said.append, lambda: []).load()
        assert [line.split()[0] for line in said] == ["loading", "precision"]
        assert pool.model(found.id) is found
        assert loads == [str(folder)]

    def test_closed_it_loads_again(self, store: Store, known: EncoderId, loads: list[str]) -> None:
        pool = EncoderPool(store, "cpu")
        first = pool.model(known)
        pool.close()
        assert pool.model(known) is not first
        assert len(loads) == 2
