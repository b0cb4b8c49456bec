"""Globs that exclude images, and files that are counted with an image of the same name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shotdex.media.sources import open_source
from shotdex.media.sources.left_out import Ignored, Left, counted_already, excluding
from shotdex.store.errors import OptionError

PATHS = [
    "a.png",
    "a.jpg",
    "drafts/b.jpg",
    "2021/drafts/c.jpg",
    "2021/raw/d.jpg",
    "2021/raw/x/e.png",
    "new drafts/f.jpg",
]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.png", [0, 5]),
        ("drafts", [2, 3]),
        ("drafts/", [2, 3]),
        ("/drafts", [2]),
        ("2021/raw/*", [4, 5]),
        ("2021/*/d.jpg", [4]),
        ("2021/**", [3, 4, 5]),
        ("**/drafts", [2, 3]),
        ("**/x/*.png", [5]),
        ("[ab].jpg", [1, 2]),
        ("[!a].jpg", [2, 3, 4, 6]),
        ("?.png", [0, 5]),
        ("a.jpg/", []),
        ("A.PNG", []),
        ("a", []),
        (".", []),
        ("a.png|a.jpg", []),
    ],
)
def test_what_a_pattern_excludes(pattern: str, left: list[int]) -> None:
    found = excluding([pattern])
    assert found is not None
    assert [i for i, path in enumerate(PATHS) if found.fullmatch(path)] == left


def test_several_none_and_what_is_no_pattern() -> None:
    found = excluding(["*.png", "drafts", ""])
    assert found is not None
    assert [bool(found.fullmatch(path)) for path in PATHS] == [True, False, True, True, False, True, False]
    assert excluding([""]) is None
    with pytest.raises(OptionError, match="not a pattern"):
        excluding(["[z-a]"])


def test_raw_files_and_live_photos_belong_to_an_image(tmp_path: Path) -> None:
    for name in ("one.JPG", "one.CR2", "two.heic", "two.MOV", "three.nef", "four.mov", "five.jpg", "five.txt"):
        (tmp_path / name).touch()
    found = {path.name: counted_already(str(path)) for path in tmp_path.iterdir()}
    assert {name: kind for name, kind in found.items() if kind} == {"one.CR2": Left.RAW, "two.MOV": Left.LIVE}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_they_do_in_archives_whatever_their_order(tmp_path: Path, kind: str) -> None:
    for name in ("a/one.CR2", "a/one.JPG", "a/two.MOV", "b/two.jpg", "three.jpeg", "three.nef", "four.mov", "note.txt"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    place = shutil.make_archive(str(tmp_path / "photos"), kind, tmp_path / "set")
    found = [one for one in open_source(place).scan() if isinstance(one, Ignored)]
    assert {one.path.removeprefix(f"{place}!").removeprefix("./"): one.why for one in found} == {
        "a/one.CR2": Left.RAW,
        "three.nef": Left.RAW,
        "a/two.MOV": Left.OTHER,
        "four.mov": Left.OTHER,
        "note.txt": Left.OTHER,
    }
