"""What is found in folders, and what is no source."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from shotdex.indexer.inventory import Inventory
from shotdex.media.sources import Candidate, open_source, read_bytes
from shotdex.store.errors import SourceError
from shotdex.store.file_names import stored
from shotdex.store.types import Failure, Reason


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


@dataclass(frozen=True)
class Looked:
    """What a scan found, candidates in the order in which they are indexed."""

    candidates: list[Candidate]
    failures: list[Failure]
    ignored: int


def look(place: Path) -> Looked:
    names = ("address", "relative", "size_bytes", "modified_ns")
    with Inventory(open_source(place)) as scan:
        scan.walk()
        rows = [row for chunk in scan.chunks("ordered") for row in chunk]
        assert scan.candidates == len(rows)
        assert scan.failed == len(scan.failures(100))
        return Looked(
            [Candidate(*(row[name] for name in names)) for row in rows],
            sorted(scan.failures(100), key=lambda failure: failure.path),
            scan.ignored,
        )


def found(looked: Looked) -> list[str]:
    return [candidate.relative for candidate in looked.candidates]


class TestFolder:
    """A folder of images, with the folders in it."""

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
        scan = look(tmp_path)
        assert found(scan) == sorted(found(scan), key=lambda name: name.split("/"))
        assert set(found(scan)) == {
            "b.png", "a.JPG", "B/x.Jpeg", "B/deep/er/y.webp", "a b/ü 🎈\n.gif", "x!y.png", "-r.png", "c.tar.png",
        }  # fmt: skip
        assert (scan.ignored, scan.failures) == (3, [])
        assert all(read_bytes(candidate.address) == b"x" for candidate in scan.candidates)
        assert {candidate.size_bytes for candidate in scan.candidates} == {1}

    def test_the_order_is_the_same_every_time(self, tmp_path: Path) -> None:
        for name in ("a/2.png", "a-b/1.png", "a.png", "a/1.png", "b/0.png"):
            touch(tmp_path / name)
        assert found(look(tmp_path)) == ["a/1.png", "a/2.png", "a-b/1.png", "a.png", "b/0.png"]

    def test_links_are_followed_once(self, tmp_path: Path) -> None:
        touch(tmp_path / "out" / "o.png")
        touch(tmp_path / "in" / "a" / "x.png")
        (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in")
        (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
        (tmp_path / "in" / "one.png").symlink_to(tmp_path / "out" / "o.png")
        scan = look(tmp_path / "in")
        assert found(scan) == ["a/x.png", "link/o.png", "one.png"]
        assert scan.failures == []

    def test_links_that_lead_nowhere(self, tmp_path: Path) -> None:
        touch(tmp_path / "x.png")
        (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
        (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
        scan = look(tmp_path)
        assert found(scan) == ["x.png"]
        assert [(Path(r.path).name, r.reason) for r in scan.failures] == [
            ("gone.png", Reason.UNREADABLE),
            ("round.png", Reason.UNREADABLE),
        ]

    def test_a_name_that_is_not_utf8(self, tmp_path: Path) -> None:
        touch(tmp_path / "x.png")
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))).write_bytes(b"x")
        scan = look(tmp_path)
        assert sorted(found(scan)) == sorted([stored("caf\udce9.png"), "x.png"])
        assert not scan.failures

    def test_pipes_are_no_images(self, tmp_path: Path) -> None:
        touch(tmp_path / "x.png")
        os.mkfifo(tmp_path / "pipe.png")  # reading one would wait for ever
        assert found(look(tmp_path)) == ["x.png"]

    def test_an_index_below_the_folder_is_not_part_of_it(self, tmp_path: Path) -> None:
        touch(tmp_path / "x.png")
        touch(tmp_path / ".shotdex" / "thumb.png")
        assert found(look(tmp_path)) == ["x.png"]


@pytest.mark.parametrize(("name", "content"), [("x.txt", b"hello"), ("x.docx", b"PK"), ("x.zip", b"not a zip")])
def test_a_file_that_is_no_source(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match="is not a folder, archive, manifest or IDX file") as caught:
        open_source(tmp_path / name)
    assert caught.value.hint


def test_nothing_at_the_place(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is nothing at"):
        open_source(tmp_path / "gone")
