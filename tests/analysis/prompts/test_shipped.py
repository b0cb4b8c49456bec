"""The prompt sets that ship with the package, and their scores on the model that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shotdex import demo
from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.prompts.build import class_of_label
from shotdex.analysis.prompts.check import check_prompts
from shotdex.analysis.prompts.files import find_prompt_file, read_prompt_file, shipped_files
from shotdex.media.sources.idx import FASHION_MNIST
from shotdex.models.model_files import token_reader
from shotdex.store.errors import OptionError
from shotdex.store.store import Store
from shotdex.store.types import Combine, PromptSet
from tests.conftest import index

DESCRIBED = (
    "A women's T-shirt/top with text on it",
    "A photo of long Trousers",
    "Pullover with long sleeves",
    "Dress",
    "Coat",
    "Sandal with crossed straps",
    "Shirt with short sleeves",
    "Sneaker with laces and details on the side",
    "Bag with long straps and squared-shape",
    "An Ankle boot without laces",
)
"""The descriptive prompts of a coursework notebook, word for word."""

FASHION = ("fashion-mnist-described", "fashion-mnist-many", "fashion-mnist-names", "fashion-mnist-photo")
IMAGES = ("names", "sentences", "words")


def shipped(name: str) -> PromptSet:
    return read_prompt_file(shipped_files()[name])


def test_the_list() -> None:
    assert tuple(shipped_files()) == (*FASHION, *IMAGES)
    sets = [shipped(name) for name in shipped_files()]
    assert [prompts.name for prompts in sets] == list(shipped_files()), "a set is called as its file is"
    assert len({prompts.sha256 for prompts in sets}) == len(sets)
    assert all(prompts.source for prompts in sets)


@pytest.mark.parametrize("name", FASHION)
def test_fashion_mnist_sets_have_the_categories_that_its_reader_gives(name: str) -> None:
    assert tuple(shipped(name).classes) == FASHION_MNIST
    assert set(class_of_label(shipped(name))) == set(FASHION_MNIST)


@pytest.mark.parametrize("name", IMAGES)
def test_image_sets_have_the_shipped_categories(name: str) -> None:
    assert tuple(shipped(name).classes) == demo.CATEGORIES


def test_the_texts_of_fashion_mnist() -> None:
    assert tuple(shipped("fashion-mnist-names").classes.values()) == tuple((name,) for name in FASHION_MNIST)
    assert tuple(shipped("fashion-mnist-described").classes.values()) == tuple((text,) for text in DESCRIBED)
    photo = shipped("fashion-mnist-photo")
    assert photo.classes["T-shirt/top"] == ("a photo of a T - shirt / top.", "a photo of the T - shirt / top.")
    assert [texts[0] for texts in photo.classes.values()][1:] == [f"a photo of a {name}." for name in FASHION_MNIST[1:]]
    assert photo.combine is Combine.MEAN
    many = shipped("fashion-mnist-many")
    assert many.combine is Combine.MAX
    assert {len(texts) for texts in many.classes.values()} == {4}, "with max, more prompts would win more often"
    assert len({text for texts in many.classes.values() for text in texts}) == 40


@pytest.mark.parametrize("name", [*FASHION, *IMAGES])
def test_nothing_is_wrong_or_odd_about_them(name: str) -> None:
    categories = FASHION_MNIST if name in FASHION else demo.CATEGORIES
    assert check_prompts(shipped(name), dict.fromkeys(categories, 1), token_reader("demo")) == []


def test_names_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_prompt_file("words") == demo.PROMPTS / "words.toml"
    (tmp_path / "words").write_text("x")
    assert find_prompt_file("words") == Path("words")
    with pytest.raises(OptionError, match="no prompt file wrods") as caught:
        find_prompt_file("wrods")
    assert caught.value.hint == "did you mean the shipped words?"
    for name in ("", "names.toml", "../prompts/names"):
        with pytest.raises(OptionError):
            find_prompt_file(name)


@pytest.fixture(scope="module")
def realistic(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Any]:
    """The realistic shipped images in a store, and the encoder that ships."""
    from shotdex.models.transformers_encoder import EncoderOptions, load_encoder

    store = Store.create(tmp_path_factory.mktemp("realistic"))
    encoder = load_encoder("demo", EncoderOptions("cpu", "float32"))
    index(store, demo.EVALUATION / "realistic", encoder, "{category}*", demo.CATEGORIES)  # type: ignore[arg-type]
    return store, encoder


@pytest.mark.parametrize("name", IMAGES)
def test_scores_of_the_demo_model(realistic: tuple[Store, Any], name: str) -> None:
    """Every cosine against the definition, prompt by prompt in float64: mean of unit vectors, or the best prompt."""
    store, encoder = realistic
    prompts = shipped(name)
    run = classify(store, Classification(prompts, k=8, name=name), lambda _: encoder)
    with store.reading() as con:
        images = dict(con.rows("SELECT image_id, joint FROM vectors_1"))
        found = con.rows("SELECT image_id, category, cosine FROM predictions WHERE run_id = $r", {"r": run.run_id})
        right = con.value("SELECT correct FROM accuracy WHERE run = $name", {"name": name})
        truth = dict(con.rows("SELECT image_id, category FROM images"))
    assert (len(images), len(found)) == (64, 64 * 8)

    def unit(vector: Any) -> Any:
        return np.asarray(vector, np.float64) / np.linalg.norm(np.asarray(vector, np.float64))

    texts = {
        category: [unit(encoder.encode_texts([text])[0]) for text in own] for category, own in prompts.classes.items()
    }
    want = {}
    for image_id, vector in images.items():
        for category, own in texts.items():
            if prompts.combine is Combine.MAX:
                want[image_id, category] = max(float(unit(vector) @ text) for text in own)
            else:
                want[image_id, category] = float(unit(vector) @ unit(sum(own) / len(own)))
    assert max(abs(want[image_id, category] - cosine) for image_id, category, cosine in found) < 1e-6
    best = {i: max(prompts.classes, key=lambda category, i=i: want[i, category]) for i in images}
    assert right == sum(best[i] == truth[i] for i in images)
    assert right >= 0.85 * 64
