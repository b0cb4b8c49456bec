"""Vectors that were made elsewhere: a round trip, clip-retrieval's files, and what is wrong with a row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shotdex
from shotdex.errors import ModelUnavailable, OptionError, SourceError
from tests.cli.checks import failed
from tests.support.fakes import FakeEncoder
from tests.support.images import save_colour

NAMES = ("red", "green", "blue", "white")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in NAMES:
        save_colour(tmp_path / "photos" / f"{name}.png", name)
    return tmp_path / "photos"


def table(photos: Path, **columns: object) -> Path:
    names = [f"photos/{name}.png" for name in NAMES]
    file = photos.parent / "images.parquet"
    pq.write_table(pa.table({"image_path": names, "label": list(NAMES), "caption": list("abcd"), **columns}), file)
    return file


VECTORS = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def test_an_export_comes_back_with_the_same_hits(tmp_path: Path, colours: Path) -> None:
    first = shotdex.open(tmp_path / "first", create=True, model=FakeEncoder())
    first.index(colours, model=FakeEncoder(), layout="{condition}/{category}*", categories=["red", "blue"])
    first.export("parquet", tmp_path / "images.parquet", space="vision")
    second = shotdex.open(tmp_path / "second", create=True, model=FakeEncoder())
    report = second.index(tmp_path / "images.parquet", vectors_from="joint", encoder="fake")
    assert (report.added, report.failed, report.encoder) == (10, 0, FakeEncoder().id)
    hits = [first.search("red", k=10), second.search("red", k=10)]
    assert [hit.path for hit in hits[0]] == [hit.path for hit in hits[1]]
    np.testing.assert_allclose([hit.cosine for hit in hits[0]], [hit.cosine for hit in hits[1]], atol=1e-6)
    for space in ("joint", "vision"):
        np.testing.assert_allclose(first.vectors(space=space)[1], second.vectors(space=space)[1], atol=1e-6)
    labels = "SELECT path, category, condition, width, height, content_sha256, metadata FROM images ORDER BY path"
    assert list(first.sql(labels)) == list(second.sql(labels))
    again = second.index(tmp_path / "images.parquet", vectors_from="joint", encoder="fake")
    assert (again.added, again.unchanged, again.encoded) == (0, 10, 0)
    assert second.verify().details.whole
    min(colours.rglob("*.png")).write_bytes(max(colours.rglob("*.png")).read_bytes())
    changed = second.index(tmp_path / "images.parquet", vectors_from="joint", encoder="fake")
    assert [failure.detail for failure in changed.failures] == ["it changed since its vector was made"]


def test_a_column_under_a_name_of_ones_own(photos: Path, tmp_path: Path) -> None:
    store = shotdex.open(tmp_path / "store", create=True)
    report = store.index(table(photos, emb=list(VECTORS)), vectors_from="emb", encoder="mine")
    assert (report.added, report.failed) == (4, 0)
    ids, vectors = store.vectors()
    np.testing.assert_allclose(vectors, VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(store.vectors(space="vision")[1], VECTORS)
    assert store.sql("SELECT category, metadata->>'caption' FROM images ORDER BY 1")[0] == ("blue", "c")
    nearest = store.sql("FROM nearest($id, 1)", id=int(ids[0]))
    cosines = vectors @ vectors[0]
    cosines[0] = -2
    assert nearest[0][0] == ids[cosines.argmax()]
    with pytest.raises(ModelUnavailable) as caught:
        store.search("a dog")
    assert "model=encoder" in caught.value.hint
    assert "download" not in str(caught.value) + caught.value.hint
    labelled = "FROM images SELECT path, category ORDER BY path"
    before = list(store.sql(labelled))
    store.index(photos, model=FakeEncoder())
    again = store.index(table(photos, emb=list(VECTORS)), vectors_from="emb", encoder="mine")
    assert (again.added, again.unchanged) == (0, 4)
    assert list(store.sql(labelled)) == before
    assert store.verify().details.whole


def test_what_clip_retrieval_writes(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for folder in ("img_emb", "metadata"):
        (out / folder).mkdir(parents=True)
    for part, rows in enumerate((slice(0, 3), slice(3, 4))):
        np.save(out / "img_emb" / f"img_emb_{part}.npy", VECTORS[rows].astype(np.float16))
        names = [str(photos / f"{name}.png") for name in NAMES[rows]]
        pq.write_table(pa.table({"image_path": names}), out / "metadata" / f"metadata_{part}.parquet")
    store = shotdex.open(tmp_path / "store", create=True)
    report = store.index(out, vectors_from="img_emb", encoder="ViT-B/32")
    assert (report.added, report.failed) == (4, 0)
    order = [NAMES.index(Path(path).stem) for (path,) in store.sql("SELECT path FROM images ORDER BY image_id")]
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    np.testing.assert_allclose(store.vectors()[1], unit[order], atol=2e-3)
    second = shotdex.open(tmp_path / "second", create=True)
    arrays, tables = str(out / "img_emb" / "img_emb_*.npy"), str(out / "metadata" / "metadata_*.parquet")
    assert second.index(tables, vectors_from=arrays, encoder="x").added == 4
    with pytest.raises(OptionError, match="4 rows and the arrays 3"):
        second.index(tables, vectors_from=str(out / "img_emb" / "img_emb_0.npy"), encoder="x")


def test_each_bad_row_is_a_failure(photos: Path, tmp_path: Path) -> None:
    names = ["red", "green", "blue", "white", "red", "none", "text"]
    (photos / "text.png").write_text("no image")
    vectors: list[list[float]] = [
        [1.0, 2.0],
        [1.0],
        [float("nan"), 1.0],
        [0.0, 0.0],
        [3.0, 4.0],
        [1.0, 1.0],
        [1.0, 3.0],
    ]
    file = tmp_path / "images.parquet"
    pq.write_table(pa.table({"path": [f"photos/{name}.png" for name in names], "v": vectors}), file)
    store = shotdex.open(tmp_path / "store", create=True)
    report = store.index(file, vectors_from="v", encoder="mine")
    assert (report.added, report.failed) == (1, 6)
    found = {Path(path).name: detail for path, detail in store.sql("SELECT path, detail FROM failures")}
    for name, word in {
        "green.png": "1 numbers; 2 are needed",
        "blue.png": "NaN",
        "white.png": "zero",
        "images.parquet!row 5": "row 1 has the path",
        "none.png": "No such file",
        "text.png": "no image",
    }.items():
        assert word in found[name]
    assert store.vectors()[1].shape == (1, 2)
    good = store.index(table(photos, emb=list(VECTORS[:, :2])), vectors_from="emb", encoder="mine")
    assert (good.added, good.unchanged) == (3, 1)
    assert store.sql("SELECT count(*) FROM failures WHERE path LIKE '%.png'")[0] == (2,)
    with pytest.raises(SourceError, match="6 numbers; 2 are needed"):
        store.index(table(photos, emb=list(VECTORS)), vectors_from="emb", encoder="mine")


def test_what_cannot_be_meant(photos: Path, tmp_path: Path) -> None:
    store = shotdex.open(tmp_path / "store", create=True)
    file = table(photos, emb=list(VECTORS))
    for error, how in (
        (OptionError, {"vectors_from": "emb"}),
        (OptionError, {"encoder": "mine"}),
        (OptionError, {"vectors_from": "gone.npy", "encoder": "mine"}),
        (SourceError, {"vectors_from": "gone", "encoder": "mine"}),
        (SourceError, {"vectors_from": "caption", "encoder": "mine"}),
        (SourceError, {"vectors_from": "emb", "encoder": "mine", "columns": {"image": "gone"}}),
    ):
        with pytest.raises(error):
            store.index(file, **how)  # type: ignore[arg-type]
    (tmp_path / "evil.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': '|O'}  ")
    with pytest.raises(OptionError, match="array of numpy"):
        store.index(file, vectors_from=tmp_path / "evil.npy", encoder="mine")
    with pytest.raises(SourceError, match="no table"):
        store.index(tmp_path / "gone.parquet", vectors_from="emb", encoder="mine")


def test_the_command(photos: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue("shotdex")
    np.save(tmp_path / "v.npy", VECTORS)
    file = table(photos)
    how = ("--vectors-from", tmp_path / "v.npy", "--encoder", "mine", "--store", tmp_path / "store")
    ran = run("index", file, *how, "--json")
    assert (ran.status, json.loads(ran.out)["added"]) == (0, 4), ran
    ran = run("index", file, *how)
    assert "4 unchanged" in ran.out
    failed(run("index", file, *how, "--dry-run"), 2, "--dry-run")
