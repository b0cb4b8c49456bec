"""What a camera wrote: blocks with what exiftool says of them, in five formats; and blocks that are broken."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotdex.media.decoding.exif import read_exif
from shotdex.store.store import Store
from shotdex.store.types import Photo
from tests.conftest import index
from tests.support.fakes import FakeEncoder
from tests.support.photos import (
    CHANGED,
    COMMENT,
    DIGITIZED,
    F_NUMBER,
    FORMATS,
    LENS,
    MAKE,
    MODEL,
    TAKEN,
    ZONE,
    exif,
    photo,
    position,
)

R5 = {MAKE: "Canon", MODEL: "Canon EOS R5", CHANGED: "2022:01:01 00:00:00"}
SHOT = datetime(2021, 7, 4, 12, 34, 56)

CASES: dict[str, tuple[bytes | None, tuple[Any, ...]]] = {
    # name: (the block, (taken_at, camera, lens, latitude, longitude))
    "paris": (
        exif(
            R5,
            {TAKEN: "2021:07:04 12:34:56", ZONE: "+02:00", LENS: "RF24-70mm F2.8 L IS USM", F_NUMBER: 2.8},
            position(48.858222, 2.2945),
        ),
        (SHOT, "Canon EOS R5", "RF24-70mm F2.8 L IS USM", 48.858222, 2.2945),
    ),
    "south west, no zone": (
        exif({MAKE: "Apple", MODEL: "iPhone 12"}, {TAKEN: "2021:07:04 12:34:56"}, position(-33.4489, -70.6693)),
        (SHOT, "Apple iPhone 12", None, -33.4489, -70.6693),
    ),
    "a clock that was never set": (
        exif({MODEL: "X100"}, {TAKEN: "0000:00:00 00:00:00", DIGITIZED: "    :  :     :  :  "}, position(1.0, -0.5)),
        (None, "X100", None, 1.0, -0.5),
    ),
    "no such day, no such place": (
        exif(
            R5,
            {TAKEN: "2021:02:30 10:00:00", DIGITIZED: "noon"},
            {1: "N", 2: (95.0, 0.0, 0.0), 3: "E", 4: (2.0, 0.0, 0.0)},
        ),
        (datetime(2022, 1, 1), "Canon EOS R5", None, None, None),
    ),
    "without sides": (
        exif(
            {MAKE: "NIKON CORPORATION\0", MODEL: "NIKON D750  "},
            {LENS: " \0"},
            {2: (48.0, 0.0, 0.0), 4: (2.0, 0.0, 0.0)},
        ),
        (None, "NIKON D750", None, None, None),
    ),
    "no position found yet": (exif({}, {}, position(0.0, 0.0)), (None,) * 5),
    "cut off": (
        exif({MAKE: "HP", MODEL: "Photosmart"}, {TAKEN: "2021:07:04 12:34:56"})[:60],
        (None, "HP", None, None, None),
    ),
    "none": (None, (None,) * 5),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 files: each case in each format."""
    folder = tmp_path_factory.mktemp("photos")
    for form, ending in FORMATS.items():
        for seed, (name, (block, _)) in enumerate(CASES.items()):
            data = photo(form, None if name == "cut off" else block, seed)
            if name == "cut off":
                data = with_block(form, data, block or b"", seed)
            (folder / f"{name}{ending}").write_bytes(data)
    return folder


def with_block(form: str, plain: bytes, block: bytes, seed: int) -> bytes:
    """Return an image with a block that Pillow would not write."""
    if form == "TIFF":  # is the block itself; here with nothing but a maker
        return photo(form, exif({MAKE: "HP"}), seed)
    if form == "JPEG":
        return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]
    return photo(form, block, seed)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", CASES)
def test_every_value_is_what_exiftool_says(folder: Path, form: str, name: str) -> None:
    with (folder / f"{name}{FORMATS[form]}").open("rb") as file:
        found = read_exif(file)
    expected = CASES[name][1]
    assert (found.taken_at, found.camera, found.lens) == expected[:3]
    assert (found.latitude, found.longitude) == pytest.approx(expected[3:], abs=1e-7)


