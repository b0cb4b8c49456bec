from __future__ import annotations

import pytest

import shotdex
from shotdex import demo


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory) -> shotdex.Session:
    """The 320 images that ship, indexed with the model that ships, and two runs."""
    session = shotdex.open(tmp_path_factory.mktemp("api") / "store", create=True)
    report = session.index(
        demo.EVALUATION, model="demo", layout="{condition}/{category}*", categories=list(demo.CATEGORIES)
    )
    assert (report.added, report.failed) == (320, 0)
    session.classify(name="names")
    session.classify(templates=["a photo of a {}."], name="photo")
    return session
