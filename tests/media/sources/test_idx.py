"""IDX files as a source: split by name, category by the labels beside."""

from __future__ import annotations

import gzip
import math
import os
import struct
from pathlib import Path

import fsspec
import numpy as np
import pytest

from shotdex.media.sources import idx, open_source, read_bytes
from shotdex.media.sources.base import Candidate
from shotdex.media.sources.idx import FASHION_MNIST, IdxSource, find_idx_files
from shotdex.store.errors import SourceError
from shotdex.store.images import Labels
from tests.media.sources.test_address import write_idx


def scanned(place: Path) -> list[Candidate]:
    return [each for each in IdxSource(str(place)).scan() if isinstance(each, Candidate)]


def test_images_and_labels(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", np.zeros((3, 4, 4)))
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.array([7, 0, 7]))
    write_idx(tmp_path / "t10k-images-idx3-ubyte", np.ones((2, 4, 4)))
    os.utime(tmp_path / "t10k-images-idx3-ubyte", ns=(9, 9))
    source = IdxSource(str(tmp_path))
    found = scanned(tmp_path)
    assert (source.kind, source.by_path, source.complete, source.in_order) == ("IDX files", False, True, False)
    assert [(c.relative, c.labels) for c in found] == [
        ("t10k-images-idx3-ubyte/0", Labels(None, None, "test")),
        ("t10k-images-idx3-ubyte/1", Labels(None, None, "test")),
        ("train-images-idx3-ubyte.gz/0", Labels("7", None, "train")),
        ("train-images-idx3-ubyte.gz/1", Labels("0", None, "train")),
        ("train-images-idx3-ubyte.gz/2", Labels("7", None, "train")),
    ]
    assert (found[0].size_bytes, found[0].modified_ns) == (16, 9)
    for each in found:
        assert source.read(each.address, 16) == read_bytes(each.address)


def test_one_file_of_several(tmp_path: Path) -> None:
    for start in ("train", "t10k"):
        write_idx(tmp_path / f"{start}-images-idx3-ubyte.gz", np.zeros((2, 4, 4)))
        write_idx(tmp_path / f"{start}-labels-idx1-ubyte.gz", np.array([5, 6]))
    candidates = scanned(tmp_path / "t10k-images-idx3-ubyte.gz")
    assert [c.labels for c in candidates] == [Labels("5", None, "test"), Labels("6", None, "test")]
    assert {c.address for c in candidates} < {c.address for c in scanned(tmp_path)}, "it is the same image"


def test_packed_and_unpacked_side_by_side_count_once(tmp_path: Path) -> None:
    for ending in ("", ".gz"):
        write_idx(tmp_path / f"train-images-idx3-ubyte{ending}", np.zeros((3, 4, 4)))
    assert find_idx_files(tmp_path) == [str(tmp_path / "train-images-idx3-ubyte")]
    assert len(scanned(tmp_path)) == 3


def test_what_is_no_idx_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    os.mkfifo(tmp_path / "train-images-idx3-ubyte")
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([1]))
    assert find_idx_files(tmp_path) == []
    assert find_idx_files(tmp_path / "a.png") == []
    assert find_idx_files(tmp_path / "gone") == []


@pytest.mark.parametrize("damage", ["cut", "middle", "tail", "not gzip"])
def test_a_damaged_file_is_said(tmp_path: Path, damage: str) -> None:
    path = write_idx(tmp_path / "train-images-idx3-ubyte.gz", np.random.default_rng(0).integers(0, 256, (9, 28, 28)))
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "middle":
        data[40:60] = b"\xff" * 20
    elif damage == "tail":
        data[-6:] = b"\0" * 6
    else:
        data[:2] = b"xx"
    path.write_bytes(data)
    with pytest.raises(SourceError, match="cannot be read"):
        scanned(tmp_path)


@pytest.mark.parametrize("shape", [(2**32 - 1, 0, 0), (2**32 - 1, 28, 28), (5,), (2, 2, 2, 2)])
def test_sizes_that_cannot_be(tmp_path: Path, shape: tuple[int, ...]) -> None:
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(header + bytes(min(math.prod(shape), 100)))
    with pytest.raises(SourceError, match=r"cannot be read|three sizes"):
        scanned(tmp_path)


def test_labels_that_do_not_fit(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((3, 4, 4)))
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([7, 0]))
    with pytest.raises(SourceError, match="3 images but 2 labels"):
        scanned(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros((3, 2)))
    with pytest.raises(SourceError, match="labels have 2 dimensions"):
        scanned(tmp_path)


def test_a_large_compressed_file_is_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", np.zeros((3, 40, 40)))
    monkeypatch.setattr(idx, "WHOLE_LIMIT", 1000)
    assert IdxSource(str(tmp_path)).in_order


def test_fashion_mnist_is_known_by_its_images(fashion_mnist: Path) -> None:
    found = scanned(fashion_mnist)
    labels = gzip.decompress((fashion_mnist / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    test = [c.labels for c in found if c.labels and c.labels.split == "test"]
    assert (len(found), len(test)) == (70_000, 10_000)
    assert [label.category for label in test] == [FASHION_MNIST[i] for i in labels]
    train = [c.labels.category for c in found if c.labels and c.labels.split == "train"]
    assert train[:3] == ["Ankle boot", "T-shirt/top", "T-shirt/top"]


def test_at_a_url(tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    for path in (
        write_idx(tmp_path / "train-images-idx3-ubyte.gz", np.arange(32).reshape(2, 4, 4)),
        write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([7, 0])),
    ):
        files.pipe_file(f"/idx-test/{path.name}", path.read_bytes())
    source = open_source("memory://idx-test/train-images-idx3-ubyte.gz")
    first, second = source.scan()
    assert isinstance(first, Candidate)
    assert isinstance(second, Candidate)
    assert (first.labels, second.labels) == (Labels("7", None, "train"), Labels("0", None, "train"))
    assert source.read(second.address, 100) == read_bytes(second.address) == b"P5 4 4 255\n" + bytes(range(16, 32))
