"""Members of zip and tar archives by name: the same bytes for the same address, and nothing hostile gets through."""

from __future__ import annotations

import gc
import gzip
import io
import lzma
import os
import tarfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotdex.media.archives import opening, streams
from shotdex.media.archives.streams import SharedFile, Stream
from shotdex.media.archives.tars import TarArchive
from shotdex.media.archives.zips import ZipArchive, ZipMember
from shotdex.media.files import kept
from shotdex.media.files.places import Facts, TooManyBytes
from shotdex.media.sources import read_bytes
from shotdex.media.sources.address import join, split
from shotdex.store.errors import ContainerFailure
from tests.support.archives import (
    END,
    MTIME,
    PACKINGS,
    entry,
    header,
    memory_below,
    overlapping_zip,
    padded,
    pax,
    raw_zip,
    record,
    save_tar,
    tar_bytes,
    zip_bytes,
    zip_end,
)

NAMES = [
    "a.png", "deep/er/b.png", "../../up.png", "/root.png", "C:\\dir\\c.png", "back\\slash.png", "new\nline.png",
    "!x!.png", "ünï 🎈.png", "./dot.png", "a//b.png", " .png", "x" * 300 + ".png", "tab\t\x07.png", "é.png",
]  # fmt: skip


def contents(names: list[str]) -> list[tuple[str, bytes]]:
    return [(name, f"content of {number}".encode() * 50) for number, name in enumerate(names)]


def read(path: Path, member: str, limit: int = 10**6) -> bytes:
    return opening.read_member(str(path), member, limit)


def entries(path: Path) -> Iterator[ZipMember]:
    archive = opening.open_archive(str(path))
    assert isinstance(archive, ZipArchive)
    return archive.walk()


def failure(path: Path, member: str, limit: int = 10**6) -> str:
    with pytest.raises(ContainerFailure) as caught:
        read(path, member, limit)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["GNU_FORMAT", "PAX_FORMAT"])
@pytest.mark.parametrize("packing", PACKINGS)
def test_tar_members(tmp_path: Path, packing: str, kind: str) -> None:
    path = save_tar(tmp_path / f"s.tar{packing}", contents(NAMES), kind=getattr(tarfile, kind))
    assert opening.is_tar(str(path))
    assert not opening.is_zip(str(path))
    for order in (1, -1):
        for name, data in contents(NAMES)[::order]:
            assert read(path, name) == data
            assert read_bytes(join(path, name)) == data
    assert list(tmp_path.iterdir()) == [path], "nothing was unpacked"
    with pytest.raises(KeyError):
        read(path, "b.png")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_members(tmp_path: Path, method: int) -> None:
    path = tmp_path / "s.zip"
    path.write_bytes(zip_bytes(contents(NAMES), method))
    assert opening.is_zip(str(path))
    assert not opening.is_tar(str(path))
    for name, data in contents(NAMES):
        assert read(path, name) == data
        assert read_bytes(join(path, name)) == data
    assert [each.name for each in entries(path)] == NAMES
    with pytest.raises(KeyError):
        read(path, "b.png")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=120)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS, min_size=1, max_size=5, unique=True), st.sampled_from(["tar", "tar.gz", "zip"]))
def test_any_name_gives_its_own_bytes_again(tmp_path: Path, names: list[str], kind: str) -> None:
    names = list({name.rstrip("/") or "x": None for name in names})
    path = tmp_path / f"{time.monotonic_ns()}.{kind}"
    if kind == "zip":
        path.write_bytes(zip_bytes(contents(names)))
    else:
        save_tar(path, contents(names))
    for name, data in contents(names):
        assert split(join(path, name)) == (str(path), name)
        assert read_bytes(join(path, name)) == data


@pytest.mark.parametrize("ending", ["", ".gz", ".zip"])
def test_of_a_name_twice_the_last_counts(tmp_path: Path, ending: str) -> None:
    members = [("a.png", b"old"), ("b.png", b"b"), ("a.png", b"middle"), ("c.png", b"c"), ("a.png", b"new")]
    path = tmp_path / f"s.tar{ending}"
    if ending == ".zip":
        path.write_bytes(zip_bytes(members))
    else:
        save_tar(path, members)
    assert [read(path, name) for name in ("a.png", "b.png", "a.png", "c.png")] == [b"new", b"b", b"new", b"c"]


