"""A whole store to be damaged: copies, removed and failed images, runs, a map; and what it answers."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from shotdex.query.search import search
from shotdex.store.engines.writing import write_index
from shotdex.store.projections import ProjectionKey, digest_ids, save_projection
from shotdex.store.queries import Query
from shotdex.store.store import Store
from shotdex.store.types import Space
from shotdex.upkeep.check import Check
from shotdex.upkeep.verify import check_store
from tests.conftest import index
from tests.support.engines import file_of
from tests.support.evaluated import NAMES, WORDS, change, index_images, rows, run, save_images, save_noisy_colour
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.orders import image_part

VECTOR = "list_transform(range(12), lambda i: {})::FLOAT[12]"
"""SQL for a joint vector, with the SQL for its number `i`, from 0, in the braces."""

COPIED = "extra/red/copy.png"


def save_all(folder: Path) -> Path:
    """Save the 75 images, and `extra/`: two of its own, a copy of one of the 75, one that goes away, a broken one."""
    save_images(folder)
    for seed, name in ((901, "red/own.png"), (902, "green/own.png"), (903, "blue/gone.png")):
        save_noisy_colour(folder / "extra" / name, name.split("/")[0], 0.5, seed)
    shutil.copy(folder / "bare" / "red" / "061.png", folder / COPIED)
    (folder / "extra" / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def index_all(store: Store, folder: Path, encoder: FakeEncoder | None = None) -> None:
    """Index all as it is; images that are on record with vectors are not encoded."""
    index_images(store, folder, encoder)
    index(store, folder / "extra", encoder or FakeEncoder(), "{category}/*")


def build(folder: Path) -> Store:
    """Make the images and the store in a folder; the runs are older than what is in `extra/`."""
    save_all(folder)
    store = Store.create(folder / "store")
    index_images(store, folder)
    run(store, NAMES, name="names", k=4)
    run(store, WORDS, name="words", k=2)
    index_all(store, folder)
    (folder / "extra" / "blue" / "gone.png").unlink()
    index_all(store, folder)
    ids = np.array([row[0] for row in rows(store, "SELECT image_id FROM images ORDER BY image_id")], np.int64)
    key = ProjectionKey(1, Space.JOINT, "umap", {"seed": 0}, None, digest_ids(ids))
    with store.writing() as con:
        save_projection(con, key, ids, np.random.default_rng(0).normal(size=(len(ids), 2)))
    return store


@cache
def template() -> Path:
    """Return the folder with the images and a store that no test changes."""
    folder = Path(tempfile.mkdtemp(prefix="shotdex-tests-verify-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    answers_of(build(folder), folder)  # it remembers the texts of these questions from here on
    return folder


def whole_store(root: Path) -> Store:
    """Return a store of its own, whose images are the template's."""
    shutil.copytree(template() / "store", root)
    return Store(root)


def rebuild(store: Store) -> None:
    """Write the FAISS file anew, so that it agrees with a catalog that was changed."""
    file_of(store).unlink(missing_ok=True)
    write_index(store, 1, fake_id())


def change_vectors(store: Store, sql: str) -> None:
    """Change vectors behind the store's back, in the FAISS file, too."""
    change(store, sql)
    rebuild(store)


def problems(store: Store) -> dict[str, Check]:
    """Return the checks that found a problem, by name."""
    return {check.name: check for check in check_store(store) if not check.ok}


def answers(store: Store) -> list[list[tuple[str, float]]]:
    """Return the paths and scores of two searches over everything."""
    return answers_of(store, template())


def answers_of(store: Store, folder: Path) -> list[list[tuple[str, float]]]:
    """Return the same for images in another folder."""
    image = str(folder / "bare" / "red" / "062.png")
    asked = (Query(("red", "navy"), k=200), Query((image_part(image),), k=200, with_itself=True))
    return [[(hit.path, hit.cosine) for hit in search(store, query, lambda _: FakeEncoder()).hits] for query in asked]


@cache
def whole_answers() -> list[list[tuple[str, float]]]:
    """Return what a store answers before anything is done to it."""
    return answers(Store(template() / "store"))


@cache
def whole_kept() -> dict[str, list[Any]]:
    """Return what a store keeps before anything is done to it."""
    return kept(Store(template() / "store"))


KEPT = ("encoders", "runs", "predictions", "truths", "prompt_sets", "prompts")


def kept(store: Store) -> dict[str, list[Any]]:
    """Return everything that repairing must not take away."""
    with store.reading() as con:
        return {
            "images": con.rows("SELECT * EXCLUDE (removed_at) FROM stored_images ORDER BY ALL"),
            "failures": con.rows("SELECT * EXCLUDE (failed_at) FROM failures ORDER BY ALL"),
        } | {table: con.rows(f"SELECT * FROM {table} ORDER BY ALL") for table in KEPT}
