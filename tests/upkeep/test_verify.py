"""Every kind of damage that SQL can do to a catalog is found by the check that is for it, and by no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from shotdex.store.errors import StoreLocked, StoreNotFound
from shotdex.store.store import Store
from shotdex.upkeep.repair import repair_store
from shotdex.upkeep.verify import VerifyOptions, check_store, verify
from tests.support.evaluated import change, rows

from .stores import VECTOR, answers, change_vectors, kept, problems, whole_answers, whole_kept, whole_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return whole_store(tmp_path / "store")


def test_a_whole_store_passes_and_the_numbers_are_its_own(store: Store) -> None:
    found = verify(store.root, VerifyOptions())
    assert found.whole
    texts = {check.name: check.text for check in found.checks}
    assert list(texts) == [
        "catalog", "tables", "views", "images", "failures", "vectors of encoder 1", "numbers of encoder 1",
        "copies in encoder 1", "coverage", "texts of encoder 1", "prompt sets", "runs", "predictions", "truths",
        "images of runs", "maps", "index of encoder 1", "index folder",
    ]  # fmt: skip
    assert all(check.hint == "" for check in found.checks)
    assert texts["images"].startswith("78 present, 1 removed;")
    assert texts["failures"] == "1, at most one per path"
    assert texts["vectors of encoder 1"].startswith("79 rows")
    assert texts["copies in encoder 1"].startswith("1 contents occur more than once")
    assert texts["coverage"] == "every one of 78 present images has vectors; encoder 1 has all"
    assert texts["texts of encoder 1"].startswith("9 remembered")
    assert texts["runs"].startswith("2, with 150 scored images in all")
    assert texts["predictions"].startswith(f"{75 * 4 + 75 * 2} rows")
    assert texts["truths"].startswith("150 rows")
    assert texts["images of runs"] == "2 runs still have the images that they scored"
    assert "79 vectors, each equal to the catalog's" in texts["index of encoder 1"]


def test_a_new_store_passes(tmp_path: Path) -> None:
    Store.create(tmp_path / "new")
    assert verify(tmp_path / "new", VerifyOptions()).whole


def test_mending_a_whole_store_does_nothing(store: Store) -> None:
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert repair_store(store) == []
    assert verify(store.root, VerifyOptions(repair=True)).done == ()
    assert {path: path.read_bytes() for path in before} == before


# Damage that repairing undoes wholly: what it does, and the check that finds it.
MENDED: dict[str, tuple[str, str]] = {
    "a view is missing": ("DROP VIEW confusion", "views"),
    "the view of all is missing": ("DROP VIEW images", "views"),
    "a view is another": ("CREATE OR REPLACE VIEW images AS SELECT * EXCLUDE (removed_at) FROM stored_images", "views"),
    "a macro's view is missing": ("DROP VIEW accuracy", "views"),
    "a row of vectors twice": (
        "INSERT INTO vectors_1 FROM vectors_1 WHERE image_id IN (4, 78)",
        "vectors of encoder 1",
    ),
    "a text twice": ("INSERT INTO text_vectors_1 FROM text_vectors_1 WHERE text = 'red'", "texts of encoder 1"),
    "a text with NaN": (
        f"UPDATE text_vectors_1 SET vector = {VECTOR.format(chr(39) + 'nan' + chr(39))} WHERE text = 'red'",
        "texts of encoder 1",
    ),
    "a long text vector": (
        f"UPDATE text_vectors_1 SET vector = {VECTOR.format('vector[i + 1] * 1.001')} WHERE text = 'red'",
        "texts of encoder 1",
    ),
    "a text without vector": (
        "UPDATE text_vectors_1 SET vector = NULL WHERE text = 'navy'",
        "texts of encoder 1",
    ),
    "a map lost a point": ("DELETE FROM projection_points WHERE image_id = 5", "maps"),
    "a map has another image": ("UPDATE projection_points SET image_id = 999 WHERE image_id = 5", "maps"),
    "a map's point is nowhere": ("UPDATE projection_points SET y = 'inf' WHERE image_id = 5", "maps"),
    "points of no map": ("UPDATE projections SET projection_id = 2", "maps"),
}


@pytest.mark.parametrize("damage", MENDED)
def test_what_is_mended_wholly(store: Store, damage: str) -> None:
    sql, check = MENDED[damage]
    before, whole = whole_kept(), whole_answers()
    change(store, sql)
    found = problems(store)
    assert list(found) == [check]
    assert found[check].hint == "repair it with: shotdex verify --repair"
    assert len(repair_store(store)) in (1, 2)
    assert problems(store) == {}
    assert kept(store) == before
    assert answers(store) == whole


def test_a_path_with_two_present_rows(store: Store) -> None:
    whole, before = whole_answers(), whole_kept()
    change(store, "INSERT INTO stored_images SELECT * REPLACE (500 AS image_id) FROM stored_images WHERE image_id = 77")
    change_vectors(store, "INSERT INTO vectors_1 SELECT * REPLACE (500 AS image_id) FROM vectors_1 WHERE image_id = 77")
    assert list(problems(store)) == ["images"]
    assert "marked as removed" in repair_store(store)[0]
    assert problems(store) == {}
    assert rows(store, "SELECT image_id FROM stored_images WHERE removed_at IS NOT NULL ORDER BY 1") == [(76,), (77,)]
    assert len(kept(store)["images"]) == len(before["images"]) + 1
    assert answers(store) == whole


RENAMED = "UPDATE {} SET name = 'names'"
# Damage that nothing here can undo: it is named, it stays as it is, and the hint says which command helps.
STAYS: dict[str, tuple[str, set[str], str]] = {
    "a column is missing": ("ALTER TABLE failures DROP COLUMN detail", {"tables"}, "restore a backup"),
    "an id twice": (
        "INSERT INTO stored_images SELECT * REPLACE ('/x' AS path) FROM stored_images WHERE image_id = 77",
        {"images"},
        "restore a backup",
    ),
    "an id of zero": (
        "INSERT INTO stored_images SELECT * REPLACE (0 AS image_id) FROM stored_images WHERE removed_at IS NOT NULL",
        {"images"},
        "restore a backup",
    ),
    "no content hash": (
        "UPDATE stored_images SET content_sha256 = 'x' WHERE image_id = 77",
        {"images"},
        "restore a backup",
    ),
    "a failure twice": ("INSERT INTO failures FROM failures", {"failures"}, "shotdex index /"),
    "another prompt": ("UPDATE prompts SET prompt = 'rouge' WHERE prompt = 'red'", {"prompt sets"}, "shotdex classify"),
    "another order": (
        "UPDATE prompts SET class_position = 9 - class_position WHERE prompt_set_id = 1",
        {"prompt sets"},
        "shotdex classify",
    ),
    "an alias more": ("UPDATE prompt_sets SET aliases = '{\"red\": [\"rot\"]}'", {"prompt sets"}, "shotdex classify"),
    "prompts of no set": ("INSERT INTO prompts VALUES (9, 0, 'x', 0, 'x')", {"prompt sets"}, "restore a backup"),
    "a count of scored": ("UPDATE runs SET scored = scored - 1", {"runs"}, "shotdex rerun"),
    "a count of unlabelled": ("UPDATE runs SET unlabelled = 1 WHERE run_id = 2", {"runs"}, "shotdex rerun"),
    "a count of images": ("UPDATE runs SET images = 10 WHERE run_id = 2", {"runs"}, "shotdex rerun"),
    "a run's name twice": (RENAMED.format("runs"), {"runs"}, "restore a backup"),
    "a run of no encoder": ("UPDATE runs SET encoder_id = 7 WHERE run_id = 2", {"runs"}, "restore a backup"),
    "a prediction lost": (
        "DELETE FROM predictions WHERE run_id = 2 AND image_id = 3 AND rank = 2",
        {"runs", "predictions"},
        "shotdex rerun",
    ),
    "an image's predictions lost": (
        "DELETE FROM predictions WHERE run_id = 2 AND image_id = 3",
        {"runs", "truths"},
        "shotdex rerun",
    ),
    "a rank beyond k": (
        "UPDATE predictions SET rank = 5 WHERE run_id = 1 AND image_id = 3 AND rank = 4",
        {"predictions"},
        "shotdex rerun",
    ),
    "a class that is none": (
        "UPDATE predictions SET category = 'x' WHERE run_id = 2 AND rank = 2 AND image_id IN "
        "(SELECT image_id FROM truths WHERE run_id = 2 AND true_rank = 1 LIMIT 1)",
        {"predictions"},
        "shotdex rerun",
    ),
    "a better cosine below": (
        "UPDATE predictions SET cosine = 1 WHERE run_id = 2 AND rank = 2 AND image_id IN "
        "(SELECT image_id FROM truths WHERE run_id = 2 AND true_rank = 1 LIMIT 1)",
        {"predictions"},
        "shotdex rerun",
    ),
    "a probability that cannot be": (
        "UPDATE predictions SET probability = 'nan' WHERE run_id = 2 AND rank = 2 AND image_id IN "
        "(SELECT image_id FROM truths WHERE run_id = 2 AND true_rank = 1 LIMIT 1)",
        {"predictions"},
        "shotdex rerun",
    ),
    "predictions of no run": (
        "INSERT INTO predictions SELECT * REPLACE (9 AS run_id) FROM predictions LIMIT 2",
        {"predictions"},
        "restore a backup",
    ),
    "predictions of no image": (
        "INSERT INTO predictions SELECT * REPLACE (999 AS image_id) FROM predictions WHERE run_id = 2 AND image_id = 3",
        {"predictions", "runs"},
        "restore a backup",
    ),
    "a truth lost": ("DELETE FROM truths WHERE run_id = 2 AND image_id = 3", {"runs", "images"}, "shotdex rerun"),
    "a truth twice": ("INSERT INTO truths FROM truths WHERE run_id = 2 AND image_id = 3", {"runs", "truths"}, "rerun"),
    "a true rank of none": (
        "UPDATE truths SET true_rank = 0 WHERE run_id = 2 AND image_id = 3",
        {"truths"},
        "shotdex rerun",
    ),
    "another true rank": (
        "UPDATE truths SET true_rank = true_rank % 4 + 1 WHERE run_id = 1 AND image_id = 3",
        {"truths"},
        "shotdex rerun",
    ),
    "another true cosine": (
        "UPDATE truths SET true_cosine = true_cosine + 1e-4 WHERE run_id = 1 AND image_id = 3",
        {"truths"},
        "shotdex rerun",
    ),
    "a truth that is no class": (
        "UPDATE truths SET category = 'x' WHERE run_id = 1 AND image_id = 3",
        {"truths"},
        "shotdex rerun",
    ),
    "another image behind a run": (
        "UPDATE stored_images SET content_sha256 = repeat('a', 64) WHERE image_id = 3",
        {"images", "vectors"},
        "shotdex rerun",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", STAYS)
def test_what_cannot_be_mended_is_named(store: Store, damage: str) -> None:
    sql, names, hint = STAYS[damage]
    change(store, sql)
    found = problems(store)
    assert {name if name == "prompt sets" else name.split()[0] for name in found} == names
    assert hint in " ".join(check.hint for check in found.values())


def test_what_cannot_be_mended_is_left_alone(store: Store) -> None:
    for sql, names, _ in STAYS.values():
        if not names & {"tables", "vectors"}:
            change(store, sql)
    before, found = repr(kept(store)), problems(store)  # as text, in which NaN is equal to itself
    assert {"images", "failures", "prompt sets", "runs", "predictions", "truths"} <= set(found)
    after = verify(store.root, VerifyOptions(repair=True))
    assert not after.whole
    assert after.done == ()
    assert {check.name: check for check in after.checks if not check.ok} == found
    assert repr(kept(store)) == before


def test_labels_that_were_changed_since_a_run_are_no_problem(store: Store) -> None:
    change(store, "UPDATE stored_images SET category = 'white' WHERE image_id = 3")
    (check,) = [check for check in check_store(store) if check.name == "images of runs"]
    assert check.ok
    assert check.text.endswith("; labels have changed since in 2")


def test_runs_older_than_digests_are_no_problem(store: Store) -> None:
    change(store, "UPDATE runs SET data_sha256 = NULL, labels_sha256 = NULL, seed = NULL, command = NULL")
    assert problems(store) == {}


def wrong_length(store: Store) -> None:
    change(store, "DROP TABLE vectors_1")
    change(store, "CREATE TABLE vectors_1 (image_id BIGINT, joint FLOAT[11], vision FLOAT[16], content_hash UBIGINT)")


def wrong_enum(store: Store) -> None:
    change(store, "UPDATE encoders SET precision = 'float33'")


@pytest.mark.parametrize("damage", [wrong_length, wrong_enum, lambda store: change(store, "DROP TABLE text_vectors_1")])
def test_what_stops_a_check_is_a_problem_and_no_crash(store: Store, damage: Callable[[Store], None]) -> None:
    damage(store)
    found = problems(store)
    assert next(iter(found)) == "tables"
    assert all(check.hint for check in found.values())
    after = verify(store.root, VerifyOptions(repair=True))
    assert (after.whole, after.done) == (False, ()), "what is missing is not made up"


def test_a_damaged_block(store: Store) -> None:
    """DuckDB keeps a checksum of each block of 256 KiB; one bit is enough."""
    data = bytearray(store.catalog.read_bytes())
    position = data.find(rows(store, "SELECT prompt FROM predictions LIMIT 1")[0][0].encode(), 3 * 4096)
    data[position] ^= 1
    store.catalog.write_bytes(data)
    found = verify(store.root, VerifyOptions(repair=False))
    assert not found.whole
    assert any("hecksum" in check.text or "cannot be read" in check.text for check in found.checks)


@pytest.mark.parametrize("content", [b"", b"no catalog at all", b"\0" * 20_000])
def test_no_catalog(store: Store, content: bytes) -> None:
    store.catalog.write_bytes(content)
    found = verify(store.root, VerifyOptions(repair=True))
    assert [(check.name, check.ok) for check in found.checks] == [("catalog", False)]
    assert found.checks[0].hint
    assert store.catalog.read_bytes() == content


def test_a_newer_schema(store: Store) -> None:
    change(store, "UPDATE meta SET value = '999' WHERE key = 'schema_version'")
    (check,) = verify(store.root, VerifyOptions(repair=True)).checks
    assert "newer shotdex" in check.text
    assert "upgrade" in check.hint


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        verify(tmp_path, VerifyOptions())


def test_mending_keeps_away_from_an_indexer(store: Store) -> None:
    change(store, "DROP VIEW confusion")
    with store.indexing():
        assert list(problems(store)) == ["views"]
        with pytest.raises(StoreLocked):
            verify(store.root, VerifyOptions(repair=True))
    assert verify(store.root, VerifyOptions(repair=True)).whole


def test_everything_at_once(store: Store) -> None:
    """All that is repaired wholly, in one go."""
    whole = whole_answers()
    for damage, (sql, _) in MENDED.items():
        if damage in ("a view is missing", "a row of vectors twice", "a text twice", "a map lost a point"):
            change(store, sql)
    change(store, "INSERT INTO vectors_1 SELECT * REPLACE (5000 AS image_id) FROM vectors_1 WHERE image_id = 4")
    (store.index_folder / "encoder-1-000000000000.77.part").write_bytes(b"x")
    assert len(problems(store)) == 6
    assert len(repair_store(store)) == 8
    assert problems(store) == {}
    assert answers(store) == whole


def test_the_catalog_is_only_read(store: Store) -> None:
    with duckdb.connect(str(store.catalog), read_only=True):
        pass
    before = store.catalog.read_bytes()
    verify(store.root, VerifyOptions())
    assert store.catalog.read_bytes() == before
