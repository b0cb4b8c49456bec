"""Exports, each read back by the program that it is for."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import shotdex
from shotdex.errors import EmptyStore, OptionError
from tests.cli.checks import failed
from tests.support.fakes import FakeEncoder
from tests.support.images import save_colour

COLOURS = ("red", "green", "blue")
PLACE = {1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> shotdex.Session:
    """Six labelled images and one without a label, two of which say in EXIF where they were taken, with two runs."""
    folder = tmp_path_factory.mktemp("exchange")
    for i, colour in enumerate(COLOURS):
        save_colour(folder / "photos" / "plain" / colour / f"a, {i}.png", colour)
        exif = Image.Exif()
        exif.get_ifd(0x8825).update(PLACE)
        exif[0x010F] = "Maker"
        target = folder / "photos" / "wide" / colour / "é.jpg"
        target.parent.mkdir(parents=True)
        Image.new("RGB", (30, 8 + i), colour).save(target, exif=exif)
    save_colour(folder / "photos" / "loose.png", "white")
    store = shotdex.open(folder / "store", create=True)
    store.index(folder / "photos", model=FakeEncoder(), layout="{condition}/{category}/*")
    store.classify(name="names")
    store.classify(templates=["a {}"], name="words")
    return store


def test_parquet_is_read_by_pyarrow_pandas_polars_and_duckdb(store: shotdex.Session, tmp_path: Path) -> None:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "images.parquet"
    done = store.export("parquet", file, run="names")
    assert (done.images, done.path, done.failed) == (7, file, ())
    table = pq.read_table(file)
    ids, vectors = store.vectors()
    assert table.column("image_id").to_pylist() == ids.tolist()
    assert table.schema.field("joint").type == pa.list_(pa.float32(), vectors.shape[1])
    assert "vision" not in table.column_names
    np.testing.assert_array_equal(np.stack(table.column("joint").to_pylist()).astype(np.float32), vectors)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    images = store.sql("SELECT image_id, path, category, width, added_at FROM images ORDER BY image_id").to_dicts()
    assert table.select(list(images[0])).to_pylist() == images
    outcomes = store.sql("SELECT predicted, probability, correct FROM outcomes WHERE run = 'names' ORDER BY image_id")
    assert table.select(["predicted", "probability", "correct"]).to_pylist() == outcomes.to_dicts()
    frame = pd.read_parquet(file)
    assert list(frame["path"]) == table.column("path").to_pylist()
    np.testing.assert_array_equal(np.stack(frame["joint"].to_numpy()), vectors)
    polar = pl.read_parquet(file)
    np.testing.assert_array_equal(polar["joint"].to_numpy(), vectors)
    assert polar["category"].to_list() == table.column("category").to_pylist()
    with duckdb.connect() as con:
        found = con.execute("SELECT image_id, category FROM read_parquet($f) ORDER BY 1", {"f": str(file)}).fetchall()
    assert found == [(row["image_id"], row["category"]) for row in images]


def test_vision_vectors_and_filters_come_only_when_they_are_wanted(store: shotdex.Session, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    store.export("parquet", tmp_path / "a.parquet", space="vision", where="category = 'red'")
    table = pq.read_table(tmp_path / "a.parquet")
    assert len(table) == 2
    _, vision = store.vectors(space="vision", where="category = 'red'")
    np.testing.assert_array_equal(np.stack(table.column("vision").to_pylist()).astype(np.float32), vision)
    assert "predicted" not in table.column_names
    with pytest.raises(EmptyStore) as caught:
        store.export("csv", tmp_path / "none.csv", where="category = 'rde'")
    assert "category `rde`" in caught.value.hint
    with pytest.raises(OptionError, match="gone"):
        store.export("csv", tmp_path / "none.csv", run="gone")
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_csv_and_jsonl_have_the_same_rows_without_vectors(store: shotdex.Session, tmp_path: Path) -> None:
    import pandas as pd

    store.export("csv", tmp_path / "a.csv", run="words")
    store.export("jsonl", tmp_path / "a.jsonl", run="words")
    frame = pd.read_csv(tmp_path / "a.csv")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert list(frame.columns) == list(lines[0])
    assert "joint" not in frame.columns
    assert list(frame["path"]) == [line["path"] for line in lines]
    assert [line["correct"] for line in lines] == [
        row[0] for row in store.sql("SELECT correct FROM outcomes WHERE run = 'words' ORDER BY image_id")
    ]
    assert lines[0]["added_at"].startswith("20")


def test_numpy_arrays_stand_in_one_order(store: shotdex.Session, tmp_path: Path) -> None:
    store.export("numpy", tmp_path / "arrays", space="vision")
    ids, vectors = store.vectors()
    np.testing.assert_array_equal(np.load(tmp_path / "arrays" / "ids.npy"), ids)
    mapped = np.load(tmp_path / "arrays" / "vectors.npy", mmap_mode="r")
    assert mapped.dtype == np.float32
    np.testing.assert_array_equal(mapped, vectors)
    np.testing.assert_array_equal(np.load(tmp_path / "arrays" / "vision.npy"), store.vectors(space="vision")[1])
    assert (tmp_path / "arrays" / "images.csv").read_text(encoding="utf-8").count("\n") == 8


def test_hugging_face_loads_the_folder(store: shotdex.Session, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")

    done = store.export("hf", tmp_path / "hf", run="names", where="category IS NOT NULL")
    assert done.images == 6
    loaded = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "hf"), cache_dir=str(tmp_path / "cache"))
    rows = loaded["train"]
    assert len(rows) == 6
    assert sorted(rows["label"]) == sorted(COLOURS * 2)
    assert rows[0]["image"].size[0] > 0
    assert {"image", "label", "condition", "predicted", "correct"} <= set(rows.features)


def test_torchvision_counts_the_folder(store: shotdex.Session, tmp_path: Path) -> None:
    done = store.export("imagefolder", tmp_path / "folder")
    assert (done.images, [reason for _, reason in done.failed]) == (6, ["it has no category"])
    classes = sorted(path.name for path in (tmp_path / "folder").iterdir())
    assert classes == sorted(COLOURS)  # torchvision's ImageFolder takes these for the classes
    for name in classes:
        assert len(list((tmp_path / "folder" / name).iterdir())) == 2
        for file in (tmp_path / "folder" / name).iterdir():
            exif_of(file)


def test_fiftyone_labels(store: shotdex.Session, tmp_path: Path) -> None:
    store.export("fiftyone", tmp_path / "fo", run="names")
    labels = json.loads((tmp_path / "fo" / "labels.json").read_text(encoding="utf-8"))
    assert labels["classes"] == sorted(COLOURS)
    stems = {path.stem for path in (tmp_path / "fo" / "data").iterdir()}
    assert len(stems) == 7
    assert set(labels["labels"]) < stems
    predicted = json.loads((tmp_path / "fo" / "predictions.json").read_text(encoding="utf-8"))
    assert set(predicted["labels"]) == stems


def test_the_atlas_has_places_and_neighbours(store: shotdex.Session, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    done = store.export("atlas", tmp_path / "atlas.parquet")
    assert "embedding-atlas" in done.notes[0]
    table = pq.read_table(tmp_path / "atlas.parquet")
    assert np.isfinite(table.column("projection_x").to_numpy()).all()
    _, vectors = store.vectors()
    cosines = vectors @ vectors.T
    for row, near in enumerate(table.column("neighbors").to_pylist()):
        assert sorted([*near["ids"], row]) == list(range(7))
        expected = 1 - cosines[row, near["ids"]]
        np.testing.assert_allclose(near["distances"], np.clip(expected, 0, 2), atol=1e-6)
        assert near["distances"] == sorted(near["distances"])


def places(folder: Path) -> list[dict[int, object]]:
    return [dict(exif_of(file).get_ifd(0x8825)) for file in sorted(folder.rglob("*.jpg"))]


def exif_of(file: Path) -> Image.Exif:
    with Image.open(file) as image:
        image.load()
        return image.getexif()


def test_where_an_image_was_taken_stays_out_unless_it_is_wanted(store: shotdex.Session, tmp_path: Path) -> None:
    store.export("imagefolder", tmp_path / "without")
    assert places(tmp_path / "without") == [{}] * 3
    for file in (tmp_path / "without").rglob("*.jpg"):
        assert exif_of(file)[0x010F] == "Maker"
    store.export("imagefolder", tmp_path / "with", with_gps=True, link=True)
    assert [place[1] for place in places(tmp_path / "with")] == ["N"] * 3
    assert all(file.is_symlink() for file in (tmp_path / "with").rglob("*.jpg"))
    store.export("csv", tmp_path / "places.csv", with_gps=True)
    assert "48.858" in (tmp_path / "places.csv").read_text(encoding="utf-8")
    store.export("hf", tmp_path / "linked", link=True)
    assert {file.is_symlink() for file in (tmp_path / "linked" / "images").glob("*.jpg")} == {False}
    assert {file.is_symlink() for file in (tmp_path / "linked" / "images").glob("*.png")} == {True}
    for form in ("csv", "parquet", "jsonl"):
        store.export(form, tmp_path / f"images.{form}")
        text = (tmp_path / f"images.{form}").read_bytes().lower()
        assert b"gps" not in text
        assert b"latitude" not in text


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_place_is_taken_out_of_a_file(tmp_path: Path, ending: str) -> None:
    from shotdex.exchange.gps import without_gps

    exif = Image.Exif()
    exif.get_ifd(0x8825).update(PLACE)
    exif[0x010F] = "Maker"
    Image.new("RGB", (9, 7), "red").save(tmp_path / f"a.{ending}", exif=exif)
    data = (tmp_path / f"a.{ending}").read_bytes() + b'<x exif:GPSLatitude="48,51.5N"/>'
    cleaned = without_gps(data)
    assert len(cleaned) == len(data)
    assert b"48,51" not in cleaned
    (tmp_path / f"b.{ending}").write_bytes(cleaned)
    with Image.open(tmp_path / f"b.{ending}") as image:
        assert dict(image.getexif().get_ifd(0x8825)) == {}
        assert image.getexif()[0x010F] == "Maker"
        image.load()
    plain = without_gps(cleaned)
    assert plain is cleaned


def test_nothing_is_overwritten_unasked(store: shotdex.Session, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    for form, name in (("csv", "a.csv"), ("numpy", "a.csv"), ("numpy", "full"), ("csv", "full"), ("hf", "full")):
        with pytest.raises(OptionError):
            store.export(form, tmp_path / name, overwrite=form != "csv")
    assert (tmp_path / "a.csv").read_text() == "mine"
    store.export("csv", tmp_path / "a.csv", overwrite=True)
    assert (tmp_path / "a.csv").read_text().startswith("image_id,")
    (tmp_path / "empty").mkdir()
    store.export("numpy", tmp_path / "empty")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "empty", "full"]
    with pytest.raises(OptionError, match="xml"):
        store.export("xml", tmp_path / "a.xml")


def test_the_command(store: shotdex.Session, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue("shotdex")
    ran = run("export", "imagefolder", tmp_path / "f", "--store", store.path)
    assert ran.status == 0, ran
    assert "wrote 6 images" in ran.out
    assert "loose.png (it has no category)" in ran.err
    failed(run("export", "imagefolder", tmp_path / "f", "--store", store.path), 2, "not empty")
    found = json.loads(run("export", "csv", tmp_path / "a.csv", "--json", "--store", store.path).out)
    assert found["images"] == 7


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8")
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_name_that_is_not_utf8_is_found_again(tmp_path: Path, form: str) -> None:
    file = tmp_path / "photos" / os.fsdecode(b"caf\xe9.png")
    save_colour(tmp_path / "plain.png", "red").rename(file.parent.mkdir() or file)
    first = shotdex.open(tmp_path / "first", create=True)
    first.index(file.parent, model=FakeEncoder())
    first.export(form, tmp_path / f"rows.{form}")
    written = (tmp_path / f"rows.{form}").read_text(encoding="utf-8")
    if form == "jsonl":
        assert json.loads(written)["path"] == str(file), "as Python opens it"
    again = shotdex.open(tmp_path / "again", create=True)
    assert again.index(tmp_path / f"rows.{form}", model=FakeEncoder(), columns={"image": "path"}).added == 1
    assert again.sql("SELECT path FROM images").to_dicts() == first.sql("SELECT path FROM images").to_dicts()
