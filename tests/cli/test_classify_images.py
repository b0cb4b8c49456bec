"""`shotdex classify IMAGE...`: no store is needed, and none is read where nothing of it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import shotdex as library
from shotdex import demo
from tests.conftest import Ran

from .checks import failed, strict_json

Run = Callable[..., Ran]

DUCK = demo.EVALUATION / "realistic" / "Duck02-noto.png"
HAT = demo.EVALUATION / "realistic" / "Hat02-openmoji-black.png"
BOTH = ("--classes", "duck,hat", "--model", "demo")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "60")
    return tmp_path


def test_bars(shotdex: Run, here: Path) -> None:
    ran = shotdex("classify", DUCK, HAT, *BOTH, "--template", "a photo of a {}.")
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "demo, prompts 'a photo of a {}.': probability over 2 classes"
    assert [line for line in lines if line.startswith("/")] == [str(DUCK), str(HAT)]
    assert lines[3].startswith("  duck  ")
    assert "█" in lines[3]
    assert "\x1b" not in ran.out
    assert max(map(len, lines[3:5])) <= 60
    assert list(here.iterdir()) == [], "nothing is recorded"


def test_json(shotdex: Run, here: Path) -> None:
    (here / "classes.txt").write_text("duck\nhat\ncup\n")
    found = strict_json(
        shotdex("classify", DUCK, HAT, "--classes", "classes.txt", "-k", "2", "--model", "demo", "--json").out
    )
    assert found["model"]["name"] == "demo"
    assert list(found["prompts"]["classes"]) == ["duck", "hat", "cup"]
    assert [one["image"] for one in found["images"]] == [str(DUCK), str(HAT)]
    expected = library.classify_images([DUCK, HAT], "duck,hat,cup", k=2, model="demo")
    for one, (_, rows) in zip(found["images"], expected.by_image(), strict=True):
        assert [(p["rank"], p["category"], p["probability"]) for p in one["predictions"]] == [
            (row.rank, row.category, pytest.approx(row.probability, abs=1e-6)) for row in rows
        ]
    assert (found["failures"], found["notes"]) == ([], [])


def test_some_images_cannot_be_read(shotdex: Run, here: Path) -> None:
    ran = shotdex("classify", "gone.png", DUCK, *BOTH)
    assert ran.status == 1
    assert "not read: gone.png (cannot be read" in ran.out
    assert "error: 1 of the images cannot be read" in ran.err
    assert "duck" in ran.out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("gone.png", *BOTH), 1, ("gone.png cannot be read", "path or URL")),
        (("http://127.0.0.1:9/x.png", *BOTH), 1, ("http://127.0.0.1:9/x.png cannot be r",)),
        (("classes.txt", *BOTH), 1, ("classes.txt cannot be used",)),
        (("photos", *BOTH), 1, ("photos is a folder", "shotdex index photos")),
        ((DUCK, "--model", "demo"), 2, ("no classes", "--classes FILE.txt")),
        ((DUCK, "--classes", "duck", "--model", "demo"), 2, ("only 1 class",)),
        ((DUCK, "--classes", "gone.txt", "--model", "demo"), 2, ("gone.txt cannot be read",)),
        ((DUCK, *BOTH, "--where", "true"), 2, ("--where is for the images of a store",)),
        ((DUCK, *BOTH, "--name", "x", "--replace"), 2, ("--name, --replace",)),
        ((DUCK, *BOTH, "--store", "gone"), 1, ("there is no store at",)),
    ],
)
def test_errors(shotdex: Run, here: Path, arguments: tuple[object, ...], status: int, words: tuple[str, ...]) -> None:
    (here / "classes.txt").write_text("duck\nhat\n")
    (here / "photos").mkdir()
    failed(shotdex("classify", *arguments), status, *words)


def test_the_store_here_is_used_only_for_what_is_not_given(shotdex: Run, here: Path) -> None:
    (here / "photos" / "duck").mkdir(parents=True)
    (here / "photos" / "hat").mkdir()
    (here / "photos" / "duck" / "1.png").write_bytes(DUCK.read_bytes())
    (here / "photos" / "hat" / "1.png").write_bytes(HAT.read_bytes())
    with library.open(".shotdex", create=True) as session:
        session.index("photos", model="demo", layout="{category}/*")
    found = strict_json(shotdex("classify", DUCK, "--json").out)
    assert (found["model"]["name"], list(found["prompts"]["classes"])) == ("demo", ["duck", "hat"])
    assert strict_json(shotdex("classify", "--json").out)["accuracy"]["n"] == 2, "without a file it is the store"
    for path in Path(".shotdex").glob("catalog*"):
        path.write_bytes(b"damaged")
    assert shotdex("classify", DUCK, *BOTH).status == 0
    assert shotdex("classify", DUCK).status == 1
