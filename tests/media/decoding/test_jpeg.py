"""A JPEG is whole, or it is a failure; what no pixel depends on makes no difference."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shotdex.media.decoding.decode import decode
from shotdex.store.errors import ImageFailure
from shotdex.store.types import Limits, Reason
from tests.support.hostile import after_soi, segment
from tests.support.images import encoded

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("RGB", {}),
    "4:4:4": ("RGB", {"subsampling": 0}),
    "4:2:2": ("RGB", {"subsampling": 1}),
    "4:1:1": ("RGB", {"subsampling": "4:1:1"}),
    "optimised": ("RGB", {"optimize": True}),
    "restart markers": ("RGB", {"restart_marker_blocks": 3}),
    "progressive": ("RGB", {"progressive": True}),
    "progressive 4:4:4": ("RGB", {"progressive": True, "subsampling": 0}),
    "progressive restart markers": ("RGB", {"progressive": True, "restart_marker_blocks": 7}),
    "grey": ("L", {}),
    "progressive grey": ("L", {"progressive": True}),
    "CMYK": ("CMYK", {}),
    "progressive CMYK": ("CMYK", {"progressive": True}),
    "components R, G and B": ("RGB", {"keep_rgb": True}),
}
DHT, DQT, SOS, EOI = b"\xff\xc4", b"\xff\xdb", b"\xff\xda", b"\xff\xd9"
JUNK = bytes(range(1, 200, 5))
BAD_PROFILE = segment(0xE2, b"ICC_PROFILE\0\5\1" + b"x" * 16)


def photograph(width: int = 203, height: int = 149) -> Image.Image:
    """Smooth colours with some noise, like a photograph and without a JPEG's history."""
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((width, height), 3)
    noise = rng.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8))


def jpeg(kind: str) -> bytes:
    mode, options = KINDS[kind]
    return encoded(photograph().convert(mode), "JPEG", quality=85, **options)


def by_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as opened:
        return np.asarray(opened.convert("RGB"))


def shown(data: bytes) -> np.ndarray | Reason:
    try:
        return np.asarray(decode(data))
    except ImageFailure as error:
        return error.reason


def before(data: bytes, marker: bytes, added: bytes) -> bytes:
    at = data.rindex(marker) if marker == EOI else data.index(marker)
    return data[:at] + added + data[at:]


def after_frame(data: bytes, added: bytes) -> bytes:
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data[:at] + added + data[at:]


HARMLESS = {
    "stray bytes before the tables": lambda data: before(data, DQT, JUNK),
    "a stuffed marker before the tables": lambda data: before(data, DQT, b"\xff\0\xff\0"),
    "stray bytes before the scan": lambda data: before(data, SOS, JUNK),
    "stray bytes before every scan": lambda data: data.replace(SOS, JUNK + SOS),
    "stray bytes before the end marker": lambda data: before(data, EOI, JUNK),
    "zeros before the end marker": lambda data: before(data, EOI, b"\0" * 512),
    "one byte before the end marker": lambda data: before(data, EOI, b"\x55"),
    "a stuffed marker before the end marker": lambda data: before(data, EOI, b"\xff\0\xff\0\xff\0"),
    "restart markers in the header": lambda data: before(data, DQT, JUNK + b"\xff\xd0" + JUNK + b"\xff\xd3"),
    "an EXIF block shorter than it says": lambda data: after_soi(data, segment(0xE1, b"Exif\0\0MM\0*") + JUNK),
    "a damaged colour profile": lambda data: after_soi(data, BAD_PROFILE),
    "a damaged colour profile after the frame": lambda data: after_frame(data, BAD_PROFILE),
    "a JFIF of another revision": lambda data: data.replace(b"JFIF\0\1", b"JFIF\0\7", 1),
    "an Adobe segment with a byte too many": lambda data: after_soi(data, segment(0xEE, b"Ado") + b"b"),
    "a comment and what follows the image": lambda data: after_soi(data, segment(0xFE, JUNK)) + JUNK + EOI,
}


@pytest.mark.parametrize("kind", KINDS)
class TestKinds:
    """What holds for every coding."""

    def test_pixels_are_those_of_pillow(self, kind: str) -> None:
        assert np.array_equal(shown(jpeg(kind)), by_pillow(jpeg(kind)))

    @pytest.mark.parametrize("change", HARMLESS)
    def test_what_no_pixel_depends_on_costs_nothing(self, kind: str, change: str) -> None:
        data = jpeg(kind)
        changed = HARMLESS[change](data)
        assert changed != data or "JFIF" in change
        assert np.array_equal(shown(changed), by_pillow(data))

    @pytest.mark.parametrize("end", [EOI, b""], ids=["with end marker", "without"])
    def test_missing_bytes_are_a_failure(self, kind: str, end: bytes) -> None:
        data = jpeg(kind)
        missing = {*range(1, 41), *range(41, min(2000, len(data) - 700), 37)}
        for count in missing:
            assert isinstance(shown(data[: -2 - count] + end), Reason), count

    def test_the_end_marker_is_missing_or_half_of_it(self, kind: str) -> None:
        assert shown(jpeg(kind)[:-2]) is Reason.TRUNCATED
        assert shown(jpeg(kind)[:-1]) is Reason.TRUNCATED
        assert shown(before(jpeg(kind)[:-2], DQT, JUNK)) is Reason.TRUNCATED

    def test_missing_bytes_are_a_failure_behind_stray_ones_too(self, kind: str) -> None:
        data = before(jpeg(kind), DQT, JUNK)
        for count in (1, 2, 3, 10, 50):
            assert isinstance(shown(data[: -2 - count] + EOI), Reason)

    def test_each_scan_is_needed(self, kind: str) -> None:
        data = jpeg(kind)
        starts = [i for i in range(len(data)) if data.startswith(SOS, i)]
        for start in starts:
            assert isinstance(shown(data[:start] + EOI), Reason)


def test_the_colour_space_survives_what_is_dropped() -> None:
    """A JFIF segment says YCbCr, whatever Adobe's says; and the components' names count without either."""
    transform_none = segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 0))
    plain = encoded(photograph(), "JPEG", quality=90)
    without = plain[:2] + plain[20:]
    for data in (after_soi(plain, transform_none), after_soi(without, transform_none), without):
        assert np.array_equal(shown(data), by_pillow(data))
        assert np.array_equal(shown(before(data, DHT, JUNK)), by_pillow(data))


def test_orientation_survives_what_is_dropped() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photograph(40, 20), "JPEG", exif=exif)
    assert decode(data).size == decode(before(data, DQT, JUNK)).size == (20, 40)


def test_two_frames_of_different_sizes_are_decoded_as_neither() -> None:
    """The size that was checked is the size that is decoded."""
    data, other = jpeg("baseline"), encoded(photograph(4000, 3000), "JPEG")
    at, there = data.index(b"\xff\xc0"), other.index(b"\xff\xc0")
    for both in (data[:at] + other[there : there + 19] + data[at:], other[:there] + data[at : at + 19] + other[there:]):
        with pytest.raises(ImageFailure) as failure:
            decode(both, Limits(pixels=1_000_000))
        assert failure.value.reason in (Reason.CORRUPT, Reason.TOO_LARGE)


def test_no_cut_file_gets_through_and_no_whole_one_is_refused() -> None:
    """A few of many images; `python -m benchmarks.cut_jpegs` measures hundreds."""
    from benchmarks.cut_jpegs import CODINGS, measure

    assert {name: +counts for name, counts in measure(8, seed=1).items()} == {name: {} for name in CODINGS}