@pytest.mark.parametrize("name", ["s.tar", "s.tar.gz", "s.zip"])
def test_an_archive_that_changed_is_opened_anew(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for number, content in enumerate((b"one", b"two", b"other")):
        if name.endswith("zip"):
            path.write_bytes(zip_bytes([("a.png", content)]))
        else:
            save_tar(path, [("a.png", content)])
        os.utime(path, ns=(number, number))
        assert read(path, "a.png") == content
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read(path, "a.png")


@pytest.mark.parametrize("name", ["s.tar", "s.tar.xz", "s.zip"])
def test_too_many_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("zip"):
        path.write_bytes(zip_bytes([("a.png", bytes(1000))]))
    else:
        save_tar(path, [("a.png", bytes(1000))])
    assert read(path, "a.png", 1000) == bytes(1000)
    with pytest.raises(TooManyBytes):
        read(path, "a.png", 999)


def test_what_is_no_archive(tmp_path: Path) -> None:
    for name, content in {"a.png": b"\x89PNG", "b.zip": b"", "c.tar": b"x" * 5000, "d.gz": gzip.compress(b"x")}.items():
        (tmp_path / name).write_bytes(content)
        assert opening.kind_of(str(tmp_path / name)) is None
        with pytest.raises(ContainerFailure, match="neither"):
            read(tmp_path / name, "x.png")
    os.mkfifo(tmp_path / "pipe.zip")
    assert opening.kind_of(str(tmp_path / "pipe.zip")) is None, "and it did not wait for a writer"
    assert opening.kind_of(str(tmp_path)) is None
    assert opening.kind_of(str(tmp_path / "gone.zip")) is None


@pytest.mark.parametrize("name", ["book.cbz", "noending", "photo.jpg", "x.tar"])
def test_archives_are_known_by_their_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(zip_bytes([("a.png", b"1")]))
    assert opening.is_zip(str(path))
    assert read(path, "a.png") == b"1"
    (tmp_path / "t").mkdir()
    tar = tmp_path / "t" / name
    tar.write_bytes(gzip.compress(tar_bytes([("a.png", b"2")])))
    assert opening.is_tar(str(tar))
    assert read(tar, "a.png") == b"2"


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path: Path) -> None:
    path = save_tar(tmp_path / "x", [("a.png", b"1"), ("in.zip", zip_bytes([("a.png", b"2")]))])
    assert zipfile.is_zipfile(path)
    assert read(path, "a.png") == b"1"


