"""What had images and has none now, or few: refused as a missing source is; when it is back, nothing is read again."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

import shotdex
from shotdex.errors import SourceError
from shotdex.indexer.run import Indexing
from tests.support.evaluated import save_noisy_colour
from tests.support.fakes import FakeEncoder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight images in two folders."""
    for number in range(8):
        folder = "cat" if number < 4 else "dog"
        save_noisy_colour(tmp_path / "photos" / folder / f"{number}.png", "red", 0.5, number)
    return tmp_path / "photos"


@pytest.fixture
def store(tmp_path: Path) -> shotdex.Session:
    return shotdex.open(tmp_path / "store", create=True)


def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("an image was read")

    monkeypatch.setattr(Indexing, "_work_through", lambda _self, plan, _reconciler: fail() if plan.work else None)


def empty(folder: Path) -> Path:
    """Put an empty folder in the place of one, as where a disk is not mounted, and return where it is meanwhile."""
    held = folder.with_name(f"held-{folder.name}")
    folder.rename(held)
    folder.mkdir()
    return held


def back(folder: Path) -> None:
    folder.rmdir()
    folder.with_name(f"held-{folder.name}").rename(folder)


class TestRefused:
    @pytest.mark.parametrize("prune", [False, True])
    def test_an_empty_folder(
        self, photos: Path, store: shotdex.Session, prune: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.index(photos, model=FakeEncoder())
        empty(photos)
        for call in (store.index, store.preview):
            with pytest.raises(SourceError, match="had 8 images and has none of them now") as caught:
                call(photos, prune=prune)
            assert "--gone" in caught.value.hint
        assert len(store) == 8
        back(photos)
        unread(monkeypatch)
        assert store.index(photos).unchanged == 8

    def test_a_sub_folder(self, photos: Path, store: shotdex.Session, tmp_path: Path) -> None:
        store.index(photos, model=FakeEncoder())
        (photos / "cat").rename(tmp_path / "held")
        (photos / "cat").mkdir()
        with pytest.raises(SourceError, match="cat had 4 images and has none now"):
            store.index(photos)
        (photos / "cat").rmdir()
        assert store.index(photos).removed == 4, "a folder that is not there was taken away on purpose"

    def test_a_manifest_cut_to_its_header(self, photos: Path, store: shotdex.Session, tmp_path: Path) -> None:
        listing = tmp_path / "list.csv"
        whole = "image\n" + "".join(f"photos/{path.relative_to(photos)}\n" for path in sorted(photos.rglob("*.png")))
        listing.write_text(whole)
        store.index(listing, model=FakeEncoder())
        for cut in ("image\n", "\n".join(whole.splitlines()[:3]) + "\n"):
            listing.write_text(cut)
            with pytest.raises(SourceError, match="had 8 images"):
                store.index(listing)
        assert len(store) == 8
        listing.write_text(whole)
        assert store.index(listing).unchanged == 8

    def test_a_manifest_whose_images_are_not_there(self, photos: Path, store: shotdex.Session, tmp_path: Path) -> None:
        listing = tmp_path / "list.csv"
        listing.write_text("image\n" + "".join(f"{path}\n" for path in sorted(photos.rglob("*.png"))))
        store.index(listing, model=FakeEncoder())
        empty(photos)
        with pytest.raises(SourceError, match="had 8 images"):
            store.index(listing)
        back(photos)
        assert store.index(listing).unchanged == 8

    def test_an_empty_archive(self, photos: Path, store: shotdex.Session, tmp_path: Path) -> None:
        archive = tmp_path / "photos.zip"
        with zipfile.ZipFile(archive, "w") as made:
            for path in sorted(photos.rglob("*.png")):
                made.write(path, path.name)
        shutil.copy2(archive, tmp_path / "kept.zip")
        store.index(archive, model=FakeEncoder())
        zipfile.ZipFile(archive, "w").close()
        with pytest.raises(SourceError, match="had 8 images"):
            store.index(archive)
        shutil.copy2(tmp_path / "kept.zip", archive)
        assert store.index(archive).unchanged == 8


class TestNotRefused:
    def test_the_half(self, photos: Path, store: shotdex.Session) -> None:
        store.index(photos, model=FakeEncoder())
        for number in (0, 1, 4, 5):
            next(photos.rglob(f"{number}.png")).unlink()
        assert store.index(photos).removed == 4

    def test_renamed_files(self, photos: Path, store: shotdex.Session) -> None:
        store.index(photos, model=FakeEncoder())
        (photos / "all").mkdir()
        for path in sorted(photos.rglob("*.png")):
            path.rename(photos / "all" / f"new-{path.name}")
        report = store.index(photos)
        assert (report.moved, report.removed) == (8, 0)

    def test_what_is_said_to_be_gone_comes_back_unread(
        self, photos: Path, store: shotdex.Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.index(photos, model=FakeEncoder())
        before = store.sql("SELECT image_id, path FROM images ORDER BY ALL").to_dicts()
        empty(photos)
        assert store.index(photos, gone=True).removed == 8
        assert len(store) == 0
        back(photos)
        unread(monkeypatch)
        report = store.index(photos)
        assert report.unchanged == 8
        assert "8 images that were gone are back, as on record" in report.notes
        assert store.sql("SELECT image_id, path FROM images ORDER BY ALL").to_dicts() == before
        assert all(check.ok for check in store.verify())


class TestPrune:
    def test_most_of_a_source_stays_without_one_more_word(self, photos: Path, store: shotdex.Session) -> None:
        store.index(photos, model=FakeEncoder())
        empty(photos)
        store.index(photos, gone=True)
        assert (store.prune().images, store.prune().spared) == (0, 8)
        back(photos)
        assert store.index(photos, prune=True).unchanged == 8
        empty(photos)
        store.index(photos, gone=True, prune=True)
        assert store.sql("SELECT count(*) AS n FROM stored_images").to_dicts() == [{"n": 0}]

    def test_several_small_losses(self, photos: Path, store: shotdex.Session) -> None:
        store.index(photos, model=FakeEncoder())
        said: list[str] = []
        for numbers in ((0, 1, 2), (4, 5)):
            for number in numbers:
                next(photos.rglob(f"{number}.png")).unlink()
            store.index(photos)
        store.index(photos, prune=True, note=said.append)
        assert said[-1].startswith("pruned: 0 images and 0 vectors were removed; 5 images stay")
        assert store.sql("SELECT count(*) AS n FROM stored_images").to_dicts() == [{"n": 8}]
