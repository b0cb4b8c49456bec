"""Images of other than 8 bits a sample: shown as a viewer shows them, or a failure that says why."""

from __future__ import annotations

import itertools
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shotdex.media.decoding.decode import decode
from shotdex.store.errors import ImageFailure
from shotdex.store.types import Limits, Reason
from tests.support.images import encoded
from tests.support.tiffs import tiff

HEIGHT, WIDTH = 37, 53
GREY = np.linspace(0, 1, WIDTH)[None, :] * np.linspace(0.3, 1, HEIGHT)[:, None]
RGB = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], 2)
MAX_SAMPLE_VALUE, EXTRA, COLOUR_MAP, S_MIN, S_MAX = 281, 338, 320, 340, 341
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strips": {"rows": 8},
    "tiles": {"tile": 16},
    "deflate": {"compression": 8},
    "deflate with a predictor": {"compression": 8, "predictor": 2},
    "deflate in tiles": {"compression": 8, "tile": 16},
}
RANGES = {
    "1 bit": ("u1", 1, 1),
    "2 bits": ("u1", 2, 3),
    "4 bits": ("u1", 4, 15),
    "8 bits": ("u1", 8, 255),
    "10 bits": ("u2", 10, 1023),
    "12 bits": ("u2", 12, 4095),
    "14 bits": ("u2", 14, 16383),
    "8 bits in 16": ("u2", 16, 255),
    "12 bits in 16": ("u2", 16, 4095),
    "16 bits": ("u2", 16, 65535),
    "12 bits in 32": ("u4", 32, 4095),
    "16 bits in 32": ("u4", 32, 65535),
    "20 bits in 32": ("u4", 32, 2**20 - 1),
    "24 bits": ("u4", 24, 2**24 - 1),
    "32 bits": ("u4", 32, 2**32 - 1),
    "signed 8 bits": ("i1", 8, 127),
    "signed 16 bits": ("i2", 16, 32767),
    "signed 32 bits": ("i4", 32, 2**31 - 1),
    "half floats": ("f2", 16, 1),
    "floats to 1": ("f4", 32, 1),
    "floats to 255": ("f4", 32, 255),
    "floats to 65535": ("f4", 32, 65535),
    "doubles": ("f8", 64, 1),
}
NOT_READ = {"10 bits", "14 bits", "24 bits", "half floats", "doubles"}
NOT_READ_WHITE_IS_ZERO = {name for name in RANGES if name.startswith(("signed", "12 bits in 32", "16 bits in", "20"))}
NOT_READ_WHITE_IS_ZERO |= {"12 bits", "32 bits"}


def failure(data: bytes, limits: Limits | None = None) -> ImageFailure:
    with pytest.raises(ImageFailure) as caught:
        decode(data, limits or Limits())
    return caught.value


def shown(data: bytes, limits: Limits | None = None) -> np.ndarray | None:
    """Return an image's pixels, or None where it is a failure for being unsupported, with words that say of what."""
    try:
        return np.asarray(decode(data, limits or Limits())).astype(int)
    except ImageFailure as error:
        assert error.reason is Reason.UNSUPPORTED, error
        assert len(error.detail) > 20
        return None


def as_bytes(wanted: np.ndarray) -> np.ndarray:
    """Return what values from 0 (black) to 1 (white) look like, (H, W, 3)."""
    grey = np.rint(np.clip(wanted, 0, 1) * 255).astype(int)
    return np.repeat(grey[:, :, None], 3, axis=2) if grey.ndim == 2 else grey


def same(got: np.ndarray | None, wanted: np.ndarray, tolerance: int = 1) -> bool:
    return got is not None and got.shape == as_bytes(wanted).shape and abs(got - as_bytes(wanted)).max() <= tolerance


def numbers(values: np.ndarray, kind: str, top: float) -> np.ndarray:
    return (values * top if kind[0] == "f" else np.rint(values * top)).astype(kind)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("photometric", [1, 0], ids=["black is zero", "white is zero"])