class TestZipFormat:
    """What the format allows, and who abuses it."""

    def test_prefix_and_comment(self, tmp_path: Path) -> None:
        out = io.BytesIO(zip_bytes([("a.png", b"content")]))
        with zipfile.ZipFile(out, "a") as archive:
            archive.comment = b"a comment" + bytes(40)
        path = tmp_path / "self-extracting.exe"
        path.write_bytes(b"MZ" + b"program" * 1000 + out.getvalue())
        assert opening.is_zip(str(path))
        assert read(path, "a.png") == b"content"

    def test_zip64(self, tmp_path: Path) -> None:
        path = tmp_path / "s.zip"
        with zipfile.ZipFile(path, "w") as archive, archive.open("a.png", "w", force_zip64=True) as member:
            member.write(b"content")
        assert read(path, "a.png") == b"content"
        local, central = entry(b"a.png", b"content", 0, packed=0xFFFFFFFF, size=0xFFFFFFFF)
        wide = b"\1\0\x10\0" + (7).to_bytes(8, "little") * 2
        central = central[:30] + len(wide).to_bytes(2, "little") + central[32:] + wide
        record64 = b"PK\6\6" + (44).to_bytes(8, "little") + bytes([45, 0, 45, 0]) + bytes(8)
        record64 += b"".join(number.to_bytes(8, "little") for number in (1, 1, len(central), len(local)))
        locator = b"PK\6\7" + bytes(4) + (len(local) + len(central)).to_bytes(8, "little") + b"\1\0\0\0"
        path.write_bytes(local + central + record64 + locator + zip_end(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF))
        assert zipfile.ZipFile(path).read("a.png") == b"content", "the test's own zip is one"
        assert read(path, "a.png") == b"content"

    def test_names_of_code_page_437_and_unicode_fields(self, tmp_path: Path) -> None:
        import struct
        import zlib

        path = tmp_path / "s.zip"
        raw = "é.png".encode("cp437")
        path.write_bytes(raw_zip([(raw, b"1", 0), (b"b.png", b"3", 0), (b"\xff.png", b"2", 0x800)]))
        assert read(path, "é.png") == b"1"
        assert read(path, "b.png") == b"3"
        with pytest.raises(ContainerFailure, match="not UTF-8"):
            list(entries(path))
        for system, name in ((0, "ü.png"), (3, "ü.png"), (19, "ü.png")):
            local, central = entry("ü.png".encode(), b"5", 0)
            central = central[:5] + bytes([system]) + central[6:]
            path.write_bytes(local + central + zip_end(1, len(central), len(local)))
            assert [each.name for each in entries(path)] == [name]
        local, central = entry(b"_.png", b"4", 0)
        field = b"\1" + struct.pack("<L", zlib.crc32(b"_.png")) + "日.png".encode()
        field = struct.pack("<2H", 0x7075, len(field)) + field
        central = central[:30] + struct.pack("<H", len(field)) + central[32:] + field
        path.write_bytes(local + central + zip_end(1, len(central), len(local)))
        assert read(path, "日.png") == b"4"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"crc": 1}, "CRC"),
            ({"flags": 1}, "encrypted"),
            ({"method": 9}, "method 9 \\(Deflate64\\)"),
            ({"method": 8}, "corrupt"),
            ({"method": 14}, "corrupt"),
            ({"method": 12}, "corrupt"),
            ({"size": 6}, "CRC"),
            ({"packed": 100, "size": 100}, "overlap|early"),
            ({"offset": 3}, "overlap"),
            ({"offset": 2**32 - 2}, "overlap"),
        ],
    )
    def test_entries_that_lie(self, tmp_path: Path, change: dict[str, int], said: str) -> None:
        path = tmp_path / "s.zip"
        local, central = entry(b"a.png", b"content", **({"offset": 0} | change))
        path.write_bytes(local + central + zip_end(1, len(central), len(local)))
        with pytest.raises(ContainerFailure, match=said):
            read(path, "a.png")

    def test_a_member_that_unpacks_to_more_than_it_says(self, tmp_path: Path) -> None:
        import zlib

        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(bytes(50_000_000)) + packer.flush()
        local, central = entry(b"a.png", packed, 0, method=8, size=1000, crc=zlib.crc32(bytes(1000)))
        path = tmp_path / "s.zip"
        path.write_bytes(local + central + zip_end(1, len(central), len(local)))
        with memory_below(2_000_000):
            assert read(path, "a.png", 10**9) == bytes(1000)

    def test_an_overlapping_bomb(self, tmp_path: Path) -> None:
        path = tmp_path / "bomb.zip"
        names = [f"{number}.png" for number in range(200)]
        path.write_bytes(overlapping_zip(names, bytes(1_000_000)))
        assert (
            sum(info.file_size for info in zipfile.ZipFile(path).infolist()) > 200_000_000 > 5000 * path.stat().st_size
        )
        for name in names[:-1]:
            assert "overlap" in failure(path, name, 10**9)
        assert read(path, names[-1], 10**9) == bytes(1_000_000)

    def test_an_lzma_member_that_asks_for_gigabytes(self, tmp_path: Path) -> None:
        head = b"\x09\x14\x05\x00" + bytes([93]) + (2**32 - 1).to_bytes(4, "little")
        local, central = entry(b"a.png", head + b"x" * 50, 0, method=14, size=1000)
        path = tmp_path / "s.zip"
        path.write_bytes(local + central + zip_end(1, len(central), len(local)))
        with memory_below(2_000_000):
            assert "LZMA header" in failure(path, "a.png")

    def test_a_directory_that_is_broken_in_the_middle(self, tmp_path: Path) -> None:
        data = bytearray(raw_zip([(b"%d.png" % i, b"x", 0) for i in range(5)]))
        at = [i for i in range(len(data)) if data.startswith(b"PK\1\2", i)]
        data[at[3]] = 0
        path = tmp_path / "s.zip"
        path.write_bytes(data)
        names = []
        with pytest.raises(ContainerFailure, match="central directory"):
            for each in entries(path):
                names.append(each.name)
        assert names == ["0.png", "1.png", "2.png"]
        assert read(path, "2.png") == b"x"

    def test_cut_anywhere(self, tmp_path: Path) -> None:
        whole = zip_bytes([("a.png", b"first"), ("b.png", b"second" * 100)])
        path = tmp_path / "s.zip"
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            os.utime(path, ns=(length, length))
            for name, data in (("a.png", b"first"), ("b.png", b"second" * 100)):
                try:
                    got = read(path, name)
                except ContainerFailure:
                    continue
                assert got == data

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_any_byte_changed_gives_the_right_bytes_or_an_error(self, data: st.DataObject) -> None:
        whole = bytearray(WHOLE_ZIP)
        for _ in range(data.draw(st.integers(1, 3))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        fsspec.filesystem("memory").pipe_file("/changed.zip", bytes(whole))
        for name, content in contents(["a.png", "b.png"]):
            try:
                archive = ZipArchive("memory://changed.zip")
                got = archive.read(name, 10**6)
            except (ContainerFailure, KeyError, TooManyBytes):
                continue
            assert got == content


WHOLE_ZIP = zip_bytes(contents(["a.png", "b.png"]))


class TestTarFormat:
    """What the format allows, and who abuses it."""

    def walked(self, path: Path) -> tuple[list[str], str]:
        names, said = [], ""
        try:
            for member in TarArchive(str(path)).walk():
                names.append(member.name)
        except ContainerFailure as error:
            said = str(error)
        return names, said

    @pytest.mark.parametrize("packing", ["", ".gz"])
    def test_cut_anywhere(self, tmp_path: Path, packing: str) -> None:
        members = contents(["a.png", "b.png", "c" * 200 + ".png", "d.png"])
        whole = tar_bytes(members)
        size = len(whole.rstrip(b"\0")) + 512
        for length in range(512 if packing else 1, size, 256 if packing else 128):
            path = tmp_path / f"{length}.tar"
            path.write_bytes(PACKINGS[packing](whole[:length]))
            names, said = self.walked(path)
            assert names == [name for name, _ in members][: len(names)]
            archive = TarArchive(str(path))
            assert [archive.read(name, 10**6) for name in names] == [data for _, data in members][: len(names)]
            if length < size - 512:
                assert said.startswith("truncated"), (length, said)
            for name, _ in members[len(names) :]:
                with pytest.raises(KeyError):
                    archive.read(name, 10**6)
            archive.rest()

    def test_compressed_data_that_are_cut_or_changed(self, tmp_path: Path) -> None:
        members = [(f"{i}.png", os.urandom(5000)) for i in range(20)]
        for packing in (".gz", ".bz2", ".xz"):
            whole = PACKINGS[packing](tar_bytes(members))
            path = tmp_path / f"cut.tar{packing}"
            path.write_bytes(whole[: len(whole) // 2])
            names, said = self.walked(path)
            assert said.startswith("truncated")
            assert packing == ".bz2" or 5 < len(names) < 15  # a whole block of bzip2 is larger than this
            assert [read(path, name) for name in names] == [data for _, data in members][: len(names)]
            path.write_bytes(whole[:-9] + bytes(8) + whole[-1:])
            assert self.walked(path)[1].startswith(("corrupt", "truncated"))

    def test_a_header_that_claims_gigabytes(self, tmp_path: Path) -> None:
        huge = b"\x80" + (2**70).to_bytes(11, "big")
        for number, (bad, said) in enumerate(
            {
                header(b"name", 2**32, b"L"): "an extended header of",
                header(b"name", huge, b"x"): "an extended header of",
                header(b"name", 2**32, b"g"): "an extended header of",
                header(b"b.png", huge): "truncated",
                header(b"b.png", b"\xff" * 12): "a size below 0",
                header(b"b.png", b"9x9x9x9x9x9x"): "no valid header",
                pax(b"99999999999999999999 path=x\n") + header(b"b.png", 0): "a pax header",
                pax(b"-5 path=x\n") + header(b"b.png", 0): "a pax header",
                pax(b"3 x") + header(b"b.png", 0): "a pax header",
                pax(record(b"size", b"9" * 30)) + header(b"b.png", 0): "truncated",
                pax(record(b"size", b"-1")) + header(b"b.png", 0): "a size below 0",
                b"x" * 512: "no valid header",
            }.items()
        ):
            path = tmp_path / f"{number}.tar"
            path.write_bytes(header(b"a.png", 3) + padded(b"one") + bad + END)
            with memory_below(3_000_000):
                names, found = self.walked(path)
            assert names == ["a.png"]
            assert said in found
            assert read(path, "a.png") == b"one"

    @pytest.mark.parametrize(
        "bad",
        [
            pax(b"2 " * 300_000 + b"="),
            pax(record(b"path", b"1" * 100_000)),
            (header(b"name", 8, b"L") + padded(b"longname")) * 1500,
            header(b"sparse.png", 0, b"S")[:482] + b"\1" + bytes(29) + (bytes(504) + b"\1" + bytes(7)) * 3000,
        ],
        ids=["quadratic", "digits", "nested", "sparse"],
    )
    def test_headers_that_would_keep_tarfile_busy(self, tmp_path: Path, bad: bytes) -> None:
        if bad[482:483] == b"\1":
            blank = bad[:148] + b" " * 8 + bad[156:512]
            bad = bad[:148] + b"%06o\0 " % sum(blank) + bad[156:]
        path = tmp_path / "s.tar"
        path.write_bytes(header(b"a.png", 3) + padded(b"one") + bad + header(b"b.png", 0) + END)
        names, said = self.walked(path)
        assert names == ["a.png"]
        assert "header" in said
        assert read(path, "a.png") == b"one"

    def test_a_pax_bomb_in_a_small_compressed_tar(self, tmp_path: Path) -> None:
        records = record(b"path", b"x" * 40_000_000)
        path = tmp_path / "bomb.tar.gz"
        path.write_bytes(gzip.compress(pax(records) + header(b"a.png", 3) + padded(b"one") + END, 1))
        with memory_below(5_000_000):
            assert "an extended header of 40,0" in self.walked(path)[1]

    def test_pax_records_count_and_odd_times_do_not_hurt(self, tmp_path: Path) -> None:
        body = b""
        times = {b"1700000000.5": 1_700_000_000_500_000_000, b"nan": 0, b"inf": 0, b"-5": 0, b"1e999": 0, b"x" * 99: 0}
        for number, (time_, _) in enumerate(times.items()):
            body += pax(record(b"mtime", time_) + record(b"path", b"%d\xc3\xa9.png" % number))
            body += header(b"short.png", 1) + padded(b"%d" % number)
        path = tmp_path / "s.tar"
        path.write_bytes(body + END)
        os.utime(path, ns=(7, 7))
        for number, modified in enumerate(times.values()):
            assert read(path, f"{number}é.png") == b"%d" % number
            assert opening.member_facts(str(path), f"{number}é.png") == Facts(1, modified or 7)

    def test_ustar_prefix_old_tar_and_gnu_times(self, tmp_path: Path) -> None:
        old = header(b"old.png", 1)
        old = old[:257] + bytes(255)
        old = old[:148] + b"%06o\0 " % (sum(old[:148]) + sum(old[156:]) + 256) + old[156:]
        path = tmp_path / "s.tar"
        path.write_bytes(header(b"a.png", 1, prefix=b"deep/er") + padded(b"1") + old + padded(b"2") + END)
        assert read(path, "deep/er/a.png") == b"1"
        assert read(path, "old.png") == b"2"

    def test_two_streams_of_gzip_one_after_another(self, tmp_path: Path) -> None:
        whole = tar_bytes([("a.png", os.urandom(3000)), ("b.png", b"2")])
        path = tmp_path / "s.tar.gz"
        path.write_bytes(gzip.compress(whole[:1000]) + gzip.compress(whole[1000:]) + bytes(100))
        assert self.walked(path) == (["a.png", "b.png"], "")
        assert read(path, "b.png") == b"2"
        path.write_bytes(gzip.compress(whole) + b"garbage")
        assert self.walked(path) == (["a.png", "b.png"], "")

    def test_a_bomb_is_left_when_it_shows(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streams, "FREE_BYTES", 1_000_000)
        path = tmp_path / "bomb.tar.bz2"
        import bz2

        path.write_bytes(
            bz2.compress(header(b"a.png", 2) + padded(b"ok") + header(b"b", 40_000_000) + bytes(40_000_000))
        )
        names, said = self.walked(path)
        assert names == ["a.png"]
        assert "decompression bomb" in said
        noise = tmp_path / "noise.tar.gz"
        save_tar(noise, [("a.png", os.urandom(3_000_000))])
        assert self.walked(noise) == (["a.png"], "")

    def test_an_xz_that_asks_for_gigabytes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 64 * 1024 * 1024}]
        path = tmp_path / "s.tar.xz"
        path.write_bytes(lzma.compress(tar_bytes([("a.png", b"1")]), filters=filters))
        assert read(path, "a.png") == b"1"
        monkeypatch.setattr(streams, "MEMORY_LIMIT", 32 * 1024 * 1024)
        assert self.walked(path) == ([], "corrupt: Memory usage limit exceeded")

    def test_zstandard(self, tmp_path: Path) -> None:
        import sys

        path = tmp_path / "s.tar.zst"
        if sys.version_info < (3, 14):
            path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
            assert opening.is_tar(str(path))
            assert "Zstandard needs Python 3.14" in failure(path, "a.png")
        else:
            from importlib import import_module

            path.write_bytes(import_module("compression.zstd").compress(tar_bytes([("a.png", b"1")])))
            assert read(path, "a.png") == b"1"


def test_times_of_members(tmp_path: Path) -> None:
    """A time changes with its member's content and stays when the archive grows."""
    first, second = tarfile.TarInfo("a.png"), tarfile.TarInfo("b.png")
    first.mtime, second.mtime = MTIME, MTIME + 1
    path = save_tar(tmp_path / "s.tar", [(first, b"one"), (second, b"two")])
    assert opening.member_facts(str(path), "b.png") == Facts(3, (MTIME + 1) * 10**9)
    packed, other = tmp_path / "s.tar.gz", tmp_path / "o.tar.gz"
    save_tar(packed, [(first, b"one"), (second, b"two")])
    save_tar(other, [(first, b"one"), (second, b"TWO"), ("c.png", b"3")])
    assert opening.member_facts(str(packed), "a.png") == opening.member_facts(str(other), "a.png")
    assert opening.member_facts(str(packed), "b.png") != opening.member_facts(str(other), "b.png")
    zipped = [tmp_path / f"{name}.zip" for name in "ab"]
    zipped[0].write_bytes(zip_bytes([("a.png", b"one"), ("b.png", b"two")]))
    zipped[1].write_bytes(zip_bytes([("a.png", b"one"), ("b.png", b"TWO"), ("c.png", b"3")]))
    before, after = ([opening.member_facts(str(path), name) for name in ("a.png", "b.png")] for path in zipped)
    assert before[0] == after[0]
    assert before[1] != after[1]
    assert before[1].size_bytes == after[1].size_bytes
    info = zipfile.ZipInfo("a.png", (1980, 1, 1, 0, 0, 0))
    zipped[0].write_bytes(zip_bytes([(info, b"one")]))
    assert opening.member_facts(str(zipped[0]), "a.png").modified_ns // (2 * 10**9) == 315_532_800 // 2


def test_a_tar_without_times_has_the_archives_own(tmp_path: Path) -> None:
    """Reproducible archives have the same time throughout: it would hide a change of equal length."""
    path = tmp_path / "s.tar"
    for number, content in enumerate((b"one", b"two"), 1):
        path.write_bytes(header(b"a.png", 3, mtime=0) + padded(content) + END)
        os.utime(path, ns=(number, number))
        assert opening.member_facts(str(path), "a.png") == Facts(3, number)


@pytest.mark.parametrize("name", ["s.tar", "s.tar.gz", "s.zip"])
def test_many_threads_at_once(tmp_path: Path, name: str) -> None:
    members = [(f"{i}.png", os.urandom(200 + i)) for i in range(60)]
    path = tmp_path / name
    if name.endswith("zip"):
        path.write_bytes(zip_bytes(members))
    else:
        save_tar(path, members)
    order = [members[(i * 37) % 60] for i in range(240)]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda member: read(path, member[0]), order))
    assert got == [data for _, data in order]


