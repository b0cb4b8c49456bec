"""Folders, links and pipes where files of the store should be: worked around, with nothing of the user's lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import shotdex
from shotdex.store.errors import ShotdexError
from tests.support.evaluated import save_noisy_colour


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("in-the-way")
    for number in range(2):
        save_noisy_colour(place / "p" / f"{number}.png", "red", 0.5, number)
    store = shotdex.open(place / "store", create=True)
    store.index(place / "p", model="demo")
    assert len(store.search("a duck")) == 2
    return place / "store"


def folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("mine")


def link(path: Path) -> None:
    folder(path.parent.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent.parent / "elsewhere")


KINDS: list[Callable[[Path], None]] = [folder, link, os.mkfifo]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["encoder-*.faiss", "text-*.safetensors", "tower-*.checked"])
def test_in_place_of_a_derived_file(name: str, kind: Callable[[Path], None], whole: Path, tmp_path: Path) -> None:
    store = shotdex.open(shutil.copytree(whole, tmp_path / "a" / "store"))
    (store.path / "index").mkdir(exist_ok=True)
    place = next((store.path / "index").glob(name), store.path / "index" / name.replace("*", "0123456789abcdef"))
    place.unlink(missing_ok=True)
    kind(place)
    assert len(store.search("a duck")) == len(store.search("a red fish")) == 2
    found = store.verify(repair=True)
    if name.startswith("text") and kind is folder:
        assert [check.hint for check in found if not check.ok] == [f"move {place} away"]
    else:
        assert all(check.ok for check in found)
    if kind is folder and not name.startswith("tower"):
        assert any("left " in line and "move it away" in line for line in found.details.done)
    if kind is not os.mkfifo:
        assert [path.read_text() for path in tmp_path.rglob("thesis.txt")] == ["mine"]
    assert len(store.search("a blue duck")) == 2


@pytest.mark.parametrize("kind", [os.mkfifo, Path.touch])
def test_in_place_of_the_index_folder(kind: Callable[[Path], None], whole: Path, tmp_path: Path) -> None:
    store = shotdex.open(shutil.copytree(whole, tmp_path / "store"))
    shutil.rmtree(store.path / "index")
    kind(store.path / "index")
    assert len(store.search("a blue duck")) == 2
    with pytest.raises(ShotdexError, match="cannot make") as caught:
        store.verify(repair=True)
    assert "move away what has its name" in caught.value.hint


@pytest.mark.parametrize("kind", KINDS)
def test_in_place_of_the_catalog(kind: Callable[[Path], None], whole: Path, tmp_path: Path) -> None:
    store = shutil.copytree(whole, tmp_path / "a" / "store")
    (store / "catalog.duckdb").unlink()
    kind(store / "catalog.duckdb")
    for work in (lambda: shotdex.open(store), lambda: shotdex.open(store, check=False).search("a duck")):
        with pytest.raises(ShotdexError) as caught:
            work()
        assert caught.value.hint
    try:
        found = shotdex.open(store, check=False).verify(repair=True)
    except ShotdexError as error:
        assert error.hint
    else:
        assert not all(check.ok for check in found)
    assert (store / "catalog.duckdb").is_dir() or kind is os.mkfifo
