"""A zip archive as a source, read in place."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import fsspec
import pytest

from shotdex.media.sources import read_bytes
from shotdex.media.sources.base import Candidate, FailedFolder, Found, Ignored
from shotdex.media.sources.left_out import Left
from shotdex.media.sources.zipped import ZipSource, matches
from shotdex.store.errors import ContainerFailure, SourceError
from shotdex.store.types import Failure, Reason
from tests.support.archives import memory_below, overlapping_zip, raw_zip, zip_bytes


def save(path: Path, data: bytes) -> ZipSource:
    path.write_bytes(data)
    assert matches(str(path))
    return ZipSource(str(path))


def names(found: list[Found]) -> list[str]:
    return [each.relative for each in found if isinstance(each, Candidate)]


def test_members(tmp_path: Path) -> None:
    members = [
        "b/2.PNG", "a.jpg", "b/c/ü!.gif", "__MACOSX/a.jpg", "b/._2.PNG", ".DS_Store", "notes.txt", "dir.png/",
        ".git/x.png", "inner.zip", "../up.png", "/root/r.png", "./dot.png", "deep//er/d.png",
    ]  # fmt: skip
    source = save(tmp_path / "p.zip", zip_bytes((name, name.encode()) for name in members))
    found = list(source.scan())
    assert names(found) == [
        "b/2.PNG", "a.jpg", "b/c/ü!.gif", "../up.png", "root/r.png", "dot.png", "deep/er/d.png",
    ]  # fmt: skip
    candidates = [each for each in found if isinstance(each, Candidate)]
    read = [source.read(each.address, 100).decode() for each in candidates]
    assert read == [
        "b/2.PNG", "a.jpg", "b/c/ü!.gif", "../up.png", "/root/r.png", "./dot.png", "deep//er/d.png",
    ]  # fmt: skip
    assert read == [read_bytes(each.address).decode() for each in candidates]
    assert [each.size_bytes for each in candidates] == [len(each.encode()) for each in read]
    ignored = [each for each in found if isinstance(each, Ignored)]
    assert {each.path.rpartition("!")[2]: each.why for each in ignored} == {
        "__MACOSX": Left.SYSTEM,
        ".git": Left.HIDDEN_FOLDER,
        "notes.txt": Left.OTHER,
        "inner.zip": Left.ARCHIVE,
    }
    assert len(found) == len(candidates) + len(ignored)
    assert (source.by_path, source.complete, source.in_order, source.kind) == (True, True, False, "zip")


def test_a_file_beside_that_has_a_members_address_is_not_taken_for_it(tmp_path: Path) -> None:
    source = save(tmp_path / "p.zip", zip_bytes([("a.png", b"member")]))
    (tmp_path / "p.zip!a.png").write_bytes(b"file")
    (found,) = source.scan()
    assert isinstance(found, Candidate)
    assert source.read(found.address, 100) == b"member"


def test_separators_of_windows(tmp_path: Path) -> None:
    made = [zipfile.ZipInfo("cats\\a.png"), zipfile.ZipInfo("cats\\b.png")]
    made[0].create_system, made[1].create_system = 0, 3
    source = save(tmp_path / "p.zip", zip_bytes((info, b"x") for info in made))
    assert names(list(source.scan())) == ["cats/a.png", "cats\\b.png"]
    assert [source.read(f"{tmp_path}/p.zip!cats\\{name}.png", 9) for name in "ab"] == [b"x", b"x"]


def test_links_and_names_that_are_not_utf8(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    source = save(tmp_path / "p.zip", zip_bytes([(link, b"/etc/passwd")]))
    address = f"{tmp_path}/p.zip!link.png"
    assert list(source.scan()) == [Failure(address, "scan", Reason.UNREADABLE, "a link, which is not followed")]
    source = save(tmp_path / "q.zip", raw_zip([(b"a.png", b"1", 0x800), (b"\xff.png", b"1", 0x800)]))
    first, damage = source.scan()
    assert isinstance(first, Candidate)
    assert isinstance(damage, FailedFolder)
    assert damage.failure.reason is Reason.BAD_NAME


def test_of_a_name_twice_the_last_is_yielded_last_and_read(tmp_path: Path) -> None:
    source = save(tmp_path / "p.zip", zip_bytes([("a.png", b"old"), ("b.png", b"b"), ("a.png", b"newer")]))
    found = [each for each in source.scan() if isinstance(each, Candidate)]
    assert [(each.relative, each.size_bytes) for each in found] == [("a.png", 3), ("b.png", 1), ("a.png", 5)]
    assert found[0].address == found[2].address
    assert found[0].modified_ns != found[2].modified_ns
    assert source.read(found[0].address, 100) == b"newer"


def test_an_archive_that_grew_changes_no_member(tmp_path: Path) -> None:
    source = save(tmp_path / "p.zip", zip_bytes([("a.png", b"1"), ("b.png", b"2")]))
    before = list(source.scan())
    with zipfile.ZipFile(tmp_path / "p.zip", "a") as archive:
        archive.writestr("c.png", b"3")
    os.utime(tmp_path / "p.zip", ns=(10**18, 10**18))
    after = list(source.scan())
    assert after[:2] == before
    assert names(after) == ["a.png", "b.png", "c.png"]


def test_a_broken_directory(tmp_path: Path) -> None:
    data = bytearray(zip_bytes([("a.png", b"x" * 1000), ("b.png", b"y")]))
    entries = [at for at in range(len(data)) if data.startswith(b"PK\1\2", at)]
    data[entries[1]] = 0
    first, damage = save(tmp_path / "p.zip", bytes(data)).scan()
    assert isinstance(first, Candidate)
    assert isinstance(damage, FailedFolder)
    assert damage.path == damage.failure.path == str(tmp_path / "p.zip")
    assert (damage.failure.stage, damage.failure.reason) == ("scan", Reason.CORRUPT)
    data[entries[0]] = 0
    with pytest.raises(SourceError, match="cannot be read as a zip") as caught:
        list(save(tmp_path / "p.zip", bytes(data)).scan())
    assert caught.value.hint


def test_a_zip_that_was_cut(tmp_path: Path) -> None:
    data = zip_bytes([("a.png", os.urandom(500)), ("b.png", b"y")])
    with pytest.raises(SourceError, match="the directory that ends a zip archive is missing"):
        list(save(tmp_path / "p.zip", data[:300]).scan())
    with pytest.raises(SourceError, match="cannot be read as a zip archive"):
        list(ZipSource(str(tmp_path / "gone.zip")).scan())


def test_whole_directory_but_broken_data(tmp_path: Path) -> None:
    data = bytearray(zip_bytes([("a.png", os.urandom(500)), ("b.png", b"whole")]))
    data[60:80] = bytes(20)
    source = save(tmp_path / "p.zip", bytes(data))
    first, second = source.scan()
    assert isinstance(first, Candidate)
    assert isinstance(second, Candidate)
    with pytest.raises(ContainerFailure):
        source.read(first.address, 1000)
    assert source.read(second.address, 1000) == b"whole"


def test_a_bomb_costs_nothing(tmp_path: Path) -> None:
    inner = zip_bytes([("0.png", bytes(10_000_000))])
    nested = save(tmp_path / "nested.zip", zip_bytes((f"{i}.zip", inner) for i in range(16)))
    assert {type(each) for each in nested.scan()} == {Ignored}
    source = save(tmp_path / "p.zip", overlapping_zip([f"{i}.png" for i in range(100)], bytes(1_000_000)))
    with memory_below(1_000_000):
        found = [each for each in source.scan() if isinstance(each, Candidate)]
        for each in found[:-1]:
            with pytest.raises(ContainerFailure, match="overlap"):
                source.read(each.address, 10**9)
    assert len(found) == 100


def test_at_a_url() -> None:
    fsspec.filesystem("memory").pipe_file("/z/p.zip", zip_bytes([("a.png", b"1"), ("b.txt", b"2")]))
    source = ZipSource("memory://z/p.zip")
    candidate, ignored = source.scan()
    assert isinstance(candidate, Candidate)
    assert candidate.address == "memory://z/p.zip!a.png"
    assert ignored == Ignored("memory://z/p.zip!b.txt")
    assert source.read(candidate.address, 10) == b"1"
