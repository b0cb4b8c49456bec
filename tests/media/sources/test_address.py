"""Addresses of files and of members of archives."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from shotdex.media.files.places import Facts, TooManyBytes
from shotdex.media.sources import facts, idx, read_bytes
from shotdex.media.sources.address import join, split
from shotdex.store.errors import ContainerFailure
from tests.support.archives import memory_below


def test_a_file_is_its_path(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    assert split(str(tmp_path / "a.png")) == (str(tmp_path / "a.png"), None)
    assert read_bytes(str(tmp_path / "a.png")) == b"one"


@pytest.mark.parametrize("name", ["a!b.png", "!a.png", "a!!.png", "x.zip!a.png"])
def test_a_name_with_an_exclamation_mark_is_a_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", b"not mine")
    assert read_bytes(str(tmp_path / name)) == b"mine"


@pytest.mark.parametrize("member", ["a.png", "deep/er/b.png", "odd!name.png", "!x", "ünï 🎈.png", "a" * 250 + ".png"])
@pytest.mark.parametrize("archive_name", ["p.zip", "wow!.zip", "dir!ectory/p.zip"])
def test_members_of_a_zip(tmp_path: Path, member: str, archive_name: str) -> None:
    path = tmp_path / archive_name
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, b"content")
    assert read_bytes(join(path, member)) == b"content"


def test_what_is_not_there(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("a.png", b"content")
    with pytest.raises(KeyError):
        read_bytes(f"{tmp_path}/p.zip!b.png")
    with pytest.raises(FileNotFoundError):
        read_bytes(f"{tmp_path}/q.zip!b.png")


def test_a_zip_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    for content in (b"one", b"other"):
        path.unlink(missing_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.png", content)
        assert read_bytes(f"{path}!a.png") == content


@pytest.mark.parametrize(
    ("address", "place", "member"),
    [
        ("https://host/a!b.jpg", "https://host/a!b.jpg", None),
        ("https://host/set.zip!a!b.jpg", "https://host/set.zip", "a!b.jpg"),
        ("https://host/SET.TAR.GZ?key=a.zip!a.jpg", "https://host/SET.TAR.GZ?key=a.zip", "a.jpg"),
        ("https://host/get?file=set.zip!a.jpg", "https://host/get?file=set.zip!a.jpg", None),
        ("https://host/get?id=5!!a!b.jpg", "https://host/get?id=5", "a!b.jpg"),
        ("s3://bucket/set.parquet!image/17", "s3://bucket/set.parquet", "image/17"),
        ("gs://bucket/wow!/set.tar!!x.jpg", "gs://bucket/wow!/set.tar", "!x.jpg"),
        ("https://[host/set.zip!a.jpg", "https://[host/set.zip", "a.jpg"),
        ("torchvision:CIFAR10!train/17", "torchvision:CIFAR10", "train/17"),
        ("hf:me/set:config!train/17!x", "hf:me/set:config", "train/17!x"),
        ("/gone/set.tar.gz!a.jpg", "/gone/set.tar.gz", "a.jpg"),
        ("/gone/wow!/x-images-idx3-ubyte.gz!17", "/gone/wow!/x-images-idx3-ubyte.gz", "17"),
        ("/gone/a!b.jpg", "/gone/a!b.jpg", None),
        ("/gone/a.jpg", "/gone/a.jpg", None),
    ],
)
def test_what_is_not_on_this_machine_is_split_by_its_ending(address: str, place: str, member: str | None) -> None:
    assert split(address) == (place, member)
    if member is not None:
        assert join(place, member) == address


def test_pipes_folders_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for place in (tmp_path / "pipe.png", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="regular file"):
            read_bytes(str(place))
        with pytest.raises(OSError, match="regular file"):
            facts(str(place))


def test_no_more_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"12345")
    assert read_bytes(str(tmp_path / "a.png"), 5) == b"12345"
    with pytest.raises(TooManyBytes):
        read_bytes(str(tmp_path / "a.png"), 4)
    path = write_idx(tmp_path / "t-images-idx3-ubyte", np.zeros((2, 3, 4)))
    assert len(read_bytes(f"{path}!1", 12)) == 12 + len("P5 4 3 255\n")
    with pytest.raises(TooManyBytes):
        read_bytes(f"{path}!1", 11)


def test_facts(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"12345")
    os.utime(tmp_path / "a.png", ns=(7, 7))
    path = write_idx(tmp_path / "t-images-idx3-ubyte", np.zeros((2, 3, 4)))
    os.utime(path, ns=(8, 8))
    assert facts(str(tmp_path / "a.png")) == Facts(5, 7)
    assert facts(f"{path}!1") == Facts(12, 8)
    for address in ("hf:me/set!train/1", f"{tmp_path}/set.parquet!image/1"):
        assert facts(address) is None
    for address in (f"{path}!2", f"{path}!x"):
        with pytest.raises(KeyError):
            facts(address)
    with pytest.raises(FileNotFoundError):
        facts(str(tmp_path / "gone.png"))


def write_idx(path: Path, array: np.ndarray) -> Path:
    raw = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])
def test_idx_images(tmp_path: Path, name: str) -> None:
    from shotdex.media.open_image import open_image

    array = np.arange(2 * 3 * 4).reshape(2, 3, 4) * 5
    path = write_idx(tmp_path / name, array)
    assert idx.read_idx(str(path)).tolist() == array.tolist()
    image = open_image(f"{path}!1")
    assert image.mode == "RGB"
    assert np.asarray(image)[:, :, 0].tolist() == array[1].tolist()
    for position in ("2", "-1", "x", "", "\uff11", "9" * 5000):
        with pytest.raises(KeyError):
            read_bytes(f"{path}!{position}")


def test_idx_labels(tmp_path: Path) -> None:
    assert idx.read_idx(str(write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([3, 1, 2])))).tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\0", b"\0\0\x08\x03\0\0", b"\0\0\x08\x01\0\0\0\x05abc", b"GIF89a....."],
)
def test_idx_files_that_are_not(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x-ubyte").write_bytes(raw)
    with pytest.raises(ContainerFailure, match=r"IDX|early"):
        idx.read_idx(str(tmp_path / "x-ubyte"))


@pytest.mark.parametrize("name", ["t-images-idx3-ubyte", "t-images-idx3-ubyte.gz"])
def test_an_idx_file_that_was_replaced_is_read_anew(tmp_path: Path, name: str) -> None:
    for value in (1, 2):
        path = write_idx(tmp_path / name, np.full((2, 3, 4), value))
        os.utime(path, ns=(value, value))
        assert read_bytes(f"{path}!1").endswith(bytes([value] * 12))


def test_a_large_compressed_idx_file_is_read_forward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "WHOLE_LIMIT", 100)
    array = np.random.default_rng(0).integers(0, 256, (40, 30, 20))
    path = write_idx(tmp_path / "t-images-idx3-ubyte.gz", array)
    assert not idx.open_idx(str(path)).in_memory
    for position in (0, 5, 39, 3, 4):
        assert read_bytes(f"{path}!{position}").endswith(array[position].astype(np.uint8).tobytes())


@pytest.mark.parametrize("claimed", [10, 2**31])
def test_an_idx_file_that_unpacks_to_more_than_it_says_or_says_too_much(tmp_path: Path, claimed: int) -> None:
    path = tmp_path / "t-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">HBB3I", 0, 8, 3, claimed, 28, 28) + bytes(30_000_000), 1))
    with memory_below(3_000_000):
        with pytest.raises(ContainerFailure, match=r"more|too early"):
            idx.read_idx(str(path))
        with pytest.raises(ContainerFailure, match=r"more|too early"):
            idx.open_idx(str(path)).check()
