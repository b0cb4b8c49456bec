"""What is read as a label, which column has them, what is left out, and several archives or tables as one source."""

from __future__ import annotations

import json
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.indexer.inventory import Inventory
from shotdex.media.archives.zip_names import check_encoding, readings
from shotdex.media.sources import is_gone, open_source, read_bytes
from shotdex.media.sources.base import Candidate, Note, Reading
from shotdex.media.sources.label_cells import LabelCells
from shotdex.media.sources.several import SeveralSource, find_parts, only_numbered
from shotdex.store.errors import OptionError, SourceError
from shotdex.store.images import Labels
from tests.support.archives import save_tar, zip_bytes
from tests.support.images import encoded, noise


def png_bytes(seed: int) -> bytes:
    return encoded(noise(seed), "PNG")


def parquet(path: Path, columns: dict[str, list[Any]], classes: dict[str, list[str]] | None = None) -> Path:
    """Write images in cells with further columns, some of which name their classes as the datasets library does."""
    count = len(next(iter(columns.values())))
    images = pa.array([{"bytes": png_bytes(i), "path": None} for i in range(count)])
    features = {name: {"_type": "ClassLabel", "names": names} for name, names in (classes or {}).items()}
    table = pa.table({"image": images, **columns})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), path)
    return path


def categories(place: Path | str, **reading: Any) -> list[str | None]:
    found = open_source(place, reading=Reading(**reading)).scan()
    return [each.labels.category if each.labels else None for each in found if isinstance(each, Candidate)]


def notes(place: Path | str) -> str:
    return " ".join(each.text for each in open_source(place).scan() if isinstance(each, Note))


@pytest.mark.parametrize(
    ("columns", "classes", "want"),
    [
        ({"labels": [1, 0]}, {"labels": ["rust", "spot"]}, ["spot", "rust"]),
        ({"disease": [1, 0]}, {"disease": ["rust", "spot"]}, ["spot", "rust"]),
        ({"fine_label": [1, 0], "coarse_label": [0, 0]}, {"fine_label": ["a", "b"], "coarse_label": ["c"]}, ["b", "a"]),
        ({"Class-Name": ["x", "y"]}, {}, ["x", "y"]),
        ({"labels": [["x"], ["y"]]}, {}, [None, None]),
        ({"caption": ["x", "y"]}, {}, [None, None]),
    ],
)
def test_the_column_of_the_category(
    tmp_path: Path, columns: dict[str, list[Any]], classes: dict[str, list[str]], want: list[str | None]
) -> None:
    path = parquet(tmp_path / "train-00000-of-00001.parquet", columns, classes)
    assert categories(path) == want
    with Inventory(open_source(path)) as inventory:
        inventory.walk()
        assert inventory.shape()[0] == {}, "no layout is guessed from a name that the table gave"


def test_the_columns_that_could_be_the_category_are_named(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", {"id": [1, 2, 3, 4], "breed": ["a", "b", "a", "b"], "text": ["x" * 200] * 4})
    assert "it could be breed: --columns category=breed" in notes(path)


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "NA", "N/A", "null", "None", None, float("nan"), " NA "])
def test_cells_that_are_no_label(cell: Any) -> None:
    cells = LabelCells()
    assert cells.label(cell) is None
    assert cells.empty.total() == 1
    assert "1 cell is not taken as a label" in cells.note()


@pytest.mark.parametrize(
    ("cell", "want"), [("3.0", "3"), (3.0, "3"), ("-7.00", "-7"), ("3.5", "3.5"), ("none", "none")]
)
def test_whole_numbers(cell: Any, want: str) -> None:
    assert LabelCells().label(cell) == want
    assert LabelCells(as_written=True).label("3.0") == "3.0"
    assert LabelCells(as_written=True).label("NA") == "NA"
    assert LabelCells(as_written=True).label("") is None


@given(st.integers(-(10**6), 10**6))
def test_a_whole_number_is_the_same_label_however_it_is_written(number: int) -> None:
    cells = LabelCells()
    assert {cells.label(each) for each in (number, float(number), str(number), f"{number}.0")} == {str(number)}


def test_csv_labels_and_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes(1))
    (tmp_path / "t.csv").write_text("file,label\na.png,NA\na.png,2.0\na.png,dog\n")
    assert categories(tmp_path / "t.csv") == [None, "2", "dog"]
    assert categories(tmp_path / "t.csv", labels_as_written=True) == ["NA", "2.0", "dog"]
    with Inventory(open_source(tmp_path / "t.csv")) as inventory:
        inventory.walk()
        assert "1 cell is not taken as a label (1 NA), whole numbers written with .0: 1" in " ".join(inventory.notes())


def left(place: Path, **reading: Any) -> dict[str, list[str]]:
    with Inventory(open_source(place, reading=Reading(**reading))) as inventory:
        inventory.walk()
        return {each.kind: sorted(Path(path).name for path in each.paths) for each in inventory.all_left_out()}


