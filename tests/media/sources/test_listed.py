"""Lists of paths on a stream, as `find` and other programs write them."""

from __future__ import annotations

import io
import os
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotdex.media.sources import listed
from shotdex.media.sources.base import Candidate, Found
from shotdex.media.sources.listed import ListedSource
from shotdex.store.types import Failure, Reason


def scan(data: bytes) -> list[Found]:
    return list(ListedSource(io.BytesIO(data)).scan())


def relatives(found: list[Found]) -> list[str]:
    return [each.relative for each in found if isinstance(each, Candidate)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "sub/b c.jpg", "sub/ü 🎈.png", "two\nlines.jpg", "wow!.jpg", "end\r"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_lines(here: Path) -> None:
    source = ListedSource(io.BytesIO(f"\ufeffa.jpg\n\n./sub/b c.jpg\r\n\r\n{here}/sub/ü 🎈.png\nwow!.jpg".encode()))
    found = list(source.scan())
    assert relatives(found) == ["a.jpg", "sub/b c.jpg", "sub/ü 🎈.png", "wow!.jpg"]
    assert [each.address for each in found if isinstance(each, Candidate)] == [
        f"{here}/{name}" for name in relatives(found)
    ]
    assert [source.read(f"{here}/{name}", 100).decode() for name in relatives(found)] == relatives(found)
    facts = (here / "a.jpg").stat()
    assert found[0] == Candidate(f"{here}/a.jpg", "a.jpg", facts.st_size, facts.st_mtime_ns)
    assert (source.root, source.complete, source.by_path, source.in_order) == ("standard input", False, False, False)


def test_what_find_writes(here: Path) -> None:
    listing = subprocess.run(["find", ".", "-type", "f", "-print0"], capture_output=True, check=True).stdout
    assert sorted(relatives(scan(listing))) == sorted(
        ["a.jpg", "sub/b c.jpg", "sub/ü 🎈.png", "two\nlines.jpg", "wow!.jpg", "end\r"]
    )
    assert relatives(scan(b"\0\0a.jpg\0\0two\nlines.jpg")) == ["a.jpg", "two\nlines.jpg"]


def test_what_is_refused(here: Path) -> None:
    os.mkfifo(here / "pipe.jpg")
    (here / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    lines = [b"gone.jpg", b"sub", b"pipe.jpg", b"caf\xe9.jpg", b"x" * 100_000, b"y" * 20_000, b"ftp://h/a.jpg"]
    found = [each for each in scan(b"\n".join([*lines, b"a.jpg"])) if isinstance(each, Failure)]
    assert [(each.path.removeprefix(f"{here}/")[:15], each.reason) for each in found] == [
        ("gone.jpg", Reason.UNREADABLE),
        ("sub", Reason.UNREADABLE),
        ("pipe.jpg", Reason.UNREADABLE),
        ("x" * 15, Reason.UNREADABLE),
        ("y" * 15, Reason.UNREADABLE),
        ("ftp://h/a.jpg", Reason.UNSUPPORTED),
    ]
    assert found[1].detail == "a folder, not an image; index the folder itself"
    assert found[3].detail == "entry 5 has more than 65,536 bytes"
    assert len(scan(b"\n".join([*lines, b"a.jpg"]))) == 8


def test_urls_and_members(here: Path) -> None:
    import zipfile

    with zipfile.ZipFile(here / "set.zip", "w") as archive:
        archive.writestr("a/b.jpg", b"member")
    source = ListedSource(io.BytesIO(b"set.zip!a/b.jpg\nhttps://h/c.jpg\n"))
    found = list(source.scan())
    assert relatives(found) == ["a/b.jpg", "c.jpg"]
    assert source.read(f"{here}/set.zip!a/b.jpg", 100) == b"member"


def test_nothing(here: Path) -> None:
    assert scan(b"") == scan(b"\n\r\n\n") == scan(b"\0") == []


@given(st.lists(st.binary(max_size=30), max_size=30), st.sampled_from([b"\0", b"\n"]), st.integers(1, 12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_entries_do_not_depend_on_how_the_stream_comes(
    monkeypatch: pytest.MonkeyPatch, items: list[bytes], end: bytes, chunk: int
) -> None:
    items = [item.translate(None, b"\0\n\r") for item in items]
    monkeypatch.setattr(listed, "_CHUNK", chunk)
    monkeypatch.setattr(listed, "_ITEM_LIMIT", 20)
    data = end.join([b"first", *items])
    found = list(listed._items(Once(data, end)))
    assert found == [item[:21] for item in (b"first", *items) if item]


class Once(io.BytesIO):
    """A stream whose first chunk shows how entries are divided."""

    def __init__(self, data: bytes, end: bytes) -> None:
        super().__init__(data)
        self.first: Iterator[bytes] = iter([end])

    def read(self, size: int | None = -1) -> bytes:
        return next(self.first, None) or super().read(size)


def test_a_stream_without_end_of_entry_is_not_held() -> None:
    class Endless(io.RawIOBase):
        left = 500

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return b"x" * size if self.left > 0 else b""

    tracemalloc.start()
    found = list(ListedSource(Endless()).scan())  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 1
    assert peak < 2_000_000  # of 32,000,000
