"""Sources and stores that several tests of shards share."""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import shotdex
from shotdex.indexer.run import IndexOptions, index_source
from shotdex.media.sources import open_source
from shotdex.session import Session
from shotdex.store.encoders import list_encoders
from shotdex.store.store import Store
from shotdex.store.types import IndexReport, Space
from shotdex.store.vectors import load_vectors
from tests.support.fakes import FakeEncoder
from tests.support.images import save_noise

BATCH = 4

_IMAGES = """
    SELECT * EXCLUDE (added_at, removed_at), removed_at IS NULL AS present FROM stored_images ORDER BY image_id
"""


def make_folder(folder: Path, images: int = 40) -> Path:
    """Images in three categories, among them copies of one, two broken ones and a text file."""
    for i in range(images):
        save_noise(folder / f"cat{i % 3}" / f"{i:03}.png", seed=i)
    (folder / "cat0" / "003copy.png").write_bytes((folder / "cat0" / "003.png").read_bytes())
    (folder / "cat2" / "038copy.png").write_bytes((folder / "cat0" / "003.png").read_bytes())
    (folder / "cat1" / "010broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "cat2" / "023empty.jpg").write_bytes(b"")
    (folder / "cat1" / "notes.txt").write_text("x")
    return folder


def as_kind(folder: Path, kind: str, target: Path) -> Path:
    """The same images as another kind of source."""
    files = sorted(path for path in folder.rglob("*.*") if path.suffix != ".txt")
    if kind == "folder":
        return folder
    if kind == "zip":
        with zipfile.ZipFile(target / "all.zip", "w") as archive:
            for path in files:
                archive.write(path, path.relative_to(folder))
        return target / "all.zip"
    if kind.startswith("tar"):
        with tarfile.open(target / f"all.{kind}", "w:gz" if kind.endswith("gz") else "w") as archive:
            for path in files:
                archive.add(path, path.relative_to(folder))
        return target / f"all.{kind}"
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["path", "category", "split", "note"])
    rows.writerows([path, path.parent.name, "test", f"number {i}"] for i, path in enumerate(files))
    rows.writerow([folder / "missing.png", "cat0", "test", "not there"])
    (target / "all.csv").write_text(text.getvalue())
    return target / "all.csv"


def encode(source: Path, part: str, out: Path, encoder: FakeEncoder | None = None, **options: Any) -> Any:
    return shotdex.encode(source, part=part, out=out, model=encoder or FakeEncoder(), batch_size=BATCH, **options)


def index_shards(store: Path, place: Path, **options: Any) -> IndexReport:
    return Session(Store(store)).index(place, **options)


def index_directly(store: Path, source: Path) -> IndexReport:
    return index_source(Store.create(store), open_source(source), FakeEncoder(), IndexOptions(batch_size=BATCH))


def contents(store: Path) -> dict[str, Any]:
    """Everything in a store but vectors, and the times at which it was written."""
    with Store(store).reading() as con:
        return {
            "images": con.rows(_IMAGES),
            "failures": con.rows("SELECT * EXCLUDE (failed_at) FROM failures ORDER BY path"),
            "encoders": con.rows("SELECT * EXCLUDE (added_at) FROM encoders"),
            "sources": con.rows("SELECT * EXCLUDE (added_at) FROM sources"),
            "left_out": con.rows("FROM left_out"),
        }


def vectors(store: Path) -> list[np.ndarray]:
    with Store(store).reading() as con:
        encoder = list_encoders(con)[1]
        found = [load_vectors(con, 1, encoder, space) for space in Space]
    return [part for pair in found for part in pair]


def assert_equal(one: Path, other: Path) -> None:
    """Assert that two stores have the same rows, ids and failures, and vectors that differ by at most 1e-6."""
    with Store(one).reading(), Store(other).reading():  # once for both
        left, right = contents(one), contents(other)
        for table in left:
            assert left[table] == right[table], table
        for mine, theirs in zip(vectors(one), vectors(other), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)
