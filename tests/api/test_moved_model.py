"""A model's folder that was moved: recognised by its weights, and remembered; another model is not taken for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import shotdex
from shotdex import demo
from shotdex.errors import EncoderMismatch, ModelUnavailable
from tests.support.evaluated import save_noisy_colour


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store `store` of two images, whose model's folder was moved to `renamed`."""
    shutil.copytree(demo.MODEL, tmp_path / "mine")
    for number in range(2):
        save_noisy_colour(tmp_path / "p" / f"{number}.png", "red", 0.5, number)
    with shotdex.open(tmp_path / "store", create=True) as store:
        store.index(tmp_path / "p", model=str(tmp_path / "mine"))
    (tmp_path / "mine").rename(tmp_path / "renamed")
    return tmp_path


def name_of(store: shotdex.Session) -> str:
    return str(store.sql("SELECT name FROM encoders").to_dicts()[0]["name"])


def test_search_by_its_new_place(folder: Path) -> None:
    image = folder / "p" / "1.png"
    new = save_noisy_colour(folder / "new.png", "red", 0.45, 1)  # whose vector is not in the store
    with shotdex.open(folder / "store") as store:
        with pytest.raises(ModelUnavailable) as caught:
            store.search(image=new)
        assert "hf download" not in caught.value.hint
        assert [hit.path for hit in store.search(image=new, k=1, model=str(folder / "renamed"))] == [str(image)]
        assert name_of(store) == str(folder / "renamed")
    with shotdex.open(folder / "store") as store:
        assert store.search(image=new, k=1)[0].path == str(image)
        assert all(check.ok for check in store.verify())


def test_index_from_its_new_place(folder: Path) -> None:
    save_noisy_colour(folder / "p" / "2.png", "blue", 0.5, 2)
    with shotdex.open(folder / "store") as store:
        assert store.index(folder / "p", model=str(folder / "renamed")).added == 1
        assert name_of(store) == str(folder / "renamed")


def test_another_model_is_not_taken_for_it(folder: Path) -> None:
    import safetensors.numpy

    weights = next((folder / "renamed").glob("*.safetensors"))
    tensors = safetensors.numpy.load_file(weights)
    name = sorted(tensors)[-1]
    tensors[name] = tensors[name] + 1
    safetensors.numpy.save_file(tensors, weights, metadata={"format": "pt"})
    with shotdex.open(folder / "store") as store:
        with pytest.raises(EncoderMismatch, match="no vectors of"):
            store.search(image=folder / "p" / "1.png", model=str(folder / "renamed"))
        assert name_of(store) == str(folder / "mine")
