"""Forgetting for good: what goes, what stays because a run or a map has it, and that ids are never given again."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from shotdex.store.connection import Connection, Parameters
from shotdex.store.engines.faiss_file import read_file
from shotdex.store.engines.vector_index import open_index
from shotdex.store.ids import images_generation
from shotdex.store.images import NEXT_ID, next_image_id
from shotdex.store.store import Store
from shotdex.upkeep import prune as pruning
from shotdex.upkeep.prune import Pruned, prune
from tests.conftest import index
from tests.support.engines import file_of
from tests.support.evaluated import change, rows, save_noisy_colour
from tests.support.fakes import FakeEncoder, fake_id

from .stores import answers, index_all, problems, template, whole_answers, whole_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """79 images, 75 of them in runs; 78 are present, and all but the removed one are on a map."""
    return whole_store(tmp_path / "store")


def counts(store: Store) -> tuple[int, int]:
    return rows(store, "SELECT (SELECT count(*) FROM stored_images), (SELECT count(*) FROM vectors_1)")[0]


def test_what_nothing_refers_to_goes(store: Store) -> None:
    before = whole_answers()
    found = prune(store)
    assert found == Pruned(images=1, vectors=1, kept=0, freed_bytes=found.freed_bytes)
    assert counts(store) == (78, 78)
    assert problems(store) == {}
    assert answers(store) == before
    with store.reading() as con:
        assert len(open_index(store, con, 1, fake_id())) == 78
    assert len(read_file(file_of(store)).ids) == 78, "the file has them no longer, either"
    assert prune(store) == Pruned(0, 0, 0)


def test_what_runs_or_maps_have_stays_as_a_row(store: Store) -> None:
    change(store, "UPDATE stored_images SET removed_at = now()::TIMESTAMP WHERE image_id IN (1, 2, 3, 77)")
    accuracy = rows(store, "FROM accuracy_by_condition ORDER BY ALL")
    found = prune(store)
    assert (found.images, found.vectors, found.kept) == (1, 5, 4)
    assert rows(store, "SELECT image_id FROM stored_images WHERE removed_at IS NOT NULL ORDER BY 1") == [
        (1,),
        (2,),
        (3,),
        (77,),
    ]
    assert counts(store) == (78, 74)
    assert rows(store, "FROM accuracy_by_condition ORDER BY ALL") == accuracy
    assert problems(store) == {}
    assert prune(store) == Pruned(0, 0, 4)


def test_it_renews_the_generation_of_the_images(store: Store) -> None:
    with store.reading() as con:
        before = images_generation(con)
    assert prune(store).images
    with store.reading() as con:
        after = images_generation(con)
    assert after != before
    assert not prune(store).images
    with store.reading() as con:
        assert images_generation(con) == after


def test_a_image_that_comes_back_is_encoded_again(store: Store) -> None:
    change(store, "UPDATE stored_images SET removed_at = now()::TIMESTAMP WHERE image_id IN (1, 78)")
    prune(store)
    encoder = FakeEncoder()
    index_all(store, template(), encoder)
    # The row that a run has is taken up again; a row that went is a new one, or shares a copy's vectors.
    assert encoder.seen >= 1
    assert rows(store, "SELECT removed_at IS NULL, count(*) FROM stored_images GROUP BY 1") == [(True, 78)]
    assert problems(store) == {}
    assert answers(store) == whole_answers()


def test_the_highest_id_is_not_given_again(store: Store, tmp_path: Path) -> None:
    highest = rows(store, "SELECT max(image_id) FROM stored_images")[0][0]
    change(store, f"UPDATE stored_images SET removed_at = now()::TIMESTAMP WHERE image_id = {highest}")
    change(store, "DELETE FROM projection_points")
    change(store, "DELETE FROM projections")
    prune(store)
    assert rows(store, "SELECT max(image_id) < $highest FROM stored_images".replace("$highest", str(highest)))[0][0]
    assert rows(store, f"SELECT value FROM meta WHERE key = '{NEXT_ID}'") == [(str(highest + 1),)]
    with store.reading() as con:
        assert next_image_id(con) == highest + 1
    save_noisy_colour(tmp_path / "new" / "1.png", "red", 0.5, 4001)
    index(store, tmp_path / "new", FakeEncoder())
    assert rows(store, "SELECT max(image_id) FROM stored_images") == [(highest + 1,)]
    prune(store)
    assert problems(store) == {}


def test_everything_is_gone(store: Store) -> None:
    for table in ("predictions", "truths", "runs", "projection_points", "projections"):
        change(store, f"DELETE FROM {table}")
    change(store, "UPDATE stored_images SET removed_at = now()::TIMESTAMP")
    assert (prune(store).images, counts(store)) == (79, (0, 0))
    assert problems(store) == {}


@pytest.mark.parametrize("moment", ["remember_next_id", "_forget_vectors", "_forget_rows", "_write_indexes"])
def test_what_fails_in_between_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
        patched.setattr(pruning, moment, fail)
        prune(store)
    assert counts(store) == ((78, 78) if moment == "_write_indexes" else (79, 79))
    assert answers(store) == whole_answers()
    prune(store)
    assert counts(store) == (78, 78)
    assert len(read_file(file_of(store)).ids) == 78
    assert problems(store) == {}


GONE = (
    "INSERT INTO stored_images BY NAME SELECT i + 100 AS image_id, '/gone/' || md5(i::VARCHAR) AS path, "
    "sha256(i::VARCHAR) AS content_sha256, now()::TIMESTAMP AS removed_at FROM range(60000) t(i)"
)


def test_room_is_given_back(tmp_path: Path) -> None:
    for seed in range(3):
        save_noisy_colour(tmp_path / "pictures" / f"{seed}.png", "red", 0.5, seed)
    store = Store.create(tmp_path / "store")
    index(store, tmp_path / "pictures", FakeEncoder())
    before = rows(store, "FROM stored_images ORDER BY ALL")
    change(store, GONE)
    full = store.catalog_bytes()
    found = prune(store)
    assert (found.images, found.vectors) == (60_000, 0)
    assert found.freed_bytes == full - store.catalog_bytes() > full / 2
    assert rows(store, "FROM stored_images ORDER BY ALL") == before
    assert problems(store) == {}


def test_without_room_for_a_copy_it_is_pruned_all_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    change(store, GONE)
    real = Connection.run

    def full(con: Connection, sql: str, parameters: Parameters | None = None) -> None:
        if "COPY FROM DATABASE" in sql:
            raise duckdb.IOException("IO Error: Could not write file: No space left on device")
        real(con, sql, parameters)

    monkeypatch.setattr(Connection, "run", full)
    found = prune(store)
    assert (found.images, found.freed_bytes) == (60_001, 0)
    assert problems(store) == {}
