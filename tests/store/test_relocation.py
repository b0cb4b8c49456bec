"""A store that is moved, or copied, together with its images."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import shotdex
from tests.support.evaluated import save_noisy_colour
from tests.support.fakes import FakeEncoder
from tests.support.restored import Restored


def opened(root: Path) -> shotdex.Session:
    session = shotdex.open(root, create=True)
    session.encoders.add(FakeEncoder())
    return session


@pytest.fixture(scope="module", params=[".shotdex", "stores/first"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Restored, str]:
    def make(project: Path) -> None:
        for number in range(6):
            colour = ("red", "green", "blue")[number % 3]
            save_noisy_colour(project / "photos" / colour / f"{number}.png", colour, 0.5, number)
        session = opened(project / request.param)
        session.index(project / "photos", model=FakeEncoder(), layout="{category}/*")
        session.classify(name="first")

    return Restored(tmp_path_factory.mktemp("relocation"), make), request.param


@pytest.fixture
def made(kept: tuple[Restored, str]) -> tuple[Path, str]:
    """Return a project with images and a store, and the store's place in it."""
    return kept[0].restore(), kept[1]


def copied(folder: Path, target: Path) -> None:
    """The old one is out of the way, as on another computer."""
    shutil.copytree(folder, target)
    shutil.rmtree(folder)


@pytest.mark.parametrize("how", [shutil.move, copied])
def test_everything_works_in_the_new_place(
    made: tuple[Path, str], tmp_path: Path, how: Callable[[Path, Path], object]
) -> None:
    project, store = made
    new = tmp_path / "elsewhere" / "project"
    new.parent.mkdir()
    how(project, new)
    session = opened(new / store)
    found = session.search("red", k=6)
    assert {hit.path for hit in found} == {str(path) for path in (new / "photos").rglob("*.png")}
    assert found.changed() == []
    assert len(found.copy_to(tmp_path / "copies")) == 6
    found.sheet()
    assert session.rerun("first").identical
    encoder = FakeEncoder()
    report = session.index(new / "photos", model=encoder)
    assert (report.unchanged, report.added, report.moved, report.relabelled, encoder.seen) == (6, 0, 0, 0, 0)
    assert session.sql("SELECT DISTINCT source FROM images").to_dicts() == [{"source": str(new / "photos")}]
    assert session.sql("SELECT source, layout FROM sources").to_dicts() == [
        {"source": str(new / "photos"), "layout": "{category}/*"}
    ]
    assert all(check.ok for check in session.verify())


def test_a_copy_next_to_the_original_has_its_own_images(made: tuple[Path, str], tmp_path: Path) -> None:
    project, store = made
    shutil.copytree(project, tmp_path / "copy")
    assert all(hit.path.startswith(f"{tmp_path / 'copy'}/") for hit in opened(tmp_path / "copy" / store).search("red"))
    assert all(hit.path.startswith(f"{project}/") for hit in opened(project / store).search("red"))


def test_a_store_that_moves_alone_keeps_its_images(made: tuple[Path, str], tmp_path: Path) -> None:
    project, store = made
    shutil.move(project / store, tmp_path / "alone")
    assert all(hit.path.startswith(f"{project}/photos/") for hit in opened(tmp_path / "alone").search("red"))


def test_other_images_of_the_same_names_are_not_taken_for_them(made: tuple[Path, str], tmp_path: Path) -> None:
    project, store = made
    for path in (project / "photos").rglob("*.png"):
        other = tmp_path / "other" / path.relative_to(project)
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(path.read_bytes() + b"longer")
    (tmp_path / "other" / store).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(project / store, tmp_path / "other" / store)
    assert all(hit.path.startswith(f"{project}/") for hit in opened(tmp_path / "other" / store).search("red"))


def test_images_that_arrive_after_the_store(made: tuple[Path, str], tmp_path: Path) -> None:
    project, store = made
    new = tmp_path / "new"
    (new / store).parent.mkdir(parents=True)
    shutil.move(project / store, new / store)
    shutil.move(project / "photos", tmp_path / "on-the-way")
    assert all(hit.path.startswith(f"{project}/") for hit in opened(new / store).search("red"))
    shutil.move(tmp_path / "on-the-way", new / "photos")
    assert all(hit.path.startswith(f"{new}/") for hit in opened(new / store).search("red"))
