"""Encoded batches: what local indexing commits, written as Parquet, gives an empty store the same contents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shotdex.indexer.run as run_module
from shotdex.store.encoded_batch import batch_schema, commit
from shotdex.store.errors import StoreError
from shotdex.store.ids import images_generation
from shotdex.store.store import Store
from tests.conftest import index
from tests.indexer.test_interruption import contents
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.images import save_noise

HOW: dict[str, Any] = {"batch_size": 4, "commit_rows": 8, "commit_seconds": 1e9}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """14 images, two copies of the third, two broken ones and a link to nowhere."""
    folder = tmp_path / "pictures"
    for i in range(14):
        save_noise(folder / f"kind{i % 2}" / f"{i:03}.png", seed=i)
    for name in ("kind0/003copy.png", "kind1/020copy.png"):
        (folder / name).write_bytes((folder / "kind0" / "002.png").read_bytes())
    (folder / "kind0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "kind1" / "empty.png").write_bytes(b"")
    (folder / "kind1" / "nowhere.png").symlink_to(folder / "missing.png")
    return folder


def shards(store: Store, folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Index a folder, and write every batch that is committed to a Parquet file."""
    written: list[Path] = []

    def recorded(con: Any, batch: pa.Table, placement: pa.Table | None = None) -> None:
        written.append(target / f"{len(written):03}.parquet")
        pq.write_table(batch, written[-1])
        commit(con, batch, placement)

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "commit", recorded)
        index(store, folder, FakeEncoder(), **HOW)
    return written


def committed(root: Path, files: list[Path]) -> Store:
    store = Store.create(root)
    for file in files:
        with store.indexing(), store.writing() as con:
            commit(con, pq.read_table(file))
    return store


def test_parquet_shards_give_what_indexing_here_gives(
    store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = shards(store, folder, tmp_path, monkeypatch)
    assert len(files) >= 3
    other = committed(tmp_path / "other", files)
    expected = contents(store)
    assert len(expected["images"]) == 16
    assert len(expected["failures"]) == 3
    assert contents(other) == expected
    assert index(other, folder, FakeEncoder(), **HOW).unchanged == 16, "what came from elsewhere is not read again"


def test_the_same_shards_again_change_nothing_but_times(
    store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = shards(store, folder, tmp_path, monkeypatch)
    before = contents(store)
    with store.reading() as con:
        generation = images_generation(con)
    for file in files:
        with store.indexing(), store.writing() as con:
            commit(con, pq.read_table(file))
    assert contents(store) == before
    with store.reading() as con:
        assert images_generation(con) != generation


def rows(*changes: dict[str, Any], encoder: Any = None) -> pa.Table:
    """Return a batch with one image for each of some changes."""
    schema = batch_schema(encoder or fake_id())
    image = {
        "source": "/p", "sha256": "a" * 64, "width": 3, "height": 2, "size_bytes": 5, "modified_ns": 6,
        "joint": np.eye(12, dtype=np.float32)[0], "vision": np.ones(16, np.float32),
    }  # fmt: skip
    made = [image | {"address": f"/p/{i}.png"} | change for i, change in enumerate(changes)]
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in made], schema)


def test_another_content_at_an_address_takes_its_place(store: Store) -> None:
    with store.writing() as con:
        commit(con, rows({}, {"sha256": "b" * 64}))
    with store.writing() as con:
        commit(con, rows({"sha256": "c" * 64}, {"sha256": "b" * 64, "category": "cat"}))
    failure = {"reason": "truncated", "stage": "decode", "detail": "cut"}
    with store.reading() as con:
        assert con.rows("SELECT image_id, path, category FROM images ORDER BY 1") == [
            (2, "/p/1.png", "cat"), (3, "/p/0.png", None)
        ]  # fmt: skip
        assert con.value("SELECT count(*) FROM vectors_1") == 3
    gone = {"sha256": None, "width": None, "height": None, "joint": None, "vision": None, "failure": failure}
    with store.writing() as con:
        commit(con, rows(gone | {"size_bytes": 1}, gone))
    with store.reading() as con:
        # Where size and time are as they were it is the decoder that changed, not the image.
        assert con.rows("SELECT image_id FROM images ORDER BY 1") == [(2,)]
        assert con.rows("SELECT path, reason FROM failures ORDER BY 1") == [
            ("/p/0.png", "truncated"), ("/p/1.png", "truncated")
        ]  # fmt: skip