def test_what_a_folder_leaves_out(tmp_path: Path) -> None:
    for name in ("1.png", "@eaDir/2.png", "#recycle/3.png", "$RECYCLE.BIN/4.png", ".thumbnails/5.png", ".git/6.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png_bytes(int(name[-5])))
    for name in ("a.xyz", "rest.zip", "metadata.csv", ".7.png", "._1.png", ".DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    assert left(tmp_path) == {
        "other files": ["a.xyz"],
        "archives": ["rest.zip"],
        "tables": ["metadata.csv"],
        "system folders": ["#recycle", "$RECYCLE.BIN", ".thumbnails", "@eaDir"],
        "hidden folders": [".git"],
        "hidden images": [".7.png"],
    }
    assert len(categories(tmp_path)) == 1
    assert len(categories(tmp_path, all_folders=True)) == 6
    (tmp_path / "z.zip").write_bytes(zip_bytes([("a/@eaDir/1.png", b"1"), ("a/@eaDir/2.png", b"2"), ("a/3.png", b"3")]))
    assert left(tmp_path / "z.zip") == {"system folders": ["@eaDir"]}
    assert len(categories(tmp_path / "z.zip", all_folders=True)) == 3


class TestSeveral:
    def test_folders_patterns_and_braces(self, tmp_path: Path) -> None:
        for n in range(2):
            parquet(tmp_path / f"data/train-0000{n}-of-00002.parquet", {"label": ["cat"]})
        for place in ("data", "data/*.parquet", "data/train-{00000..00001}-of-00002.parquet", "**/*.parquet"):
            assert categories(tmp_path / place) == ["cat", "cat"]
        source = open_source(tmp_path / "data")
        assert (source.kind, source.root) == ("Parquet files", str(tmp_path / "data"))
        found = [each for each in source.scan() if isinstance(each, Candidate)]
        assert [source.read(each.address, 10**6) for each in found] == [read_bytes(each.address) for each in found]
        assert not is_gone(str(tmp_path / "data/*.parquet"))
        assert is_gone(str(tmp_path / "data/*.zip"))
        with pytest.raises(SourceError, match="no archive or table matches"):
            open_source(tmp_path / "data/*.zip")

    def test_archives_in_folders(self, tmp_path: Path) -> None:
        (tmp_path / "zips").mkdir()
        (tmp_path / "wds/train").mkdir(parents=True)
        for n in range(2):
            (tmp_path / f"zips/{n}.zip").write_bytes(zip_bytes([("a/1.png", b"1")]))
            save_tar(tmp_path / f"wds/train/{n}.tar", [("1.png", b"%d" % n)])
        (tmp_path / "wds/classnames.txt").write_text("cat\n")
        relatives = {
            place: [each.relative for each in open_source(tmp_path / place).scan() if isinstance(each, Candidate)]
            for place in ("zips", "wds")
        }
        assert relatives == {"zips": ["a/1.png"] * 2, "wds": ["train/1.png"] * 2}
        (tmp_path / "zips/dogs.zip").write_bytes(zip_bytes([("1.png", b"1")]))
        assert SeveralSource(str(tmp_path / "zips")).kind == "zip archives"
        (tmp_path / "wds/1.png").write_bytes(png_bytes(1))
        assert find_parts(str(tmp_path / "wds")) == []

    def test_numbers_of_parts_are_no_classes(self) -> None:
        assert only_numbered(["0", "1"])
        assert only_numbered(["train-00000-of-00002", "train-00001-of-00002"])
        assert not only_numbered(["n01440764", "n01443537"])
        assert not only_numbered(["cats", "dogs"])


def legacy_zip(path: Path, names: list[bytes]) -> Path:
    """Write a zip whose names do not say how they are encoded."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, _ in enumerate(names):
            archive.writestr("N" * len(names[number]), png_bytes(number))
    content = path.read_bytes()
    for name in names:
        content = content.replace(b"N" * len(name), name)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("gbk", "图片/你好世界.png"),
        ("shift_jis", "写真/ねこテスト.png"),
        ("euc_kr", "사진/고양이.png"),
        ("cp866", "Фото/кошка.png"),
    ],
)
def test_zip_names_in_other_encodings(tmp_path: Path, encoding: str, name: str) -> None:
    path = legacy_zip(tmp_path / "a.zip", [name.encode(encoding)])
    assert f"--zip-names {encoding} ({name})" in notes(path)
    source = open_source(path, reading=Reading(zip_names=encoding))
    found = [each for each in source.scan() if isinstance(each, Candidate)]
    assert [each.relative for each in found] == [name]
    assert read_bytes(found[0].address) == png_bytes(0), "by its address alone, whatever the encoding"
    as_cp437 = [each for each in open_source(path).scan() if isinstance(each, Candidate)]
    assert as_cp437[0].relative == name.encode(encoding).decode("cp437")
    assert read_bytes(as_cp437[0].address) == png_bytes(0)


def test_zip_names_that_are_utf8_or_read_well(tmp_path: Path) -> None:
    path = legacy_zip(tmp_path / "a.zip", ["图片.png".encode()])
    assert [each.relative for each in open_source(path).scan() if isinstance(each, Candidate)] == ["图片.png"]
    assert notes(path) == ""
    assert readings(["café.png".encode("cp437"), "Müller.png".encode("cp437")]) == {}
    assert check_encoding("GB2312") == "gbk"
    with pytest.raises(OptionError, match="not an encoding"):
        check_encoding("nonsense")


def test_a_root_of_torchvision(tmp_path: Path) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    sizes = b"".join(size.to_bytes(4, "big") for size in (2, 4, 4))
    (raw / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\3" + sizes + bytes(32))
    (raw / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\1" + (2).to_bytes(4, "big") + b"\7\1")
    for place in (raw, raw.parent, tmp_path / "data"):
        assert categories(place) == ["7", "1"]


def test_accents_in_either_form(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    inner = unicodedata.normalize("NFC", "piñata")
    (tmp_path / apart / inner).mkdir(parents=True)
    (tmp_path / apart / inner / "1.png").write_bytes(png_bytes(1))
    (tmp_path / "t.csv").write_text(f"file,label\n{composed}/{unicodedata.normalize('NFD', inner)}/1.png,{apart}\n")
    with Inventory(open_source(tmp_path / "t.csv")) as inventory:
        inventory.walk()
        assert inventory.con.rows("SELECT category FROM ordered") == [(composed,)]
    assert open_source(tmp_path / composed).root == str(tmp_path / apart)
    assert Labels(apart).one_form() == Labels(composed)