def test_few_files_stay_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    paths = [save_tar(tmp_path / f"{i}.tar{'.gz' * (i % 2)}", [("a.png", b"%d" % i)]) for i in range(40)]
    for _ in range(2):
        for i, path in enumerate(paths):
            assert read(path, "a.png") == b"%d" % i
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= kept.OPEN * 2
    gc.collect()  # a file that nobody closed would warn, and a warning is an error here


def test_a_table_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [save_tar(tmp_path / f"{i}.tar.gz", [("a.png", b"%d" % i)]) for i in range(20)]
    for path in paths:
        read(path, "a.png")
    monkeypatch.setattr(TarArchive, "walk", lambda self: pytest.fail("a second walk"))
    for i, path in enumerate(paths):
        assert read(path, "a.png") == b"%d" % i


def test_reading_forward_opens_a_packed_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [(f"{i}.png", os.urandom(2000)) for i in range(50)]
    path = save_tar(tmp_path / "s.tar.gz", members)
    read(path, "0.png")
    opened: list[str] = []
    monkeypatch.setattr(streams, "Stream", lambda *arguments: opened.append("x") or Stream(*arguments))
    for name, data in members[1::3]:
        assert read(path, name) == data
    assert read(path, "0.png") == members[0][1]
    assert opened == []


