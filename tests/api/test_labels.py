"""Labels through the door: changes are said before, what is left out is remembered, accents have one form."""

from __future__ import annotations

import inspect
import unicodedata
from pathlib import Path

import pytest

import shotdex
from shotdex.store.source_records import left_out
from shotdex.upkeep.status import status
from tests.support.archives import zip_bytes
from tests.support.images import encoded, noise, save_noise


def categories(store: shotdex.Session) -> dict[str, str | None]:
    return {
        Path(row["path"]).name: row["category"] for row in store.sql("SELECT path, category FROM images").to_dicts()
    }


def test_labels_that_change_are_said_before(tmp_path: Path) -> None:
    for i, name in enumerate(("car01", "carrot01", "CarSide", "english_setter_1")):
        save_noise(tmp_path / "t" / f"{name}.png", seed=i)
    store = shotdex.open(tmp_path / "store", create=True)
    store.index(tmp_path / "t", model="demo", layout="{category}*", categories=["car", "english setter"])
    assert categories(store)["carrot01.png"] == "car"
    found = store.preview(tmp_path / "t", categories=["car", "english setter"])
    assert (found.relabelled, found.categories) == (1, 2)
    assert "labels of indexed images change: category car -> none (1)" in found.notes
    said: list[str] = []
    report = store.index(tmp_path / "t", categories=["car", "english setter"], note=said.append)
    assert "labels of indexed images change: category car -> none (1)" in said
    assert categories(store) == {
        "car01.png": "car",
        "carrot01.png": None,
        "CarSide.png": "car",
        "english_setter_1.png": "english setter",
    }
    assert [Path(path).name for path in report.unlabelled_files] == ["carrot01.png"]


def test_a_preview_shows_doubtful_examples(tmp_path: Path) -> None:
    for i, name in enumerate(("car01", "carrot01", "Carside_V3", "hat2")):
        save_noise(tmp_path / "t" / f"{name}.png", seed=i)
    store = shotdex.open(tmp_path / "store", create=True)
    found = store.preview(tmp_path / "t", model="demo", layout="{category}*", categories=["car", "hat"])
    assert [(each.category, each.doubtful, each.sure) for each in found.classes] == [
        ("car", "Carside_V3.png", "car01.png"),
        ("hat", None, "hat2.png"),
    ]
    assert "Carside_V3.png: car (doubtful); car01.png: car" in repr(found)
    assert "2 classes, read from the start of file names" in repr(found)


def test_what_is_left_out_is_remembered(tmp_path: Path) -> None:
    save_noise(tmp_path / "nas" / "1.png", seed=1)
    save_noise(tmp_path / "nas" / "@eaDir" / "2.png", seed=2)
    (tmp_path / "nas" / "metadata.csv").write_text("file\n1.png\n")
    store = shotdex.open(tmp_path / "store", create=True)
    store.index(tmp_path / "nas", model="demo")
    found = status(store.store)
    assert [(each.kind, each.count) for each in found.left_out] == [("tables", 1), ("system folders", 1)]
    assert found.unlabelled == [str(tmp_path / "nas" / "1.png")]
    assert store.index(tmp_path / "nas", all_folders=True).added == 1
    assert store.index(tmp_path / "nas").unchanged == 2, "the option is kept for the next time"
    with store.store.reading() as con:
        assert [each.kind for each in left_out(con, str(tmp_path / "nas"))] == ["tables"]


def test_accents_are_the_same_in_filters_and_classes(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    for i, name in enumerate((apart, apart, "bar", "bar")):
        save_noise(tmp_path / "mac" / name / f"{i}.png", seed=i)
    store = shotdex.open(tmp_path / "store", create=True)
    store.index(tmp_path / "mac", model="demo")
    for form in (composed, apart):
        assert len(store.search("x", where=f"category = '{form}'")) == 2
        assert len(store.search("x", where=f"path LIKE '%{form}%' AND images.category = '{form}'")) == 2
    store.classify(classes=[apart, "bar"], name="typed")  # a category without a class would be an error
    assert store.sql("SELECT DISTINCT category FROM outcomes ORDER BY 1").to_dicts() == [
        {"category": "bar"},
        {"category": composed},
    ]


def test_class_names_that_a_reader_could_mistake_are_named(tmp_path: Path) -> None:
    for i, name in enumerate(("Dog", "dog", "7", "8")):
        save_noise(tmp_path / ("a" if i < 2 else "b") / name / f"{i}.png", seed=i)
    store = shotdex.open(tmp_path / "store", create=True)
    assert "Dog and dog" in " ".join(store.index(tmp_path / "a", model="demo").notes)
    assert "the categories are numbers (7, 8)" in " ".join(store.index(tmp_path / "b").notes)


def test_what_is_left_out_now_was_not_lost(tmp_path: Path) -> None:
    save_noise(tmp_path / "nas" / "1.png", seed=0)
    for i in range(1, 6):
        save_noise(tmp_path / "nas" / "@eaDir" / f"{i}.png", seed=i)
    store = shotdex.open(tmp_path / "store", create=True)
    assert store.index(tmp_path / "nas", model="demo", all_folders=True).added == 6
    assert store.index(tmp_path / "nas", all_folders=False).removed == 5


def test_a_pattern_is_indexed_again(tmp_path: Path) -> None:
    (tmp_path / "zips").mkdir()
    for i in range(2):
        (tmp_path / "zips" / f"{i}.zip").write_bytes(zip_bytes([(f"{i}.png", encoded(noise(i), "PNG"))]))
    store = shotdex.open(tmp_path / "store", create=True)
    for place in ("zips/*.zip", "zips"):
        store.index(tmp_path / place, model="demo")
        assert store.index(tmp_path / place).unchanged == 2


@pytest.mark.parametrize("option", ["labels_as_written", "all_folders", "zip_names"])
def test_every_option_is_a_keyword(option: str) -> None:
    assert option in inspect.signature(shotdex.Session.index).parameters
