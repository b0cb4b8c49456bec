"""A store of noisy shades of three colours, 24 to train and 16 to test of each, with two runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.prompts.build import from_names, make_prompt_set
from shotdex.store.store import Store
from tests.conftest import index
from tests.support.fakes import FakeEncoder

from .made import save_shade

SHADES = ("gray", "olive", "teal")
TRAIN, TEST = 24, 16


@pytest.fixture(scope="session")
def shades_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shades")
    for c, shade in enumerate(SHADES):
        for split, count in (("train", TRAIN), ("test", TEST)):
            for i in range(count):
                save_shade(
                    folder / "p" / split / shade / f"{i}.png", shade, seed=1000 * c + 100 * (split == "test") + i
                )
    store = Store.create(folder / "store")
    index(store, folder / "p", FakeEncoder(), "{split}/{category}/*")
    bright = make_prompt_set("bright", {"gray": ["silver"], "olive": ["yellow"], "teal": ["blue"]})
    for name, prompts in (("bare", from_names(SHADES)), ("bright", bright)):
        classify(store, Classification(prompts, name=name), lambda _: FakeEncoder())
    return folder


@pytest.fixture
def shades(shades_once: Path, tmp_path: Path) -> Store:
    """A copy that a test may change; its images stay where they were."""
    shutil.copytree(shades_once / "store", tmp_path / "shades")
    return Store(tmp_path / "shades")
