"""A demo makes anew what a demo made, and touches nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from shotdex.store import store as store_module
from shotdex.store.errors import OptionError, StoreLocked
from shotdex.store.store import Store
from shotdex.upkeep.demo_store import MARKER, make_store
from tests.conftest import COLOURS, Ran, index
from tests.support.fakes import FakeEncoder


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file but the lock, which says who looked last."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "indexing.lock"
    }


@pytest.fixture
def made(tmp_path: Path, fake: FakeEncoder, colours: Path) -> Store:
    """Return the store that a demo left."""
    store = make_store(tmp_path / "out" / "store")
    index(store, colours, fake, "{condition}/{category}*", COLOURS)
    return store


def refused(place: Path, match: str) -> None:
    before = contents(place)
    with pytest.raises(OptionError, match=match) as caught:
        make_store(place)
    assert "--out DIR" in caught.value.hint
    assert contents(place) == before


def test_a_second_demo_makes_the_store_anew(made: Store) -> None:
    first = made.identity
    again = make_store(made.root)
    assert again.identity != first
    assert (again.root / MARKER).read_text() == again.identity + "\n"
    with again.reading() as con:
        assert con.value("SELECT count(*) FROM images") == 0
    assert not any(again.index_folder.iterdir())
    make_store(made.root)


def test_a_demo_that_was_killed_while_it_cleared_goes_on(made: Store) -> None:
    made.catalog.unlink()
    assert make_store(made.root).identity


def test_a_store_of_the_user_is_left_alone(tmp_path: Path, colours: Path, shotdex: Callable[..., Ran]) -> None:
    place = tmp_path / "photos" / "store"
    index(Store.create(place), colours, FakeEncoder(), "*")
    refused(place, "was not made by a demo")
    before = contents(tmp_path / "photos")
    ran = shotdex("demo", "--out", place.parent)
    assert (ran.status, "was not made by a demo" in ran.err, "--out DIR" in ran.err) == (2, True, True)
    assert contents(tmp_path / "photos") == before


@pytest.mark.parametrize("name", ["thesis.txt", "index/thesis.txt", "index/encoder-thesis.txt", "chapters/1.txt"])
def test_a_thesis_beside_it_is_left_alone(made: Store, name: str) -> None:
    (made.root / name).parent.mkdir(exist_ok=True)
    (made.root / name).write_text("the only copy")
    refused(made.root, "which no demo made")


def test_a_marker_beside_another_catalog_says_nothing(made: Store, tmp_path: Path) -> None:
    other = Store.create(tmp_path / "other")
    shutil.copy(made.root / MARKER, other.root)
    refused(other.root, "has another catalog than the demo made")


def test_a_catalog_that_cannot_be_read_is_left_alone(made: Store) -> None:
    made.catalog.write_bytes(b"something else" * 5_000)
    refused(made.root, "cannot be recognised as a demo's store")


def test_links_are_not_followed(made: Store, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "store"
    link.parent.mkdir()
    link.symlink_to(made.root, target_is_directory=True)
    refused(link, "is a link")
    link.unlink()
    link.symlink_to(tmp_path / "gone", target_is_directory=True)
    refused(link, "is a link")
    assert not (tmp_path / "gone").exists()
    shutil.move(made.index_folder, tmp_path / "vectors")
    made.index_folder.symlink_to(tmp_path / "vectors", target_is_directory=True)
    refused(made.root, "holds index, which no demo made")


def test_a_store_that_is_being_indexed_is_left_alone(made: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "INDEXING_WAIT_SECONDS", 0.1)
    before = contents(made.root)
    with made.indexing(), pytest.raises(StoreLocked, match="is indexing into"):
        make_store(made.root)
    assert contents(made.root) == before


def test_a_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("the only copy")
    with pytest.raises(OptionError, match="was not made by a demo"):
        make_store(tmp_path / "store")
    assert (tmp_path / "store").read_text() == "the only copy"


class TestFigures:
    """What an earlier version drew without a mark is the demo's in the demo's folder, and the user's elsewhere."""

    def old(self, path: Path) -> Path:
        note = PngInfo()
        note.add_text("Software", "Matplotlib version3.11.2, https://matplotlib.org/")
        Image.new("RGB", (4, 4)).save(path, pnginfo=note)
        return path

    def test_of_an_earlier_version(self, made: Store) -> None:
        figure = self.old(made.root.parent / "map.png")
        make_store(made.root, [figure, made.root.parent / "sheet.png"])
        assert not figure.exists()

    def test_without_an_earlier_demo(self, tmp_path: Path) -> None:
        figure = self.old(tmp_path / "map.png")
        with pytest.raises(OptionError, match="not a figure that shotdex drew"):
            make_store(tmp_path / "store", [figure])
        assert figure.exists() and not (tmp_path / "store").exists()

    @pytest.mark.parametrize("data", [b"a thesis", b"\x89PNG\r\n\x1a\n of a camera"])
    def test_of_the_user(self, made: Store, data: bytes) -> None:
        """Nothing is replaced: neither the file, nor the store, nor the figures of an earlier version."""
        older, own = self.old(made.root.parent / "map.png"), made.root.parent / "sheet.png"
        own.write_bytes(data)
        before = contents(made.root.parent)
        with pytest.raises(OptionError, match="not a figure that shotdex drew"):
            make_store(made.root, [older, own])
        assert contents(made.root.parent) == before