def test_a_copy_has_the_vectors_of_what_it_is_a_copy_of(store: Store) -> None:
    with store.writing() as con:
        commit(con, rows({}, {"joint": None, "vision": None}))
        commit(con, rows({"address": "/p/9.png", "joint": None, "vision": None}))
        assert con.value("SELECT count(DISTINCT joint::VARCHAR || vision::VARCHAR) FROM vectors_1") == 1
        assert con.rows("SELECT image_id FROM vectors_1 ORDER BY 1") == [(1,), (2,), (3,)]


def test_a_copy_before_what_it_is_a_copy_of_and_one_of_an_earlier_batch(store: Store) -> None:
    none, other = {"joint": None, "vision": None}, {"sha256": "b" * 64, "joint": np.eye(12, dtype=np.float32)[1]}
    with store.writing() as con:
        commit(con, rows({}))
        commit(
            con,
            rows(
                *(
                    {"address": f"/p/{i + 1}.png"} | more
                    for i, more in enumerate((none | {"sha256": "b" * 64}, other, none))
                )
            ),
        )
        assert con.rows("SELECT image_id, list_position(joint::FLOAT[], 1) FROM vectors_1 ORDER BY 1") == [
            (1, 1), (2, 2), (3, 2), (4, 1)
        ]  # fmt: skip
        assert con.value("SELECT count(DISTINCT content_hash) FROM vectors_1") == 2


def test_vectors_are_written_as_they_are_and_all_else_compressed(store: Store) -> None:
    with store.writing() as con:
        commit(con, rows(*({"sha256": f"{i:064x}"} for i in range(2048))))
        assert con.value("SELECT current_setting('force_compression')").lower() == "auto"
    how = (
        "SELECT DISTINCT compression FROM pragma_storage_info('{}') "
        "WHERE column_name = '{}' AND segment_type <> 'VALIDITY'"
    )
    with store.reading() as con:
        assert con.rows(how.format("vectors_1", "joint")) == [("Uncompressed",)]
        assert ("Uncompressed",) not in con.rows(how.format("stored_images", "path"))


def test_vectors_that_cannot_be_written_leave_the_compression_as_it_was(store: Store) -> None:
    with store.writing() as con:
        con.run("COMMIT")
        with pytest.raises(duckdb.ConversionException), con.transaction(), con.uncompressed():
            con.run("SELECT 'a'::INTEGER")
        assert con.value("SELECT current_setting('force_compression')").lower() == "auto"
        con.run("BEGIN TRANSACTION")


def test_an_address_has_one_failure_its_newest(store: Store) -> None:
    none = dict.fromkeys(("sha256", "width", "height", "joint", "vision"))
    first = none | {"failure": {"reason": "truncated", "stage": "decode", "detail": "cut"}}
    second = none | {"failure": {"reason": "unreadable", "stage": "read", "detail": "gone"}, "size_bytes": 8}
    with store.writing() as con:
        commit(con, rows(first))
        commit(con, rows(second))
        found = con.rows("SELECT path, stage, reason, detail, size_bytes, modified_ns FROM failures")
    assert found == [("/p/0.png", "read", "unreadable", "gone", 8, 6)]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (lambda: rows({"address": "/p/1.png"}, {}), "an address twice"),
        (lambda: rows({"joint": np.full(12, np.nan)}), "NaN"),
        (lambda: rows({"joint": None, "vision": None}), "1 rows of the encoded batch have neither"),
        (lambda: rows({}).drop_columns("vision"), "columns"),
        (lambda: rows({}).replace_schema_metadata({}), "not an encoded batch"),
    ],
)
def test_what_is_not_a_whole_batch_is_refused_and_nothing_written(store: Store, batch: Any, message: str) -> None:
    with pytest.raises(StoreError, match=message), store.writing() as con:
        commit(con, batch())
    with store.reading() as con:
        assert con.value("SELECT count(*) FROM stored_images") == 0
