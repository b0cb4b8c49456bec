"""A disk that is full: said clearly, nothing lost, and the same command goes on when there is room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shotdex.indexer.inventory as scan_module
import shotdex.indexer.run as run_module
from shotdex.indexer import preflight
from shotdex.indexer.inventory import Inventory
from shotdex.media.sources import Candidate
from shotdex.media.sources.folder import FolderSource
from shotdex.store.errors import StoreError, StoreNotFound
from shotdex.store.store import Store
from tests.conftest import index
from tests.support.fakes import FakeEncoder

from .states import answers, difference, everything, problems

HOW: dict[str, Any] = {"layout": "{condition}/{category}*", "batch_size": 4, "commit_rows": 4, "commit_seconds": 1e9}
ROOM = 64 * 1024


@pytest.fixture(scope="module")
def undisturbed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    store = Store.create(tmp_path_factory.mktemp("undisturbed"))
    assert index(store, photos, FakeEncoder(), **HOW).added == 25
    return everything(store)


@pytest.fixture
def heedless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the check before the first batch: others may fill the disk while an indexing goes on."""
    monkeypatch.setattr(preflight, "free_bytes", lambda _: 1 << 50)


# KiB: before the catalog's headers are whole, before its tables are (twice), at the first commits, at later ones.
@pytest.mark.usefixtures("heedless")
@pytest.mark.parametrize("kib", [12, 512, 1200, 1840])
def test_the_catalog_does_not_fit(
    kib: int, photos: Path, undisturbed: dict[str, Any], small_disk: Callable[[int], Path]
) -> None:
    place = small_disk(kib) / "store"
    encoder = FakeEncoder()
    with pytest.raises(StoreError, match="No space left on device") as caught:
        index(Store.create(place), photos, encoder, **HOW)
    assert str(place) in str(caught.value)
    assert "make room" in caught.value.hint
    assert "same command" in caught.value.hint
    kept = 0
    if kib > 512:
        store = Store.open(place)
        assert problems(store) == []
        with store.reading() as con:
            kept = con.value("SELECT count(*) FROM images")
    else:
        with pytest.raises(StoreNotFound):
            Store.open(place)
        assert [path.name for path in place.iterdir() if path.is_file()] == ["indexing.lock"]
    assert encoder.seen <= kept + 4, "one batch is lost at most"
    small_disk(ROOM)
    report = index(Store.create(place), photos, FakeEncoder(), **HOW)
    assert (report.added, report.unchanged) == (25 - kept, kept)
    assert difference(everything(Store.open(place)), undisturbed) is None


@pytest.mark.usefixtures("heedless")
def test_the_faiss_file_does_not_fit(
    photos: Path, undisturbed: dict[str, Any], small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_disk(4096)
    write = run_module.write_index

    def filled(*arguments: Any) -> None:
        with pytest.raises(OSError, match="No space left"), (disk / "others").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_index", filled)
        with pytest.raises(StoreError, match=r"cannot write .*\.faiss") as caught:
            index(Store.create(disk / "store"), photos, FakeEncoder(), **HOW)
    assert "make room" in caught.value.hint
    store = Store.open(disk / "store")
    assert list(store.index_folder.iterdir()) == [], "nothing half written is left"
    small_disk(ROOM)
    assert answers(store) == undisturbed["answers"]
    report = index(store, photos, FakeEncoder(), **HOW)
    assert report.unchanged == 25
    assert [path.suffix for path in store.index_folder.iterdir()] == [".faiss"]
    assert difference(everything(store), undisturbed) is None


def test_what_will_not_fit_is_said_before_anything_is_encoded(
    photos: Path, small_disk: Callable[[int], Path], fake: FakeEncoder
) -> None:
    place = small_disk(3 * 1024) / "store"
    with pytest.raises(StoreError, match=f"the store needs about .* are free at {place}") as caught:
        index(Store.create(place), photos, fake, **HOW)
    assert "make room" in caught.value.hint
    assert fake.seen == 0


class Endless(FolderSource):
    """More candidates than the scratch database has room for."""

    def scan(self) -> Any:
        for i in range(120_000):
            name = f"{i * 7919 % 120_000:09}/{'x' * 200}{i}.png"
            yield Candidate(f"/{name}", name, i, i)


def test_no_room_for_temporary_files(small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    disk = small_disk(1024)
    monkeypatch.setattr(scan_module.tempfile, "tempdir", str(disk))
    monkeypatch.setattr(scan_module, "MEMORY", "16MB")
    with (
        pytest.raises(StoreError, match=f"not enough room for temporary files in {disk}") as caught,
        Inventory(Endless("/")) as scan,
    ):
        scan.walk()
    assert "TMPDIR" in caught.value.hint
    assert list(disk.iterdir()) == []
