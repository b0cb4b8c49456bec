"""The model of an encoder against what the store has of it: its identity, and the texts that it encoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shotdex.models.protocols import SAME_TEXT
from shotdex.models.transformers_encoder import EncoderOptions, load_encoder
from shotdex.store.encoders import add_encoder
from shotdex.store.errors import ModelUnavailable, OptionError
from shotdex.store.store import Store
from shotdex.store.types import EncoderId
from shotdex.store.vectors import remember_texts
from shotdex.upkeep.check_texts import TEXTS, check_models, forget_wrong_texts
from shotdex.upkeep.verify import VerifyOptions, verify
from tests.support.evaluated import change, rows
from tests.support.fakes import FakeEncoder, fake_id

from .stores import VECTOR, whole_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return whole_store(tmp_path / "store")


def test_the_same_model(store: Store) -> None:
    model = FakeEncoder()
    (check,) = check_models(store, lambda _: model)
    assert check.ok
    assert "9 remembered texts encoded again differ by at most 0 (allowed: 0.0001)" in check.text
    assert len(set(model.texts)) == 9


def test_only_some_texts_are_encoded(store: Store) -> None:
    with store.writing() as con:
        texts = [f"text {number}" for number in range(50)]
        remember_texts(con, 1, texts, FakeEncoder().encode_texts(texts))
    model = FakeEncoder()
    assert check_models(store, lambda _: model)[0].ok
    assert len(model.texts) == TEXTS


def test_no_texts(store: Store) -> None:
    change(store, "DELETE FROM text_vectors_1")
    (check,) = check_models(store, lambda _: FakeEncoder())
    assert (check.ok, check.text[-28:]) == (True, "no text is remembered to try")


@pytest.mark.parametrize("changed", [{"weights": "9" * 64}, {"preprocessing_sha256": "9" * 64}])
def test_another_model(store: Store, changed: dict[str, str]) -> None:
    def load(_: EncoderId) -> FakeEncoder:
        return FakeEncoder(fake_id(**changed))

    (check,) = check_models(store, load)
    assert not check.ok
    assert "changed since these images were indexed" in check.text
    assert "--model fake" in check.hint
    assert forget_wrong_texts(store, load) == [], "another model says nothing about these texts"


def test_a_model_that_is_not_there(store: Store) -> None:
    def load(_: EncoderId) -> FakeEncoder:
        raise ModelUnavailable("fake cannot be found", "download it")

    (check,) = check_models(store, load)
    assert (check.ok, check.text, check.hint) == (False, "fake cannot be found", "download it")
    assert forget_wrong_texts(store, load) == []


def test_a_wrong_device_is_the_users_error(store: Store) -> None:
    def load(_: EncoderId) -> FakeEncoder:
        raise OptionError("there is no device 'cuda' here")

    with pytest.raises(OptionError):
        verify(store.root, VerifyOptions(load=load))


def test_texts_with_other_vectors_are_forgotten(store: Store) -> None:
    """Of length 1 and finite, so that only the model can tell."""
    change(store, f"UPDATE text_vectors_1 SET vector = {VECTOR.format('-vector[i + 1]')} WHERE text IN ('red', 'navy')")
    wanted = VerifyOptions(load=lambda _: FakeEncoder())
    found = {check.name: check for check in verify(store.root, wanted).checks if not check.ok}
    assert list(found) == ["model of encoder 1"]
    check = found["model of encoder 1"]
    assert check.text.startswith("2 of 9 remembered texts get other vectors now (such as '")
    assert "--repair --model-check" in check.hint
    after = verify(store.root, VerifyOptions(repair=True, load=wanted.load))
    assert after.whole
    assert after.done == ("forgot remembered texts with other vectors than the model of encoder 1: 2",)
    assert {row[0] for row in rows(store, "SELECT text FROM text_vectors_1")}.isdisjoint({"red", "navy"})
    assert rows(store, "SELECT count(*) FROM text_vectors_1") == [(7,)]


def test_every_encoder(store: Store) -> None:
    with store.writing() as con:
        add_encoder(con, fake_id("other", "2" * 64))
    checks = check_models(store, FakeEncoder)
    assert [(check.name, check.ok) for check in checks] == [("model of encoder 1", True), ("model of encoder 2", True)]


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_the_tolerance_is_above_what_a_batch_does_to_a_text(demo_model: Path, precision: str) -> None:
    """The last bits depend on what shares a batch; two texts differ by much more."""
    model = load_encoder(str(demo_model), EncoderOptions("cpu", precision))
    texts = [
        "a dog",
        "cat",
        "a photo of a very large red airplane in the sky over the sea",
        "hat",
        "x",
        "a b c d e f g",
    ]
    together = model.encode_texts(texts)
    alone = np.concatenate([model.encode_texts([text]) for text in texts])
    allowed = SAME_TEXT[model.id.precision]
    assert np.abs(together - alone).max() < allowed / 5
    assert min(np.abs(together[0] - row).max() for row in together[1:]) > allowed * 5
