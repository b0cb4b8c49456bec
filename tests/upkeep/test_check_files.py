"""Every image's file: where it was, touched, changed, gone or unreadable; in folders, zip archives and IDX files."""

from __future__ import annotations

import gzip
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from shotdex.store.store import Store
from shotdex.upkeep import check_files as files
from shotdex.upkeep.check_files import check_files
from shotdex.upkeep.verify import VerifyOptions, verify
from tests.conftest import index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_noise

LATER = 1_900_000_000_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(8):
        save_noise(tmp_path / "pictures" / f"{seed}.png", seed)
    return tmp_path / "pictures"


def touch(path: Path, seconds: int = 0) -> None:
    os.utime(path, ns=(LATER, LATER + seconds * 10**9))


def test_as_they_were(store: Store, folder: Path) -> None:
    index(store, folder, FakeEncoder())
    check = check_files(store)
    assert (check.ok, check.hint) == (True, "")
    assert check.text == "8 images exist, with the recorded size and time"


def test_an_empty_store(store: Store) -> None:
    assert check_files(store).text.startswith("0 images")


def test_each_kind_with_its_number_and_an_example(store: Store, folder: Path) -> None:
    index(store, folder, FakeEncoder())
    touch(folder / "1.png")
    (folder / "2.png").unlink()
    (folder / "3.png").unlink()
    same_size = bytearray((folder / "4.png").read_bytes())
    same_size[60] ^= 1
    (folder / "4.png").write_bytes(same_size)
    touch(folder / "4.png")
    save_noise(folder / "5.png", 99, width=60)
    (folder / "6.png").unlink()
    (folder / "6.png").mkdir()
    check = check_files(store)
    assert not check.ok
    assert check.text == (
        f"gone: 2 (such as {folder}/2.png); changed: 2 (such as {folder}/4.png); unreadable: 1 (such as {folder}/6.png)"
    )
    assert check.hint.startswith(f"run with the original options: shotdex index {folder};")
    assert len(check.hint.split("; ")) == 4
    index(store, folder, FakeEncoder())
    assert check_files(store).ok


def test_touched_is_no_change(store: Store, folder: Path) -> None:
    index(store, folder, FakeEncoder())
    touch(folder / "1.png")
    check = check_files(store)
    assert check.ok
    assert "1 were read because their size or time changed, and have the same content" in check.text


def test_what_is_as_recorded_is_not_read(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index(store, folder, FakeEncoder())
    read: list[str] = []
    monkeypatch.setattr(files, "read_bytes", lambda address: read.append(address) or b"")
    assert check_files(store).ok
    touch(folder / "1.png")
    assert not check_files(store).ok
    assert read == [str(folder / "1.png")]


def test_a_source_that_is_gone_as_a_whole(store: Store, folder: Path) -> None:
    index(store, folder, FakeEncoder())
    shutil.rmtree(folder)
    check = check_files(store)
    assert check.text == f"gone: 8 (such as {folder}/0.png)"
    assert check.hint.startswith(f"restore {folder}, which no longer exists, then index it again; ")


def test_removed_images_are_not_looked_for(store: Store, folder: Path) -> None:
    index(store, folder, FakeEncoder())
    (folder / "2.png").unlink()
    index(store, folder, FakeEncoder())
    assert check_files(store).text.startswith("7 images")


def pack(archive: Path, folder: Path, names: range) -> None:
    with zipfile.ZipFile(archive, "w") as packed:
        for number in names:
            packed.write(folder / f"{number}.png", f"in/{number}.png")


def test_members_of_a_zip(store: Store, folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "set.zip"
    pack(archive, folder, range(8))
    index(store, archive, FakeEncoder())
    assert check_files(store).ok
    touch(archive)
    assert check_files(store).text.startswith("8 images exist, with"), "members have times of their own"
    save_noise(folder / "3.png", 77)
    pack(archive, folder, range(7))
    touch(archive, 1)
    assert check_files(store).text == f"gone: 1 (such as {archive}!in/7.png); changed: 1 (such as {archive}!in/3.png)"
    archive.write_bytes(archive.read_bytes()[:-30])
    touch(archive, 2)
    assert check_files(store).text.startswith("unreadable: 8")
    archive.unlink()
    assert check_files(store).text.startswith("gone: 8")


def save_idx(path: Path, images: np.ndarray) -> None:
    header = b"\0\0\x08\x03" + b"".join(int(size).to_bytes(4, "big") for size in images.shape)
    path.write_bytes(gzip.compress(header + images.astype(np.uint8).tobytes()))


def test_members_of_idx_files(store: Store, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 9, 7))
    place = tmp_path / "idx"
    place.mkdir()
    path = place / "train-images-idx3-ubyte.gz"
    save_idx(path, images)
    index(store, place, FakeEncoder())
    assert check_files(store).ok
    images[2] = 255 - images[2]
    save_idx(path, images[:4])
    touch(path)
    assert check_files(store).text == f"gone: 1 (such as {path}!4); changed: 1 (such as {path}!2)"


def test_page_by_page(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index(store, folder, FakeEncoder())
    monkeypatch.setattr(files, "PAGE", 3)
    seen: list[int] = []

    class Shown:
        def start(self, total: int) -> None:
            seen.append(total)

        def advance(self, count: int) -> None:
            seen.append(count)

    assert check_files(store, Shown()).text.startswith("8 images")
    assert seen == [8] + [1] * 8


def test_the_catalog_is_free_while_files_are_read(store: Store, folder: Path) -> None:
    index(store, folder, FakeEncoder())

    class Writing:
        def start(self, total: int) -> None:
            pass

        def advance(self, count: int) -> None:
            with store.writing() as con:
                con.run("UPDATE stored_images SET split = 'x'")

    assert check_files(store, Writing()).ok


def test_it_is_the_last_check_and_only_when_asked(store: Store, folder: Path) -> None:
    index(store, folder, FakeEncoder())
    assert verify(store.root, VerifyOptions()).checks[-1].name == "index folder"
    assert verify(store.root, VerifyOptions(files=True)).checks[-1].name == "files"
