"""Copies of images: under names that no file system minds, over nothing, outside nothing, and whole."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shotdex.models.encoder_pool import EncoderPool
from shotdex.query import copying
from shotdex.query.copying import BYTES, CHARACTERS, copy_images, safe_name
from shotdex.store.errors import OptionError, StoreError
from shotdex.store.store import Store
from tests.cli.checks import failed
from tests.conftest import Ran, index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_colour


def png(colour: str = "red") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(data, "PNG")
    return data.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_and_members(tmp_path: Path) -> None:
    (tmp_path / "a.PNG").write_bytes(png("red"))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("x/b.png", png("blue"))
        archive.writestr("x/17", png("green"))
    (tmp_path / "two-images-idx3-ubyte").write_bytes(
        bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4])
    )
    found = [f"{tmp_path}/a.PNG", f"{tmp_path}/set.zip!x/b.png", f"{tmp_path}/set.zip!x/17"]
    found.append(f"{tmp_path}/two-images-idx3-ubyte!1")
    copied = copy_images(found, tmp_path / "new" / "deep")
    assert copied.failed == ()
    assert [path.name for path in copied.paths] == [
        "01_a.PNG",
        "02_b.png",
        "03_set.zip_17.png",
        "04_two-images-idx3-ubyte_1.pgm",
    ]
    assert [path.read_bytes() for path in copied.paths[:3]] == [png("red"), png("blue"), png("green")]
    assert copied.paths[3].read_bytes() == b"P5 2 1 255\n\x03\x04"
    assert names(tmp_path / "new" / "deep") == sorted(path.name for path in copied.paths)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    source, folder = tmp_path / "a.png", tmp_path / "copies"
    source.write_bytes(png())
    folder.mkdir()
    (folder / "01_a.png").write_text("mine")
    outside = tmp_path / "outside"
    (folder / "01_a_2.png").symlink_to(outside)
    for expected in ("01_a_3.png", "01_a_4.png"):
        assert [path.name for path in copy_images([str(source)], folder).paths] == [expected]
    assert (folder / "01_a.png").read_text() == "mine"
    assert not outside.exists()
    assert names(folder) == ["01_a.png", "01_a_2.png", "01_a_3.png", "01_a_4.png"]


def test_one_that_fails_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    found = [f"{tmp_path}/gone.png", f"{tmp_path}/broken.zip!a.png", str(tmp_path), f"{tmp_path}/a.png"]
    copied = copy_images(found, tmp_path / "copies")
    assert [path.name for path in copied.paths] == ["04_a.png"]
    assert [address for address, _ in copied.failed] == found[:3]
    assert all(reason for _, reason in copied.failed)
    assert names(tmp_path / "copies") == ["04_a.png"]


def test_many_are_numbered_alike(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    copied = copy_images([f"{tmp_path}/a.png"] * 101, tmp_path / "copies")
    assert [copied.paths[0].name, copied.paths[100].name] == ["001_a.png", "101_a.png"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").write_bytes(png())
    calls = []

    def full(*_: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        real = Path.replace
        monkeypatch.setattr(Path, "replace", lambda self, target: (full(), real(self, target))[1])
    with pytest.raises(StoreError, match="No space left on device; 1 of 2 images are there"):
        copy_images([f"{tmp_path}/a.png", f"{tmp_path}/b.png"], tmp_path / "copies")
    assert names(tmp_path / "copies") == ["01_a.png"]
    assert (tmp_path / "copies" / "01_a.png").read_bytes() == png()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    with pytest.raises(OptionError, match="is not a folder"):
        copy_images([f"{tmp_path}/a.png"], tmp_path / "a.png")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/p/plain.jpg", "plain.jpg"),
        ("/p/no_extension", "no_extension.png"),
        ("/p/other.txt", "other.txt.png"),
        ("/p/.hidden.jpg", "hidden.jpg"),
        ("/p/...jpg", "image.jpg"),
        ("/p/a\x1b[31m\x07\u202egpj.jpg", "a[31mgpj.jpg"),
        ("/p/a\nb\u2028.jpg", "ab.jpg"),
        ("/p/a\\..\\b:c*?.jpg", "b_c__.jpg"),
        ("/p/ con .jpg", "con.jpg"),
        ("/p/x.zip!../../etc/pass.png", "pass.png"),
        ("/p/x.zip!..\\..\\win.png", "win.png"),
        ("https://host/a/b.jpg?size=1/2#x", "b.jpg"),
        ("https://host/", "host.png"),
        ("/p/list.parquet!image/17", "list.parquet_17.png"),
        ("torchvision:CIFAR10!train/17", "torchvision_CIFAR10_17.png"),
        ("/p/猫😀.jpg", "猫😀.jpg"),
    ],
)
def test_names(address: str, name: str) -> None:
    assert safe_name(address, png()) == name


@pytest.mark.parametrize(
    ("data", "extension"),
    [
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"GIF89a", ".gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", ".webp"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avif", ".avif"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1", ".heic"),
        (b"P6 1 1 255\n", ".ppm"),
        (b"what", ""),
        (b"", ""),
    ],
)
def test_the_extension_is_found_from_the_content(data: bytes, extension: str) -> None:
    assert safe_name("/p/x", data) == "x" + extension


PARTS = st.text(st.characters(codec="utf-8"), max_size=300)


@settings(deadline=None, max_examples=60)
@given(PARTS, st.sampled_from(["", ".jpg", ".PNG", ".exe", "/", "!", "\0"]))
def test_any_name_is_made_safe(tmp_path_factory: pytest.TempPathFactory, name: str, ending: str) -> None:
    folder = tmp_path_factory.mktemp("copies")
    reads = pytest.MonkeyPatch()
    reads.setattr(copying, "read_bytes", lambda _: png())
    try:
        copied = copy_images(["/p/" + name + ending] * 2, folder)
    finally:
        reads.undo()
    assert copied.failed == ()
    assert names(folder) == sorted(path.name for path in copied.paths)
    for path in copied.paths:
        assert path.parent == folder
        assert path.read_bytes() == png()
        assert len(path.name) <= CHARACTERS
        assert len(path.name.encode()) <= BYTES
        assert path.name.startswith(("01_", "02_"))
        assert path.suffix.lower() in copying.extensions()
        assert path.name.isprintable() or all(char.isprintable() or char.isspace() for char in path.name)


class TestTheCommand:
    @pytest.fixture
    def indexed(self, store: Store, tmp_path: Path) -> Store:
        for colour in ("red", "green", "blue"):
            save_colour(tmp_path / "pictures" / f"{colour}.png", colour)
        index(store, tmp_path / "pictures", FakeEncoder())
        return store

    @pytest.fixture
    def search(
        self, indexed: Store, shotdex: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., Ran]:
        class Pool(EncoderPool):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                self.add(FakeEncoder())  # type: ignore[arg-type]

        monkeypatch.setattr("shotdex.models.encoder_pool.EncoderPool", Pool)
        return lambda *more: shotdex("search", "red", "-k", 2, "--format", "paths", "--store", indexed.root, *more)

    def test_it_says_how_many(self, search: Callable[..., Ran], tmp_path: Path) -> None:
        ran = search("--copy-to", tmp_path / "copies")
        assert (ran.status, ran.err) == (0, f"copied 2 of 2 images to {tmp_path}/copies\n")
        found = [Path(line).name for line in ran.out.splitlines()]
        assert names(tmp_path / "copies") == [f"01_{found[0]}", f"02_{found[1]}"]
        assert found[0] == "red.png"

    def test_one_that_is_gone(self, search: Callable[..., Ran], tmp_path: Path) -> None:
        (tmp_path / "pictures" / "red.png").unlink()
        ran = search("--copy-to", tmp_path / "copies")
        assert ran.status == 1
        assert "not copied: " in ran.err
        assert "red.png (no such file or directory)" in ran.err
        assert "copied 1 of 2 images" in ran.err
        assert len(names(tmp_path / "copies")) == 1

    def test_a_file_of_that_name(self, search: Callable[..., Ran], tmp_path: Path) -> None:
        (tmp_path / "copies").write_text("a file")
        failed(search("--copy-to", tmp_path / "copies"), 2, "is not a folder", "--copy-to")