def test_grey(name: str, photometric: int) -> None:
    kind, bits, top = RANGES[name]
    stored = numbers(GREY if photometric else 1 - GREY, kind, top)
    wanted = stored.astype(float) / top if photometric else 1 - stored.astype(float) / top
    for layout, order in itertools.product(LAYOUTS, "<>"):
        if layout == "deflate with a predictor" and (kind[0] == "f" or bits % 8 or bits == 24):
            continue
        got = shown(tiff(stored, photometric, order=order, bits=bits, **LAYOUTS[layout]))
        if got is None:
            assert name in NOT_READ | (NOT_READ_WHITE_IS_ZERO if not photometric else set()) or order == ">", layout
        else:
            assert same(got, wanted), (layout, order)


@pytest.mark.parametrize("kind", ["u2", "i2", "i4", "f4"])
def test_big_endian_and_deflated(kind: str) -> None:
    top = {"u2": 65535, "i2": 32767, "i4": 2**31 - 1, "f4": 1}[kind]
    assert same(shown(tiff(numbers(GREY, kind, top), order=">", compression=8)), GREY)


@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("extra", [None, 0, 1, 2])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 9])
def test_colours(count: int, kind: str, extra: int | None, planar: int) -> None:
    """Further bands are left out, but for the fourth where it is alpha."""
    if count == 3 and extra is not None:
        return
    top = {"u1": 255, "u2": 65535, "f4": 1}[kind]
    values = np.random.default_rng(0).random((HEIGHT, WIDTH, count))
    values[:, :, :3] = RGB
    if extra == 1:  # colours that are multiplied with their alpha
        values[:, :, :3] *= values[:, :, 3:4]
    stored = numbers(values, kind, top)
    has_alpha = extra in (1, 2) or (count == 4 and extra is None)
    alpha = stored[:, :, 3:4] / top if has_alpha else 1.0
    wanted = stored[:, :, :3] / top * (1.0 if extra == 1 else alpha) + 1 - alpha
    tags = {} if extra is None else {EXTRA: ("H", (extra, *(0,) * (count - 4)))}
    read = 0
    for layout, order in itertools.product(LAYOUTS, "<>"):
        if kind == "f4" and "predictor" in layout:
            continue
        got = shown(tiff(stored, 2, order=order, tags=tags, planar=planar, **LAYOUTS[layout]))
        read += got is not None
        assert got is None or same(got, wanted, 4 if extra == 1 else 2), (layout, order)
    if kind == "u1" and (count == 3 or (extra in (0, 2) and count <= 6 and planar == 1)):
        assert read == 2 * len(LAYOUTS)


@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("planar", [1, 2])
def test_cmyk(kind: str, planar: int) -> None:
    top = {"u1": 255, "u2": 65535}[kind]
    stored = numbers(np.random.default_rng(1).random((HEIGHT, WIDTH, 4)), kind, top)
    wanted = (1 - stored[:, :, :3] / top) * (1 - stored[:, :, 3:] / top)
    for layout, order in itertools.product(LAYOUTS.values(), "<>"):
        got = shown(tiff(stored, 5, order=order, planar=planar, **layout))
        assert same(got, wanted, 2) or (got is None and kind == "u2" and planar == 2)


