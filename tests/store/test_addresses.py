"""Addresses of files and of members of archives."""

from __future__ import annotations

import gzip
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from shotdex.store import addresses, idx


def test_a_file_is_its_path(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    assert addresses.split(str(tmp_path / "a.png")) == (tmp_path / "a.png", None)
    assert addresses.read_bytes(str(tmp_path / "a.png")) == b"one"


@pytest.mark.parametrize("name", ["a!b.png", "!a.png", "a!!.png", "x.zip!a.png"])
def test_a_name_with_an_exclamation_mark_is_a_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", b"not mine")
    assert addresses.read_bytes(str(tmp_path / name)) == b"mine"


@pytest.mark.parametrize("member", ["a.png", "deep/er/b.png", "odd!name.png", "!x", "ünï 🎈.png", "a" * 250 + ".png"])
@pytest.mark.parametrize("archive_name", ["p.zip", "wow!.zip", "dir!ectory/p.zip"])
def test_members_of_a_zip(tmp_path: Path, member: str, archive_name: str) -> None:
    path = tmp_path / archive_name
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, b"content")
    assert addresses.read_bytes(addresses.join(path, member)) == b"content"


def test_what_is_not_there(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("a.png", b"content")
    with pytest.raises(KeyError):
        addresses.read_bytes(f"{tmp_path}/p.zip!b.png")
    with pytest.raises(FileNotFoundError):
        addresses.read_bytes(f"{tmp_path}/q.zip!b.png")


def test_a_zip_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    for content in (b"one", b"other"):
        path.unlink(missing_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.png", content)
        assert addresses.read_bytes(f"{path}!a.png") == content


def write_idx(path: Path, array: np.ndarray) -> Path:
    raw = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])
def test_idx_pictures(tmp_path: Path, name: str) -> None:
    from shotdex.store.pictures import open_picture

    array = np.arange(2 * 3 * 4).reshape(2, 3, 4) * 5
    path = write_idx(tmp_path / name, array)
    assert idx.read_idx(path).tolist() == array.tolist()
    picture = open_picture(f"{path}!1")
    assert picture.mode == "RGB"
    assert np.asarray(picture)[:, :, 0].tolist() == array[1].tolist()
    for position in ("2", "-1"):
        with pytest.raises(KeyError):
            addresses.read_bytes(f"{path}!{position}")


def test_idx_labels(tmp_path: Path) -> None:
    assert idx.read_idx(write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([3, 1, 2]))).tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\0", b"\0\0\x08\x03\0\0", b"\0\0\x08\x01\0\0\0\x05abc", b"GIF89a....."],
)
def test_idx_files_that_are_not(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x-ubyte").write_bytes(raw)
    with pytest.raises(ValueError, match=r"x-ubyte|buffer"):
        idx.read_idx(tmp_path / "x-ubyte")
