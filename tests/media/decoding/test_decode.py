"""From bytes to an upright RGB image, or a refusal with a reason; nothing else."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from shotdex.media.decoding.decode import PIXEL_LIMIT, decode, extensions, looks_like_image
from shotdex.media.decoding.formats import LISTED, LISTED_TEXT
from shotdex.media.open_image import open_image
from shotdex.store.errors import ImageFailure
from shotdex.store.types import Limits, Reason
from tests.conftest import ROOT
from tests.support.images import encoded, gradient

ALL = Limits(all_formats=True)
quick = settings(deadline=None, suppress_health_check=list(HealthCheck))


def refused(data: bytes) -> ImageFailure:
    with pytest.raises(ImageFailure) as caught:
        decode(data)
    return caught.value


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


class TestModes:
    """Every mode that a file can have."""

    @pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB", "I", "I;16", "F"])
    def test_round_trip_of_a_tiff(self, mode: str) -> None:
        source = gradient()
        if mode == "LAB":
            from PIL import ImageCms

            srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
            image = ImageCms.profileToProfile(source, srgb, lab, outputMode="LAB")
            assert image is not None
        elif mode == "I;16":
            image = Image.fromarray(np.asarray(source.convert("L")).astype(np.uint16) * 257)
        else:
            image = source.convert(mode)
        got = pixels(decode(encoded(image, "TIFF")))
        grey = mode in ("1", "L", "I", "I;16", "F")
        want = np.asarray(source.convert("1" if mode == "1" else "L").convert("RGB") if grey else source).astype(int)
        tolerance = {"LAB": 20, "CMYK": 1, "YCbCr": 4, "P": 60}.get(mode, 0)
        assert abs(got - want).max() <= tolerance

    def test_hsv_as_pillow_converts(self) -> None:
        from shotdex.media.decoding.samples import to_rgb

        image = gradient().convert("HSV")
        assert (pixels(to_rgb(image)) == pixels(image.convert("RGB"))).all()

    def test_transparency_lies_over_white(self) -> None:
        rgba = Image.new("RGBA", (3, 1))
        rgba.putdata([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 255, 128)])
        for kind in ("PNG", "TIFF", "WEBP"):
            options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
            got = pixels(decode(encoded(rgba, kind, **options)))[0].tolist()
            assert got[:2] == [[255, 0, 0], [255, 255, 255]]
            assert got[2] in ([127, 127, 255], [126, 126, 255])

    def test_grey_with_alpha(self) -> None:
        image = Image.new("LA", (2, 1))
        image.putdata([(10, 255), (10, 0)])
        assert pixels(decode(encoded(image, "PNG")))[0].tolist() == [[10] * 3, [255] * 3]

    @pytest.mark.parametrize("kind", ["GIF", "PNG"])
    def test_palette_with_a_transparent_colour(self, kind: str) -> None:
        image = Image.new("P", (2, 1))
        image.putpalette([200, 0, 0, 0, 200, 0])
        image.putdata([0, 1])
        assert pixels(decode(encoded(image, kind, transparency=1)))[0].tolist() == [[200, 0, 0], [255, 255, 255]]
        assert pixels(decode(encoded(image, kind)))[0].tolist() == [[200, 0, 0], [0, 200, 0]]

    def test_palette_with_alpha_for_each_colour(self) -> None:
        image = Image.new("P", (2, 1))
        image.putpalette([200, 0, 0, 0, 0, 0])
        image.putdata([0, 1])
        got = pixels(decode(encoded(image, "PNG", transparency=b"\xff\x80")))[0].tolist()
        assert got == [[200, 0, 0], [127, 127, 127]]

    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_a_transparent_colour_without_palette(self, mode: str) -> None:
        image = Image.new(mode, (2, 1), "black")
        image.putpixel((1, 0), 9 if mode == "L" else (9, 9, 9))
        data = encoded(image, "PNG", transparency=9 if mode == "L" else (9, 9, 9))
        assert pixels(decode(data))[0].tolist() == [[0] * 3, [255] * 3]

    def test_sixteen_bits_are_scaled_not_clipped(self) -> None:
        values = np.array([[0, 257, 32896, 65535]], np.uint16)
        assert pixels(decode(encoded(Image.fromarray(values), "PNG")))[0, :, 0].tolist() == [0, 1, 128, 255]

    def test_sixteen_bits_that_are_all_dark_stay_dark(self) -> None:
        data = encoded(Image.fromarray(np.full((2, 2), 200, np.uint16)), "PNG")
        assert pixels(decode(data)).max() == 1


class TestOrientation:
    """EXIF orientations: the image comes upright, with its size turned."""

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
    def test_each(self, orientation: int, kind: str) -> None:
        upright = gradient(24, 16)
        turn = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }.get(orientation)
        stored = upright if turn is None else upright.transpose(turn)
        exif = Image.Exif()
        exif[0x0112] = orientation
        options: dict[str, Any] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
        got = decode(encoded(stored, kind, exif=exif, **options))
        assert got.size == (24, 16)
        assert abs(pixels(got) - pixels(upright)).max() <= (8 if kind == "JPEG" else 0)

    def test_a_broken_exif_block_costs_nothing(self) -> None:
        data = encoded(gradient(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
        assert decode(data).size == (40, 30)

    @pytest.mark.parametrize("orientation", [0, 9, 300])
    def test_an_orientation_that_does_not_exist_turns_nothing(self, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        assert (pixels(decode(encoded(gradient(), "PNG", exif=exif))) == pixels(gradient())).all()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("#c80000", "#00c800", "#0000c8")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert pixels(decode(data))[0, 0].tolist() == [200, 0, 0]


# Formats that Pillow writes, lossless or nearly, and people keep.
FORMATS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 90},
    "JPEG progressive": {"progressive": True},
    "GIF": {},
    "GIF interlaced": {"interlace": 1},
    "BMP": {},
    "TIFF": {},
    "TIFF lzw": {"compression": "tiff_lzw"},
    "TIFF deflate": {"compression": "tiff_adobe_deflate"},
    "TIFF jpeg": {"compression": "jpeg"},
    "TIFF packbits": {"compression": "packbits"},
    "WEBP": {"lossless": True},
    "WEBP lossy": {},
    "PPM": {},
    "TGA": {},
    "TGA rle": {"compression": "tga_rle"},
    "PCX": {},
    "PCX palette": {},
    "SGI": {},
    "ICO": {},
    "ICNS": {},
    "DDS": {},
    "QOI": {},
    "JPEG2000": {},
    "AVIF": {},
    "MPO": {},
    "IM": {},
    "DIB": {},
}


def sample(name: str) -> bytes:
    kind = name.split()[0]
    available = {"JPEG2000": features.check("jpg_2000"), "AVIF": features.check("avif"), "WEBP": features.check("webp")}
    if not available.get(kind, True):
        pytest.fail(f"Pillow here lacks {kind}")
    image = gradient(64, 64) if kind in ("ICNS", "ICO") else gradient()
    if name == "PCX palette":
        return encoded(image.convert("P"), kind)
    return encoded(image, kind, **FORMATS[name])


@pytest.mark.parametrize("name", FORMATS)
def test_a_truncated_file_never_gives_part_of_a_image(name: str) -> None:
    data = sample(name)
    whole = pixels(decode(data, ALL))
    cuts = sorted({int(len(data) * i / 150) for i in range(150)} | set(range(max(0, len(data) - 24), len(data))))
    wrong = []
    for cut in cuts:
        try:
            got = pixels(decode(data[:cut], ALL))
        except ImageFailure:
            continue
        if got.shape != whole.shape or not (got == whole).all():
            wrong.append(cut)
    if name == "PCX palette":  # which is not on the list
        return
    assert wrong == [], f"{name}: {len(wrong)} of {len(cuts)} cuts of {len(data)} bytes give another image: {wrong[:5]}"


@pytest.mark.parametrize("name", FORMATS)
def test_only_listed_formats_are_read_by_default(name: str) -> None:
    kind = {"MPO": "JPEG"}.get(name, name.split()[0])
    if kind in LISTED:
        assert decode(sample(name)).mode == "RGB"
        return
    failure = refused(sample(name))
    assert failure.reason is Reason.UNSUPPORTED
    assert failure.detail.startswith(f"{kind} is not one of the formats read by default ({LISTED_TEXT})")
    assert "--all-formats" in failure.detail


@pytest.mark.parametrize("coding", ["group3", "group4", "tiff_ccitt"])
def test_fax_is_read_on_request_only(coding: str) -> None:
    data = encoded(gradient().convert("1"), "TIFF", compression=coding)
    assert refused(data).reason is Reason.UNSUPPORTED
    assert (pixels(decode(data, ALL)) == pixels(gradient().convert("1").convert("RGB"))).all()


def test_the_documentation_lists_the_formats() -> None:
    assert LISTED_TEXT in " ".join((ROOT / "docs" / "sources.md").read_text(encoding="utf-8").split())


def test_a_truncated_image_says_so() -> None:
    data = encoded(gradient(), "JPEG")
    assert refused(data[: len(data) // 2]).reason is Reason.TRUNCATED


@quick
@given(st.binary(max_size=300))
@example(b"\0")
@example(b"BM" + b"\0" * 60)
def test_random_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    try:
        decode(data)
    except ImageFailure as error:
        assert isinstance(error.reason, Reason)
        assert error.detail


@settings(parent=quick, max_examples=250)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_damaged_files_are_refused_or_give_rgb(name: str, data: st.DataObject) -> None:
    raw = bytearray(sample(name))
    # Damage mostly in the header, where it changes sizes, types and offsets.
    places = data.draw(
        st.lists(
            st.one_of(st.integers(0, min(120, len(raw) - 1)), st.integers(0, len(raw) - 1)), min_size=1, max_size=6
        )
    )
    for place in places:
        raw[place] = data.draw(st.integers(0, 255))
    try:
        with Image.open(io.BytesIO(bytes(raw))) as opened:
            assume(opened.width * opened.height < 2_000_000)  # large claims are tested by themselves
    except Exception:
        pass
    try:
        assert decode(bytes(raw), ALL).mode == "RGB"
    except ImageFailure as error:
        assert isinstance(error.reason, Reason)


def test_no_bytes() -> None:
    assert refused(b"").reason is Reason.EMPTY


def test_a_text_file_with_a_images_name() -> None:
    assert refused(b"<html>404 not found</html>\n" * 20).reason is Reason.NOT_AN_IMAGE


def huge_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(100_000, 100_000), (PIXEL_LIMIT + 1, 1), (20_000, 10_000)])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(size: tuple[int, int]) -> None:
    assert refused(huge_png(*size)).reason is Reason.TOO_LARGE


def test_extensions_are_those_pillow_reads() -> None:
    assert {".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".bmp", ".avif", ".jp2", ".ppm"} <= extensions()
    assert not {".h5", ".grib", ".mpg", ".pdf", ".txt", ""} & extensions()
    assert looks_like_image("A.B.JPG")
    assert not looks_like_image("jpg")


def test_open_image_names_what_it_cannot_read(tmp_path: Any) -> None:
    from shotdex.store.errors import UnreadableImage

    (tmp_path / "a.png").write_bytes(b"no")
    for name in ("a.png", "gone.png"):
        with pytest.raises(UnreadableImage, match=name) as caught:
            open_image(str(tmp_path / name))
        assert caught.value.hint