def test_a_file_that_rests_is_closed_after_each_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    before = len(list(Path("/proc/self/fd").iterdir()))
    file = SharedFile(str(tmp_path / "f"))
    assert (file.size(), file.read_at(3, 2), file.read_at(9, 5), file.read_at(20, 1)) == (10, b"34", b"9", b"")
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    file.rest()
    assert file.read_at(5, 1) == b"5"
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("name", ["s.tar", "s.tar.gz", "s.zip"])
def test_a_rest_while_others_read_loses_nothing(tmp_path: Path, name: str) -> None:
    members = [(f"{i}.png", os.urandom(200 + i)) for i in range(40)]
    path = tmp_path / name
    path.write_bytes(zip_bytes(members)) if name == "s.zip" else save_tar(path, members)
    archive = opening.open_archive(str(path))

    def read_and_rest(number: int) -> bytes:
        (archive.rest if number % 3 else archive.wake)()
        return archive.read(members[number % 40][0], 10**6)

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(read_and_rest, range(200)))
    assert got == [members[number % 40][1] for number in range(200)]
    archive.rest()


def test_memory_does_not_grow_with_the_members(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    member = [header(b"%06d.png" % i, 0) for i in range(3_000)]
    path.write_bytes(b"".join(member) + END)
    with memory_below(3_000 * 500):
        assert sum(1 for _ in TarArchive(str(path)).walk()) == 3_000


def test_archives_at_a_url() -> None:
    files = fsspec.filesystem("memory")
    files.pipe_file("/sets/s.zip", zip_bytes(contents(["a.png", "b!c.png"])))
    files.pipe_file("/sets/s.tar.gz", gzip.compress(tar_bytes(contents(["a.png", "b!c.png"]))))
    files.pipe_file("/sets/download", tar_bytes(contents(["a.png", "b!c.png"])))
    for place in ("memory://sets/s.zip", "memory://sets/s.tar.gz", "memory://sets/download"):
        assert opening.is_zip(place) == place.endswith("zip")
        assert opening.is_tar(place) != place.endswith("zip")
        for name, data in contents(["a.png", "b!c.png"]):
            assert split(join(place, name)) == (place, name)
            assert read_bytes(join(place, name)) == data