def test_all_of_them_are_indexed(folder: Path, store: Store) -> None:
    report = index(store, folder, FakeEncoder())
    assert (report.added, report.failed) == (40, 0)
    with store.reading() as con:
        rows = con.rows("SELECT path, taken_at, camera, lens, latitude, longitude FROM images")
        rest = con.rows("SELECT metadata->'exif'->>'FNumber', metadata->'exif'->>'OffsetTimeOriginal' FROM images "
                        "WHERE path LIKE '%paris%'")  # fmt: skip
        none = con.rows("SELECT DISTINCT metadata FROM images WHERE path LIKE '%none.%'")
    for path, *values in rows:
        expected = CASES[Path(path).stem][1]
        assert tuple(values[:3]) == expected[:3], path
        assert values[3:] == pytest.approx(list(expected[3:]), abs=1e-7), path
    assert rest == [("2.8", "+02:00")] * 5
    assert none == [(None,)]


def test_a_copy_says_what_its_original_says(folder: Path, store: Store, tmp_path: Path) -> None:
    index(store, folder / "paris.jpg", FakeEncoder())
    (tmp_path / "copy.jpg").write_bytes((folder / "paris.jpg").read_bytes())
    index(store, tmp_path / "copy.jpg", FakeEncoder())
    with store.reading() as con:
        assert con.rows("SELECT count(*), count(DISTINCT (taken_at, camera, latitude, metadata)) FROM images") == [
            (2, 1)
        ]


def test_the_rest_is_kept_by_its_names_and_the_position_only_in_its_columns() -> None:
    block = exif(R5, {COMMENT: b"ASCII\0\0\0hello", F_NUMBER: 4.0}, position(1.0, 2.0) | {6: 12.5})
    rest = json.loads(read_exif(io.BytesIO(photo("JPEG", block))).exif)
    assert rest == {
        "DateTime": "2022:01:01 00:00:00", "FNumber": 4.0, "GPSAltitude": 12.5, "Make": "Canon",
        "Model": "Canon EOS R5", "UserComment": "hello",
    }  # fmt: skip


HEADS = [b"II*\0", b"MM\0*", b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"RIFF....WEBP", b"\0\0\0\x08ftyp"]


@given(st.binary(max_size=200), st.sampled_from(HEADS))
def test_no_bytes_raise(data: bytes, head: bytes) -> None:
    assert isinstance(read_exif(io.BytesIO(head + data)), Photo)


@given(st.integers(0, 250), st.integers(0, 255))
def test_no_changed_byte_raises(place: int, value: int) -> None:
    block = bytearray(exif(R5, {TAKEN: "2021:07:04 12:34:56", F_NUMBER: 2.8}, position(48.0, 2.0)))
    block[6 + place % (len(block) - 6)] = value
    data = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(block) + 2) + bytes(block)
    found = read_exif(io.BytesIO(data))
    json.loads(found.exif)
    assert (found.latitude is None) == (found.longitude is None)


def test_a_block_that_asks_for_gigabytes_takes_none() -> None:
    entries = [struct.pack("<HHII", tag, kind, 0xFFFFFFFF, 8) for tag in range(1, 3000) for kind in (2, 7, 5)]
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 0xFFFF) + b"".join(entries) + b"x" * 500_000
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block
    tracemalloc.start()
    read_exif(io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunk))
    assert tracemalloc.get_traced_memory()[1] < 16_000_000
    tracemalloc.stop()


@given(st.floats(-89, 89), st.floats(-179, 179))
def test_positions_come_back(latitude: float, longitude: float) -> None:
    found = read_exif(io.BytesIO(exif({}, {}, position(latitude, longitude))[6:]))
    assert (found.latitude or 0, found.longitude or 0) == pytest.approx((latitude, longitude), abs=1e-6)
