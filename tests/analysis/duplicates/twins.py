"""A small store with duplicates of every kind."""

from __future__ import annotations

import shutil
from pathlib import Path

from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.prompts.build import from_names
from shotdex.store.store import Store
from tests.conftest import index
from tests.support.fakes import FakeEncoder
from tests.support.images import noise, save_noise

LAYOUT = "{split}/{category}/*"


def build(folder: Path) -> Store:
    """Twelve different images; beside them copies, one image saved again as JPEG, and one under another label."""
    store, fake, place = Store.create(folder / "store"), FakeEncoder(), folder / "p"
    for i in range(12):
        save_noise(place / ("test" if i % 3 == 0 else "train") / ("red" if i % 2 else "blue") / f"{i:02}.png", seed=i)
    copies = {
        "test/blue/00.png": "train/blue/copy-of-00.png",
        "train/red/01.png": "train/red/copy-of-01.png",
        "train/blue/02.png": "test/red/copy-of-02.png",
    }
    for old, new in copies.items():
        (place / new).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(place / old, place / new)
    shutil.copy(place / "test/blue/00.png", place / "train/blue/again-00.png")
    noise(3).save(place / "train/red/resaved-03.jpg", quality=95)
    (place / "train/red/broken.png").write_bytes(b"")
    index(store, place, fake, LAYOUT)
    classify(store, Classification(from_names(["red", "blue"])), lambda _: fake)
    return store
