"""What is found in folders, zip archives and IDX files."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from shotdex.indexer.run import scan_source
from shotdex.indexer.sources import open_source
from shotdex.indexer.sources.base import Scan
from shotdex.indexer.sources.idx_files import FASHION_MNIST
from shotdex.store.addresses import read_bytes
from shotdex.store.errors import SourceError
from shotdex.store.images import Labels
from shotdex.store.words import Reason
from tests.store.test_addresses import write_idx


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def found(scan: Scan) -> list[str]:
    return [candidate.relative for candidate in scan.candidates]


class TestFolder:
    """A folder of pictures, with the folders in it."""

    def test_names(self, tmp_path: Path) -> None:
        for name in (
            "b.png",
            "a.JPG",
            "B/x.Jpeg",
            "B/deep/er/y.webp",
            "a b/ü 🎈\n.gif",
            "x!y.png",
            "-r.png",
            "c.tar.png",
        ):
            touch(tmp_path / name)
        for name in (".hidden.png", ".git/z.png", "B/.DS_Store", "notes.txt", "png", "README.md"):
            touch(tmp_path / name)
        scan = open_source(tmp_path).scan()
        assert found(scan) == sorted(found(scan), key=lambda name: name.split("/"))
        assert set(found(scan)) == {
            "b.png", "a.JPG", "B/x.Jpeg", "B/deep/er/y.webp", "a b/ü 🎈\n.gif", "x!y.png", "-r.png", "c.tar.png",
        }  # fmt: skip
        assert (scan.ignored, scan.rejections) == (3, [])
        assert all(read_bytes(candidate.address) == b"x" for candidate in scan.candidates)
        assert {candidate.size_bytes for candidate in scan.candidates} == {1}

    def test_the_order_is_the_same_every_time(self, tmp_path: Path) -> None:
        for name in ("a/2.png", "a-b/1.png", "a.png", "a/1.png", "b/0.png"):
            touch(tmp_path / name)
        assert found(open_source(tmp_path).scan()) == ["a/1.png", "a/2.png", "a-b/1.png", "a.png", "b/0.png"]

    def test_links_are_followed_once(self, tmp_path: Path) -> None:
        touch(tmp_path / "out" / "o.png")
        touch(tmp_path / "in" / "a" / "x.png")
        (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in")
        (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
        (tmp_path / "in" / "one.png").symlink_to(tmp_path / "out" / "o.png")
        scan = open_source(tmp_path / "in").scan()
        assert found(scan) == ["a/x.png", "link/o.png", "one.png"]
        assert scan.rejections == []

    def test_links_that_lead_nowhere(self, tmp_path: Path) -> None:
        touch(tmp_path / "x.png")
        (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
        (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
        scan = open_source(tmp_path).scan()
        assert found(scan) == ["x.png"]
        assert [(Path(r.path).name, r.reason) for r in scan.rejections] == [
            ("gone.png", Reason.UNREADABLE),
            ("round.png", Reason.UNREADABLE),
        ]

    def test_a_name_that_is_not_utf8(self, tmp_path: Path) -> None:
        touch(tmp_path / "x.png")
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))).write_bytes(b"x")
        scan = open_source(tmp_path).scan()
        assert found(scan) == ["x.png"]
        assert [(r.path, r.reason) for r in scan.rejections] == [(f"{tmp_path}/caf\\udce9.png", Reason.BAD_NAME)]

    def test_pipes_are_no_pictures(self, tmp_path: Path) -> None:
        touch(tmp_path / "x.png")
        os.mkfifo(tmp_path / "pipe.png")  # reading one would wait for ever
        assert found(open_source(tmp_path).scan()) == ["x.png"]

    def test_an_index_below_the_folder_is_not_part_of_it(self, tmp_path: Path) -> None:
        touch(tmp_path / "x.png")
        touch(tmp_path / ".shotdex" / "thumb.png")
        assert found(open_source(tmp_path).scan()) == ["x.png"]


class TestZip:
    """A zip archive, read in place."""

    def test_members(self, tmp_path: Path) -> None:
        path = tmp_path / "p.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in (
                "b/2.PNG",
                "a.jpg",
                "b/c/ü!.gif",
                "__MACOSX/a.jpg",
                "b/._2.PNG",
                ".DS_Store",
                "notes.txt",
                "dir.png/",
            ):
                archive.writestr(name, name.encode())
        scan = open_source(path).scan()
        assert found(scan) == ["a.jpg", "b/2.PNG", "b/c/ü!.gif"]
        assert scan.ignored == 1
        assert [read_bytes(c.address).decode() for c in scan.candidates] == found(scan)
        assert scan.candidates[0].size_bytes == 5

    def test_a_zip_in_a_zip_is_ignored(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
            archive.writestr("inner.zip", b"PK")
        with pytest.raises(SourceError, match="no pictures"):
            scan_source(open_source(tmp_path / "p.zip"))

    def test_a_name_twice_is_one_picture(self, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
            archive.writestr("a.png", b"old")
            archive.writestr("a.png", b"new")
        assert found(open_source(tmp_path / "p.zip").scan()) == ["a.png"]

    def test_a_broken_one(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
            archive.writestr("a.png", b"x" * 1000)
        data = bytearray((tmp_path / "p.zip").read_bytes())
        at = data.index(b"PK\x01\x02")
        data[at : at + 4] = b"XXXX"
        (tmp_path / "p.zip").write_bytes(data)
        with pytest.raises(SourceError, match="cannot be read as a zip"):
            open_source(tmp_path / "p.zip").scan()

    def test_an_encrypted_or_damaged_member_is_a_failure_not_the_end(self, tmp_path: Path) -> None:
        from shotdex.indexer.decoding import Decoder, Refused

        with zipfile.ZipFile(tmp_path / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.png", os.urandom(500))
        data = bytearray((tmp_path / "p.zip").read_bytes())
        data[60:80] = bytes(20)
        (tmp_path / "p.zip").write_bytes(data)
        candidate = open_source(tmp_path / "p.zip").scan().candidates[0]
        made = Decoder(lambda image: {}, lambda content: False).decode(candidate)
        assert isinstance(made, Refused)
        assert (made.rejection.stage, made.rejection.reason) == ("read", Reason.UNREADABLE)


class TestIdx:
    """IDX files: split by name, category by the labels beside."""

    def test_pictures_and_labels(self, tmp_path: Path) -> None:
        write_idx(tmp_path / "train-images-idx3-ubyte.gz", np.zeros((3, 4, 4)))
        write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.array([7, 0, 7]))
        write_idx(tmp_path / "t10k-images-idx3-ubyte", np.ones((2, 4, 4)))
        scan = open_source(tmp_path).scan()
        assert open_source(tmp_path).kind == "IDX files"
        assert [(c.relative, c.labels) for c in scan.candidates] == [
            ("t10k-images-idx3-ubyte/0", Labels(None, None, "test")),
            ("t10k-images-idx3-ubyte/1", Labels(None, None, "test")),
            ("train-images-idx3-ubyte.gz/0", Labels("7", None, "train")),
            ("train-images-idx3-ubyte.gz/1", Labels("0", None, "train")),
            ("train-images-idx3-ubyte.gz/2", Labels("7", None, "train")),
        ]

    def test_one_file_of_several(self, tmp_path: Path) -> None:
        for start in ("train", "t10k"):
            write_idx(tmp_path / f"{start}-images-idx3-ubyte.gz", np.zeros((2, 4, 4)))
            write_idx(tmp_path / f"{start}-labels-idx1-ubyte.gz", np.array([5, 6]))
        candidates = open_source(tmp_path / "t10k-images-idx3-ubyte.gz").scan().candidates
        assert [c.labels for c in candidates] == [Labels("5", None, "test"), Labels("6", None, "test")]
        whole = open_source(tmp_path).scan().candidates
        assert {c.address for c in candidates} < {c.address for c in whole}, "by either way it is the same picture"

    def test_packed_and_unpacked_side_by_side_count_once(self, tmp_path: Path) -> None:
        for ending in ("", ".gz"):
            write_idx(tmp_path / f"train-images-idx3-ubyte{ending}", np.zeros((3, 4, 4)))
        assert len(open_source(tmp_path).scan().candidates) == 3

    @pytest.mark.parametrize("damage", ["cut", "middle", "tail", "not gzip"])
    def test_a_damaged_file_is_said(self, tmp_path: Path, damage: str) -> None:
        path = write_idx(
            tmp_path / "train-images-idx3-ubyte.gz", np.random.default_rng(0).integers(0, 256, (9, 28, 28))
        )
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
            open_source(tmp_path).scan()

    def test_labels_that_do_not_fit(self, tmp_path: Path) -> None:
        write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((3, 4, 4)))
        write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([7, 0]))
        with pytest.raises(SourceError, match="3 pictures but 2 labels"):
            open_source(tmp_path).scan()

    def test_fashion_mnist_is_known_by_its_pictures(self, fashion_mnist: Path) -> None:
        scan = open_source(fashion_mnist).scan()
        labels = gzip.decompress((fashion_mnist / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
        test = [c.labels for c in scan.candidates if c.labels and c.labels.split == "test"]
        assert (len(scan.candidates), len(test)) == (70_000, 10_000)
        assert [label.category for label in test] == [FASHION_MNIST[i] for i in labels]
        train = [c.labels.category for c in scan.candidates if c.labels and c.labels.split == "train"]
        assert train[:3] == ["Ankle boot", "T-shirt/top", "T-shirt/top"]


@pytest.mark.parametrize(("name", "content"), [("x.txt", b"hello"), ("x.png", b"\x89PNG"), ("x.zip", b"not a zip")])
def test_a_file_that_is_no_source(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match="neither a folder, a zip archive nor an IDX file") as caught:
        open_source(tmp_path / name)
    assert caught.value.hint


def test_nothing_at_the_place(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is nothing at"):
        open_source(tmp_path / "gone")