@pytest.mark.parametrize("written", ["as 16-bit colours", "as 8-bit colours"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_palettes(bits: int, written: str) -> None:
    rng = np.random.default_rng(2)
    colours = rng.integers(0, 256, (3, 1 << bits))
    stored = rng.integers(0, 1 << bits, (HEIGHT, WIDTH)).astype("u2" if bits == 16 else "u1")
    wanted = colours[:, stored].transpose(1, 2, 0) / 255
    listed = (colours if "8-bit" in written else colours * 257).ravel().tolist()
    for layout, order in itertools.product(("plain", "tiles", "deflate"), "<>"):
        got = shown(tiff(stored, 3, bits=bits, order=order, tags={COLOUR_MAP: ("H", listed)}, **LAYOUTS[layout]))
        assert same(got, wanted, 0) or (got is None and bits == 16)


class TestRange:
    """Which number is white."""

    @pytest.mark.parametrize("largest", [4095, 4000, 2049])
    def test_a_stated_range_of_integers_ends_with_its_bits(self, largest: int) -> None:
        stored = np.array([[0, 1000, largest]], "u2")
        assert same(shown(tiff(stored, tags={MAX_SAMPLE_VALUE: ("H", largest)})), stored / 4095)

    def test_a_stated_range_counts_for_white_is_zero_too(self) -> None:
        stored = np.array([[0, 10_000, 16_383]], "u2")
        assert same(shown(tiff(stored, 0, tags={MAX_SAMPLE_VALUE: ("H", 16_383)})), 1 - stored / 16_383)

    def test_a_stated_range_that_is_exceeded_does_not_count(self) -> None:
        stored = np.array([[0, 30_000, 60_000]], "u2")
        assert same(shown(tiff(stored, tags={MAX_SAMPLE_VALUE: ("H", 255)})), stored / 65535)

    def test_a_stated_range_of_eight_bits_does_not_count(self) -> None:
        stored = np.array([[0, 20, 60]], "u1")
        assert same(shown(tiff(stored, tags={MAX_SAMPLE_VALUE: ("H", 60)})), stored / 255)

    def test_a_stated_range_of_floats(self) -> None:
        stored = np.array([[-10, 240, 990]], "f4")
        assert same(shown(tiff(stored, tags={S_MIN: ("f", -10), S_MAX: ("f", 990)})), (stored + 10) / 1000)

    def test_sixteen_bit_colours_with_fewer_in_use(self) -> None:
        detail = failure(tiff(numbers(RGB, "u2", 4095), 2, tags={MAX_SAMPLE_VALUE: ("H", (4095,) * 3)})).detail
        assert "only the lower bits" in detail
        assert "lower bits" in failure(tiff(numbers(RGB, "u2", 4095), 2)).detail

    def test_png_and_pnm_state_their_range(self) -> None:
        assert np.asarray(decode(encoded(Image.fromarray(np.full((2, 2), 200, "u2")), "PNG"))).max() == 1
        for largest in (1, 100, 255, 1023, 4095, 65535):
            stored = np.array([[0, largest // 3, largest // 2]], ">u2" if largest > 255 else "u1")
            assert same(shown(b"P5\n3 1\n%d\n" % largest + stored.tobytes()), stored / largest)

    def test_floats_by_most_of_their_numbers(self) -> None:
        assert same(shown(tiff(np.array([[0.0, 0.5, 1.0]], "f4"))), np.array([[0.0, 0.5, 1.0]]))
        bright = GREY.astype("f4").copy()
        bright[0, 0] = 40.0  # a lamp in a picture of high dynamic range
        assert same(shown(tiff(bright)), bright)
        overshot = (GREY * 255).astype("f4")
        overshot[0, :2] = (-4, 261)
        assert same(shown(tiff(overshot)), overshot / 255)

    def test_numbers_that_are_none(self) -> None:
        odd = np.array([[np.nan, 0.5, np.inf, -np.inf]], "f4")
        assert same(shown(tiff(odd)), np.array([[0, 0.5, 1, 0]]))
        assert "finite" in failure(tiff(np.full((2, 2), np.nan, "f4"))).detail

    @pytest.mark.parametrize(
        ("stored", "words"),
        [
            (np.array([[-1.0, 0.0, 1.0]], "f4"), "from -1 to 1"),
            (np.array([[-1000, 0, 3000]], "i2"), "from -1000 to 3000"),
            (np.array([[-128, 0, 127]], "i1"), "from -128 to 127"),
            (np.array([[0.0, 5e5, 1e6]], "f4"), "up to 1e+06"),
        ],
    )
    def test_a_range_that_cannot_be_told_is_a_failure(self, stored: np.ndarray, words: str) -> None:
        for order in "<>":
            found = failure(tiff(stored, order=order))
            assert found.reason is Reason.UNSUPPORTED
            assert words in found.detail

    def test_a_little_below_black_is_black(self) -> None:
        stored = np.array([[-5, 100, 255]], "i4")
        assert same(shown(tiff(stored)), np.clip(stored, 0, None) / 255)

    def test_many_rows_are_turned_as_few(self) -> None:
        tall = np.tile(np.linspace(0, 65535, 1500).astype("u2"), (1500, 1))
        assert same(shown(tiff(tall)), tall / 65535)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff(numbers(RGB, "f4", 1), 2), "3 float samples of 32 bits a pixel (RGB)"),
        (tiff(numbers(GREY, "f8", 1)), "1 float sample of 64 bits a pixel (black is zero)"),
        (tiff(numbers(np.dstack([RGB] * 4), "u2", 9), 1), "12 unsigned samples of 16 bits a pixel"),
        (tiff(numbers(RGB, "u2", 65535), 2, planar=2), "in planes and not compressed"),
        (tiff(numbers(RGB, "u1", 255), 32803), "colour filter array"),
        (tiff(numbers(RGB, "u1", 255)[:20, :, :2], 6, tags={277: ("H", 3), 258: ("H", (8,) * 3)}), "subsampled"),
        (b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\n\0", "PAM"),
        (b"PF\n1 1\n-1.0\n" + b"\0" * 12, "PFM with colours"),
    ],
)
def test_what_is_not_read_says_what_it_is(data: bytes, words: str) -> None:
    found = failure(data)
    assert found.reason is Reason.UNSUPPORTED
    assert words in found.detail


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(stored: np.ndarray, bits: int, colour: int, further: bytes = b"") -> bytes:
    height, width = stored.shape[:2]
    if bits == 16:
        rows = stored.astype(">u2").view("u1").reshape(height, -1)
    else:
        each = np.unpackbits(stored.astype("u1").reshape(height, -1, 1), axis=2)[:, :, 8 - bits :]
        rows = np.packbits(each.reshape(height, -1), axis=1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + further + chunk(b"IDAT", data) + chunk(b"IEND", b"")


class TestPng:
    """The kinds of PNG, with and without a transparent colour."""

    @pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
    def test_grey(self, bits: int) -> None:
        top = (1 << bits) - 1
        stored = np.random.default_rng(3).integers(0, top + 1, (8, 16))
        assert same(shown(png(stored, bits, 0)), stored / top)
        for transparent in {0, 1, top // 2, top}:
            stored[0, 0] = transparent
            wanted = np.where(stored == transparent, 1, stored / top)
            assert same(shown(png(stored, bits, 0, chunk(b"tRNS", struct.pack(">H", transparent)))), wanted)

    @pytest.mark.parametrize("bits", [8, 16])
    @pytest.mark.parametrize(("colour", "count"), [(2, 3), (4, 2), (6, 4)])
    def test_colours_and_alpha(self, bits: int, colour: int, count: int) -> None:
        stored = np.random.default_rng(4).integers(0, 1 << bits, (8, 16, count))
        values = stored / ((1 << bits) - 1)
        alpha = values[:, :, -1:] if count != 3 else 1.0
        wanted = (values if count == 3 else values[:, :, :-1]) * alpha + 1 - alpha
        assert same(shown(png(stored, bits, colour)), wanted[:, :, 0] if count == 2 else wanted, 2)
        if count == 3:
            data = png(stored, bits, colour, chunk(b"tRNS", struct.pack(">HHH", *stored[0, 0])))
            wanted[0, 0] = 1
            assert same(shown(data), wanted, 1) if bits == 8 else "transparent" in failure(data).detail


HIDDEN = np.dstack([as_bytes(RGB).astype("u1"), np.zeros((HEIGHT, WIDTH), "u1")])


def bmp(pixels: np.ndarray) -> bytes:
    """Return a BMP with masks for all four bands, upside down as most are."""
    data = pixels[::-1, :, [2, 1, 0, 3]].tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + b"\0" * 48
    head = struct.pack("<IiiHHIIiiII", 108, WIDTH, HEIGHT, 1, 32, 3, len(data), 0, 0, 0, 0) + masks
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(data), 0, 0, 14 + len(head)) + head + data


def tga(pixels: np.ndarray, alpha_bits: int) -> bytes:
    head = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, WIDTH, HEIGHT, 32, alpha_bits | 0x20)
    return head + pixels[:, :, [2, 1, 0, 3]].tobytes()


class TestAlphaThatIsZeroEverywhere:
    """Where writers leave it so the colours count; where alpha is meant the image is a failure that says so."""

    @pytest.mark.parametrize("data", [bmp(HIDDEN), tga(HIDDEN, 0), tga(HIDDEN, 8), tiff(HIDDEN, 2)])
    def test_a_mistake(self, data: bytes) -> None:
        assert same(shown(data, Limits(all_formats=True)), RGB)

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
    def test_meant(self, kind: str) -> None:
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        found = failure(encoded(Image.fromarray(HIDDEN), kind, **options))
        assert found.reason is Reason.UNSUPPORTED
        assert "every pixel is transparent" in found.detail

    def test_nothing_below_it(self) -> None:
        assert np.asarray(decode(encoded(Image.new("RGBA", (5, 4), (9, 9, 9, 0)), "PNG"))).min() == 255
