from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shotdex
from shotdex import demo


@pytest.fixture(scope="package")
def session(tmp_path_factory: pytest.TempPathFactory) -> shotdex.Session:
    """The images that ship, with runs that score a class by its best prompt and by the mean of several, and people."""
    session = shotdex.open(tmp_path_factory.mktemp("document") / "store", create=True)
    session.index(demo.EVALUATION, model="demo", layout="{condition}/{category}*", categories=list(demo.CATEGORIES))
    session.classify(prompts="words", name="words")
    session.classify(templates=["{}", "a photo of a {}.", "a drawing of a {}."], name="several")
    session.classify(name="names")
    session.import_baseline("toddlers")
    return session


@pytest.fixture(scope="package")
def written(session: shotdex.Session, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a document about runs once, and return where it is."""
    folder = tmp_path_factory.mktemp("written")
    made: dict[Any, Path] = {}

    def write(*runs: str, suffix: str = ".html", **options: Any) -> Path:
        key = (runs, suffix, *sorted(options.items()))
        if key not in made:
            place = folder / f"{len(made)}{suffix}"
            session.report(runs, out=f"{place}/" if not suffix else place, resamples=100, **options)
            made[key] = place
        return made[key]

    return write
