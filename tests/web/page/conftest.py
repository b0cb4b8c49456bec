"""One server over the images that ship, with two runs, people and a map, and one browser, for all tests of the page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import shotdex
from shotdex import demo
from shotdex.analysis.maps import MapOptions, coordinates
from shotdex.analysis.projections import ProjectionOptions
from tests.support.browser import chromium
from tests.support.visits import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="package")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evaluation images that ship, where one can be taken away."""
    return Path(shutil.copytree(demo.EVALUATION, tmp_path_factory.mktemp("images") / "evaluation"))


@pytest.fixture(scope="package")
def session(images: Path, tmp_path_factory: pytest.TempPathFactory) -> shotdex.Session:
    session = shotdex.open(tmp_path_factory.mktemp("served") / "store", create=True)
    session.index(images, model="demo", layout="{condition}/{category}*", categories=list(demo.CATEGORIES))
    session.classify(prompts="words", name="words")
    session.classify(name="names")
    session.import_baseline("toddlers")
    coordinates(session.store, MapOptions(projection=ProjectionOptions(method="tsne")))
    return session


@pytest.fixture(scope="package")
def address(session: shotdex.Session) -> Iterator[str]:
    with serving(session.path) as found:
        yield found
