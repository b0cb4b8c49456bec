"""Tar archives as a source: samples with metadata, shards, damage, links, and memory."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotdex.media.archives.opening import is_tar
from shotdex.media.archives.tars import TarArchive
from shotdex.media.sources import read_bytes, tarred
from shotdex.media.sources.base import Candidate, FailedFolder, Found, Ignored, Reading
from shotdex.media.sources.samples import IMAGES_LIMIT, SIDECAR_LIMIT
from shotdex.media.sources.several import SeveralSource, expand, find_parts
from shotdex.media.sources.tarred import TarSource
from shotdex.store.errors import OptionError, SourceError
from shotdex.store.file_names import local
from shotdex.store.images import Labels
from shotdex.store.types import Failure, Reason
from tests.support.archives import END, MTIME, PACKINGS, header, memory_below, padded, save_tar, tar_bytes, zip_bytes

Members = list[tuple[str | tarfile.TarInfo, bytes]]


def scan(path: Path, members: Members, **columns: str) -> list[Found]:
    save_tar(path, members)
    assert is_tar(str(path))
    return list(TarSource(str(path), Reading(columns)).scan())


def images(found: list[Found]) -> list[Candidate]:
    return [each for each in found if isinstance(each, Candidate)]


def failures(found: list[Found]) -> list[tuple[str, Reason]]:
    return [(each.path.rpartition("!")[2], each.reason) for each in found if isinstance(each, Failure)]


@pytest.mark.parametrize("packing", PACKINGS)
def test_members(tmp_path: Path, packing: str) -> None:
    path = tmp_path / f"s.tar{packing}"
    names = ["b/2.PNG", "./a.jpg", "../c/ü!.gif", "/x//y.webp"]
    rest = ["notes.md", "._a.jpg", ".git/x.png", "__MACOSX/a.jpg", "in.tar"]
    found = scan(path, [(name, name.encode()) for name in [*names, *rest]])
    assert [each.relative for each in images(found)] == ["b/2.PNG", "a.jpg", "../c/ü!.gif", "x/y.webp"]
    source = TarSource(str(path))
    assert [source.read(each.address, 100).decode() for each in images(found)] == names
    assert [read_bytes(each.address).decode() for each in images(found)] == names
    assert [each.size_bytes for each in images(found)] == [len(name.encode()) for name in names]
    assert {each.modified_ns // 10**9 for each in images(found)} == {MTIME}
    ignored = [each.path for each in found if isinstance(each, Ignored)]
    assert ignored == [f"{path}!{name}" for name in ("notes.md", ".git", "__MACOSX", "in.tar")]
    assert (source.by_path, source.complete, source.in_order, source.kind) == (False, True, bool(packing), "tar")


class TestSamples:
    """WebDataset: what has the same name up to the first dot is one sample."""

    def test_labels_and_metadata(self, tmp_path: Path) -> None:
        info = {"caption": "a dog", "split": "train", "condition": 3, "size": {"w": 4}, "none": None, "id": 12}
        found = scan(
            tmp_path / "s.tar",
            [
                ("x/000.cls", b"7\n"), ("x/000.jpg", b"1"), ("x/000.json", json.dumps(info).encode()),
                ("x/000.seg.png", b"2"), ("x/000.txt", b"ein Hund\n"),
                ("x/001.png", b"3"), ("x/001.caption", b"a cat"), ("x/001.cls", b"cat"),
                ("y/001.png", b"4"), ("z.v2/001.png", b"5"), ("z.v2/001.json", b'\xef\xbb\xbf{"category": "fish"}'),
                ("z.v2/001.cls", b"9"),
                ("README.txt", b"alone"), ("stats.json", b"{}"),
            ],
        )  # fmt: skip
        further = {"caption": "a dog", "size": {"w": 4}, "id": 12, "txt": "ein Hund"}
        assert [(each.relative, each.labels, each.metadata) for each in images(found)] == [
            ("x/000.jpg", Labels("7", "3", "train"), further),
            ("x/000.seg.png", Labels("7", "3", "train"), further),
            ("x/001.png", Labels("cat"), {"txt": "a cat"}),
            ("y/001.png", None, None),
            ("z.v2/001.png", Labels("fish"), {"cls": "9"}),
        ]
        ignored = [each.path.rpartition("!")[2] for each in found if isinstance(each, Ignored)]
        assert ignored == ["README.txt", "stats.json"]
        assert len(found) == 7

    def test_columns(self, tmp_path: Path) -> None:
        info = json.dumps({"label": 3, "category": "kept", "domain": " sketch ", "part": None}).encode()
        members: Members = [("0.jpg", b"1"), ("0.json", info), ("0.cls", b"8")]
        found = scan(tmp_path / "s.tar", members, category="label", condition="domain", split="part")
        assert [(each.labels, each.metadata) for each in images(found)] == [
            (Labels("3", "sketch", None), {"category": "kept", "cls": "8"})
        ]
        with pytest.raises(OptionError, match="'image' has no meaning"):
            TarSource(str(tmp_path / "s.tar"), Reading({"image": "jpg"}))

    @pytest.mark.parametrize(
        "broken",
        [
            b"{", b"\xff{}", b"[1]", b"7", b"[" * 100_000, b'{"a": ' * 500 + b"1" + b"}" * 500,
            b'{"label": [1]}', b'{"a": ' + b"1" * 6000 + b"}", b"{}" + b" " * SIDECAR_LIMIT, b"",
        ],
    )  # fmt: skip
    def test_metadata_that_cannot_be_read_costs_no_image(self, tmp_path: Path, broken: bytes) -> None:
        members: Members = [("0.jpg", b"1"), ("0.json", broken), ("0.txt", b"said"), ("1.jpg", b"2")]
        found = scan(tmp_path / "s.tar", members, category="label")
        assert [(each.relative, each.metadata) for each in images(found)] == [
            ("0.jpg", {"txt": "said"}), ("1.jpg", None)
        ]  # fmt: skip
        assert failures(found) == [("0.json", Reason.CORRUPT)]

    def test_a_sample_has_no_more_metadata_than_the_limit(self, tmp_path: Path) -> None:
        part = b'{"%d": 1}' + b" " * (SIDECAR_LIMIT // 3)
        members: Members = [(f"0.{i}.json", part % i) for i in range(5)]
        found = scan(tmp_path / "s.tar", [*members, ("0.jpg", b"1")])
        assert images(found)[0].metadata == {"0": 1, "1": 1}
        assert failures(found) == [(f"0.{i}.json", Reason.CORRUPT) for i in (2, 3, 4)]

    def test_many_images_of_one_name(self, tmp_path: Path) -> None:
        count = IMAGES_LIMIT + 5
        members: Members = [("IMG.0.json", b'{"roll": 4}'), *((f"IMG.{i}.jpg", b"") for i in range(count))]
        found = scan(tmp_path / "s.tar", members)
        assert len(found) == len(images(found)) == count
        assert all(each.metadata == {"roll": 4} for each in images(found))

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["jpg", "1.png", "json", "cls", "md"])), max_size=14)
    )
    def test_like_grouping_by_hand(self, tmp_path: Path, parts: list[tuple[str, str]]) -> None:
        members: Members = [
            (f"{key}.{kind}", b'{"n": %d}' % i if kind == "json" else b"%d" % i) for i, (key, kind) in enumerate(parts)
        ]
        found = scan(tmp_path / "s.tar", members)
        expected, start = [], 0
        for i in range(1, len(parts) + 1):
            if i < len(parts) and parts[i][0] == parts[start][0]:
                continue
            kinds = {kind: j for j, (_, kind) in enumerate(parts[start:i], start)}
            for key, kind in parts[start:i]:
                if kind in ("jpg", "1.png"):
                    labels = Labels(str(kinds["cls"])) if "cls" in kinds else None
                    expected.append((f"{key}.{kind}", labels, {"n": kinds["json"]} if "json" in kinds else None))
            start = i
        assert [(each.relative, each.labels, each.metadata) for each in images(found)] == expected


def test_links_devices_and_sparse_files(tmp_path: Path) -> None:
    def member(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        return info, b""

    sparse = header(b"sparse.png", 512, b"S") + b"x" * 512
    path = tmp_path / "s.tar"
    found = scan(
        path,
        [
            ("a.png", b"1"),
            member("hard.png", tarfile.LNKTYPE, "a.png"),
            member("soft.png", tarfile.SYMTYPE, "/etc/passwd"),
            member("soft.txt", tarfile.SYMTYPE, "a.png"),
            member("pipe.png", tarfile.FIFOTYPE),
            member("device.png", tarfile.CHRTYPE),
            member("folder.png", tarfile.DIRTYPE),
            member("folder", tarfile.DIRTYPE),
        ],
    )
    assert [each.relative for each in images(found)] == ["a.png"]
    assert failures(found) == [("hard.png", Reason.UNREADABLE), ("soft.png", Reason.UNREADABLE)]
    path.write_bytes(sparse + header(b"b.png", 1) + padded(b"2") + END)
    found = list(TarSource(str(path)).scan())
    assert [each.relative for each in images(found)] == ["b.png"]
    assert failures(found) == [("sparse.png", Reason.UNREADABLE)]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    body = b"".join(header(name, 1) + padded(b"1") for name in (b"caf\xe9.png", b"caf\xe9.txt", b"a.png"))
    path.write_bytes(body + END)
    source = TarSource(str(path))
    odd, plain = images(list(source.scan()))
    assert (odd.relative, plain.relative) == (f"caf{chr(0x10FEE9)}.png", "a.png"), "the bytes, as of a file on disk"
    assert odd.metadata == {"txt": "1"}
    assert source.read(odd.address, 10) == source.read(local(odd.address), 10) == b"1", "also as a user types it"
    assert local(odd.address) == f"{path}!caf\udce9.png"


@pytest.mark.parametrize("packing", ["", ".gz"])
def test_a_tar_that_was_cut(tmp_path: Path, packing: str) -> None:
    members = [(f"{i}.png", b"%d" % i * 700) for i in range(4)]
    whole, path = tar_bytes(members), tmp_path / "s.tar"
    for length in (*range(0, 4 * 1536 + 1, 512), 100, 700, 1536 + 513, 3 * 1536 + 1200):
        path.write_bytes(PACKINGS[packing](whole[:length]))
        source = TarSource(str(path))
        if length < 1536:
            with pytest.raises(SourceError, match="cannot be read as a tar archive"):
                list(source.scan())
            continue
        *found, damage = source.scan()
        assert [each.relative for each in images(found)] == [f"{i}.png" for i in range(length // 1536)]
        assert isinstance(damage, FailedFolder)
        assert damage.path == damage.failure.path == str(path)
        assert (damage.failure.stage, damage.failure.reason) == ("scan", Reason.TRUNCATED)
        for i, each in enumerate(images(found)):
            assert source.read(each.address, 10_000) == members[i][1]


def test_a_checksum_that_is_wrong_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "s.tar.gz"
    data = bytearray(gzip.compress(tar_bytes([(f"{i}.png", os.urandom(100_000)) for i in range(4)])))
    data[-5] ^= 1
    path.write_bytes(data)
    *found, damage = TarSource(str(path)).scan()
    assert len(images(found)) == 4
    assert isinstance(damage, FailedFolder)
    assert damage.failure.reason is Reason.CORRUPT
    data = bytearray(gzip.compress(tar_bytes([("a.png", b"1")])))
    data[-5] ^= 1
    path.write_bytes(data)
    assert is_tar(str(path))
    image, damage = TarSource(str(path)).scan()
    assert isinstance(image, Candidate)
    assert isinstance(damage, FailedFolder)
    assert "CRC check failed" in damage.failure.detail


@pytest.mark.parametrize("packing", ["", ".gz"])
def test_an_archive_that_grew_changes_no_member(tmp_path: Path, packing: str) -> None:
    path = tmp_path / f"s.tar{packing}"
    members: Members = [("a.png", b"1"), ("b.png", b"2")]
    before = scan(path, members)
    after = scan(path, [*members, ("c.png", b"3"), ("a.png", b"new")])
    assert after[:2] == before
    assert [each.relative for each in images(after)] == ["a.png", "b.png", "c.png", "a.png"]
    assert after[3] != after[0]
    assert TarSource(str(path)).read(images(after)[0].address, 10) == b"new", "the last of a name counts"


def test_read_in_order_walks_a_packed_archive_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members: Members = [(f"{i}.png", os.urandom(3000)) for i in range(30)]
    path = tmp_path / "s.tar.gz"
    found = scan(path, members)
    monkeypatch.setattr(TarArchive, "walk", lambda *_: pytest.fail("the scan's table should do"))
    source = TarSource(str(path))
    for i in range(0, 30, 4):
        assert source.read(images(found)[i].address, 10_000) == members[i][1]


@pytest.mark.parametrize("packing", ["", ".gz"])
def test_memory_does_not_grow_with_the_archive(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "s.tar"
    body = b"".join(header(b"%05d.png" % i, 20_000) + bytes(20_480) for i in range(400))
    path.write_bytes(PACKINGS[packing](body + END))
    with memory_below(3_000_000):
        assert sum(1 for _ in TarSource(str(path)).scan()) == 400


class TestShards:
    """Several archives as one source."""

    def save(self, folder: Path, *names: str) -> None:
        folder.mkdir(exist_ok=True)
        for name in names:
            save_tar(folder / name, [("0.png", name.encode()), ("0.cls", b"5")])

    def test_a_folder(self, tmp_path: Path) -> None:
        place = tmp_path / "set"
        self.save(place, "n02.tar", "n01.tar.gz", "n03.TAR")
        (place / "README.md").write_text("x")
        (place / ".cache").mkdir()
        assert find_parts(str(place)) == [str(place / name) for name in ("n01.tar.gz", "n02.tar", "n03.TAR")]
        source = SeveralSource(str(place))
        found = images(list(source.scan()))
        assert [each.relative for each in found] == ["n01/0.png", "n02/0.png", "n03/0.png"]
        assert [source.read(each.address, 99) for each in found] == [b"n01.tar.gz", b"n02.tar", b"n03.TAR"]
        assert found[1].address == f"{place}/n02.tar!0.png"
        assert {each.labels for each in found} == {Labels("5")}
        assert source.in_order

    @pytest.mark.parametrize("name", ["x.png", "more/x.png", "train-images-idx3-ubyte"])
    def test_a_folder_with_other_things_is_a_folder(self, tmp_path: Path, name: str) -> None:
        self.save(tmp_path / "set", "a.tar")
        path = tmp_path / "set" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        assert find_parts(str(tmp_path / "set")) == []

    def test_a_pattern_with_missing_and_broken_ones(self, tmp_path: Path) -> None:
        place = tmp_path / "set"
        self.save(place, "s-008.tar", "s-010.tar")
        (place / "s-011.tar").write_bytes(b"x" * 5000)
        (place / "s-012.tar").write_bytes((place / "s-008.tar").read_bytes()[:1536])
        source = SeveralSource(str(place / "s-{008..012}.tar"))
        found = list(source.scan())
        assert [each.address for each in images(found)] == [f"{place}/s-{i}.tar!0.png" for i in ("008", "010", "012")]
        assert [each.relative for each in images(found)] == ["0.png"] * 3
        damage = [each for each in found if isinstance(each, FailedFolder)]
        assert [each.path for each in damage] == [f"{place}/s-{i}.tar" for i in ("009", "011", "012")]
        assert [each.failure.reason for each in damage] == [Reason.UNREADABLE, Reason.UNREADABLE, Reason.TRUNCATED]
        with pytest.raises(SourceError, match="none of the tar archives"):
            list(SeveralSource(str(place / "t-{0..2}.tar")).scan())

    def test_a_pattern_at_a_url(self) -> None:
        files = fsspec.filesystem("memory")
        for i in range(2):
            files.pipe_file(f"/w/s-{i}.tar", tar_bytes([("a.png", b"%d" % i)]))
        source = SeveralSource("memory://w/s-{0..1}.tar")
        found = images(list(source.scan()))
        assert [each.address for each in found] == ["memory://w/s-0.tar!a.png", "memory://w/s-1.tar!a.png"]
        assert [source.read(each.address, 9) for each in found] == [b"0", b"1"]
        assert source.in_order

    def test_patterns(self, tmp_path: Path) -> None:
        assert expand("s-{08..11}.tar") == ["s-08.tar", "s-09.tar", "s-10.tar", "s-11.tar"]
        assert expand("s-{8..11}.tar") == ["s-8.tar", "s-9.tar", "s-10.tar", "s-11.tar"]
        assert expand("{b,a}-{2..1}.tar") == ["b-2.tar", "b-1.tar", "a-2.tar", "a-1.tar"]
        assert expand("{x}{}.tar") == ["{x}{}.tar"]
        for pattern in ("{0..999999999999}.tar", "{0..999}{0..999}.tar", "{1,2}" * 40 + ".tar"):
            with pytest.raises(OptionError, match="more than 100,000"):
                expand(pattern)
        self.save(tmp_path, "s-{1,2}.tar")
        assert find_parts(str(tmp_path / "s-{1,2}.tar")) == [], "a file of that very name"
        assert find_parts(str(tmp_path / "gone")) == []


def test_a_zip_is_no_tar(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(zip_bytes([("a.png", b"1")]))
    assert not tarred.is_tar(str(tmp_path / "s.tar"))
    with pytest.raises(SourceError, match="it is a zip archive"):
        list(TarSource(str(tmp_path / "s.tar")).scan())
