"""Vectors that stay in shards in a bucket: only what is needed is read, and what is wrong there is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import shotdex
from shotdex.store.errors import StoreError
from shotdex.upkeep.verify import VerifyOptions, verify
from tests.indexer.shards import encode, index_shards, make_folder, vectors
from tests.support.images import save_noise
from tests.support.s3_server import Objects, objects

PLACE = "s3://bucket/my shards"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    with objects() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        encode(make_folder(tmp_path / "images", 12), "0/1", tmp_path / "place", part_rows=8)
        for file in (tmp_path / "place").iterdir():
            server.kept[f"bucket/my shards/{file.name}"] = file.read_bytes()
        yield server


def test_vectors_are_read_from_a_bucket(bucket: Objects, tmp_path: Path) -> None:
    index_shards(tmp_path / "store", PLACE, vectors="shards")
    index_shards(tmp_path / "catalog", tmp_path / "place")
    for mine, theirs in zip(vectors(tmp_path / "store"), vectors(tmp_path / "catalog"), strict=True):
        assert mine.tobytes() == theirs.tobytes()
    assert verify(tmp_path / "store", VerifyOptions()).whole
    bucket.read.clear()
    shotdex.open(tmp_path / "store").vectors(where="image_id = 1")
    assert {path for path, *_ in bucket.read} == {min(bucket.kept)}
    [shown] = shotdex.open(tmp_path / "store").status().vector_shards
    assert (shown.folder, shown.shards, shown.missing) == (PLACE, len(bucket.kept), 0)


def test_what_is_wrong_in_a_bucket_is_named(bucket: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    index_shards(store, PLACE, vectors="shards")
    first, second, *_ = bucket.kept
    whole = bucket.kept[first]
    bucket.kept[first] = bucket.kept[second]
    assert f"s3://{first}, which is not the shard that was committed" in said(store)
    del bucket.kept[first]
    assert f"s3://{first}, which is not there" in said(store)
    bucket.kept[first] = whole
    vectors(store)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "which cannot be read now:" in said(store)
    [check] = [one for one in verify(store, VerifyOptions()).checks if one.name == "vectors of encoder 1 in shards"]
    assert "cannot be read now" in check.text
    assert "check the connection" in check.hint
    save_noise(tmp_path / "images" / "new.png", seed=77)
    encode(tmp_path / "images", "0/1", tmp_path / "again")
    with pytest.raises(StoreError, match="cannot be read now") as raised:  # nothing is given up that may be back
        index_shards(store, tmp_path / "again", vectors="shards")
    assert "check the connection" in raised.value.hint


def said(store: Path) -> str:
    with pytest.raises(StoreError) as raised:
        vectors(store)
    return str(raised.value)
