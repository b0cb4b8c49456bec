"""Images that no well-behaved program writes, with what is to become of each: its exact pixels, or a refusal.

`kinds()` has them by name. `mutations()` damages every one at random. As a program it writes both into a folder:

    python -m tests.support.hostile FOLDER [COUNT SEED]
"""

from __future__ import annotations

import gzip
import io
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from shotdex.store.types import Reason

from .images import encoded, gradient

BROKEN = (Reason.TRUNCATED, Reason.CORRUPT)
NONE = (Reason.NOT_AN_IMAGE, Reason.CORRUPT, Reason.UNSUPPORTED)
LARGE = (Reason.TOO_LARGE,)


@dataclass(frozen=True)
class Kind:
    """One file. `pixels` (H, W, 3) where it may be shown, else None; `reasons` for which it may be refused."""

    data: bytes
    pixels: np.ndarray | None
    reasons: tuple[Reason, ...] = ()


def rgb(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


def shown(data: bytes, image: Image.Image | None = None) -> Kind:
    """What must be shown, as the given image or as Pillow by itself shows it."""
    with Image.open(io.BytesIO(data)) as opened:
        return Kind(data, rgb(opened if image is None else image))


def refused(data: bytes, *reasons: Reason) -> Kind:
    return Kind(data, None, reasons)


def either(data: bytes, image: Image.Image, *reasons: Reason) -> Kind:
    return Kind(data, rgb(image), reasons)


IMAGE = gradient()
LOSSLESS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "png": ("PNG", "RGB", {}),
    "png grey": ("PNG", "L", {}),
    "png palette": ("PNG", "P", {}),
    "png 1 bit": ("PNG", "1", {}),
    "gif": ("GIF", "P", {"interlace": 0}),
    "gif interlaced": ("GIF", "P", {"interlace": 1}),
    "bmp": ("BMP", "RGB", {}),
    "bmp palette": ("BMP", "P", {}),
    "bmp 1 bit": ("BMP", "1", {}),
    "dib": ("DIB", "RGB", {}),
    "tiff": ("TIFF", "RGB", {}),
    "tiff 1 bit": ("TIFF", "1", {}),
    "tiff lzw": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "tiff deflate": ("TIFF", "RGB", {"compression": "tiff_adobe_deflate"}),
    "tiff packbits": ("TIFF", "RGB", {"compression": "packbits"}),
    "tiff fax": ("TIFF", "1", {"compression": "group4"}),
    "tiff zstd": ("TIFF", "RGB", {"compression": "zstd"}),
    "bigtiff": ("TIFF", "RGB", {"big_tiff": True}),
    "webp lossless": ("WEBP", "RGB", {"lossless": True}),
    "ppm": ("PPM", "RGB", {}),
    "pgm": ("PPM", "L", {}),
    "pbm": ("PPM", "1", {}),
    "tga": ("TGA", "RGB", {}),
    "tga runs": ("TGA", "RGB", {"compression": "tga_rle"}),
    "pcx": ("PCX", "RGB", {}),
    "pcx palette": ("PCX", "P", {}),
    "sgi": ("SGI", "RGB", {}),
    "dds": ("DDS", "RGB", {}),
    "qoi": ("QOI", "RGB", {}),
    "im": ("IM", "RGB", {}),
    "msp": ("MSP", "1", {}),
    "xbm": ("XBM", "1", {}),
    "jpeg 2000": ("JPEG2000", "RGB", {}),
    "jpeg 2000 codestream": ("JPEG2000", "RGB", {"no_jp2": True}),
    "jpeg 2000 tiles": ("JPEG2000", "RGB", {"tile_size": (16, 16)}),
    "ico": ("ICO", "RGBA", {"sizes": [(40, 30)]}),
    "ico bitmap": ("ICO", "RGBA", {"sizes": [(40, 30)], "bitmap_format": "bmp"}),
}
LOSSY: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg": ("JPEG", "RGB", {"quality": 90}),
    "jpeg grey": ("JPEG", "L", {}),
    "jpeg 4:4:4": ("JPEG", "RGB", {"subsampling": 0}),
    "jpeg optimised": ("JPEG", "RGB", {"optimize": True}),
    "jpeg restarts": ("JPEG", "RGB", {"restart_marker_blocks": 1}),
    "jpeg progressive": ("JPEG", "RGB", {"progressive": True}),
    "jpeg progressive grey": ("JPEG", "L", {"progressive": True}),
    "jpeg cmyk": ("JPEG", "CMYK", {}),
    "mpo": ("MPO", "RGB", {"save_all": True, "append_images": [IMAGE.transpose(Image.Transpose.ROTATE_180)]}),
    "tiff jpeg": ("TIFF", "RGB", {"compression": "jpeg"}),
    "tiff cmyk": ("TIFF", "CMYK", {}),
    "webp": ("WEBP", "RGB", {}),
    "avif": ("AVIF", "RGB", {}),
    "jpeg 2000 lossy": ("JPEG2000", "RGB", {"irreversible": True, "quality_layers": [20]}),
    "dds dxt1": ("DDS", "RGBA", {"pixel_format": "DXT1"}),
    "icns": ("ICNS", "RGBA", {}),
}


@cache
def whole_files() -> dict[str, bytes]:
    """One small file of every format and coding that Pillow can write and shotdex reads."""
    made = {}
    for name, (kind, mode, options) in (LOSSLESS | LOSSY).items():
        image = IMAGE.resize((32, 32)) if kind == "ICNS" else IMAGE
        made[name] = encoded(image.convert(mode), kind, **options)
    return made | {
        "png interlaced": png(rows=ADAM7, interlace=1),
        "psd": psd(),
        "psd runs": psd(runs=True),
        "bmp runs": bmp_runs(),
        "xpm": xpm(),
        "sun": sun(),
        "ppm plain": plain_pnm(),
        "tiff strips": tiff(),
        "jpeg scans apart": jpeg_scans_apart(),
    }


# Writers for what Pillow does not write, or not wrongly enough.

PIXELS = np.asarray(IMAGE)
HEIGHT, WIDTH = PIXELS.shape[:2]
ROWS = b"".join(b"\0" + row.tobytes() for row in PIXELS)


def adam7() -> bytes:
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    return b"".join(b"\0" + row.tobytes() for x, y, right, down in passes for row in PIXELS[y::down, x::right])


ADAM7 = adam7()


def chunk(kind: bytes, body: bytes, add: int = 0) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", (zlib.crc32(kind + body) + add) & 0xFFFFFFFF)


def png(
    size: tuple[int, int] = (WIDTH, HEIGHT),
    colour: int = 2,
    depth: int = 8,
    rows: bytes = ROWS,
    before: bytes = b"",
    after: bytes = b"",
    interlace: int = 0,
    crc: int = 0,
) -> bytes:
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlace)
    data = chunk(b"IDAT", zlib.compress(rows), crc)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + data + after + chunk(b"IEND", b"")


def apng(frames: int) -> bytes:
    control = struct.pack(">IIIIHHBB", WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0)
    more = [
        chunk(b"fcTL", struct.pack(">I", 2 * i + 1) + control)
        + chunk(b"fdAT", struct.pack(">I", 2 * i + 2) + b"\x78\x9c\x03\0\0\0\0\x01")
        for i in range(frames - 1)
    ]
    return png(
        before=chunk(b"acTL", struct.pack(">II", frames, 0)) + chunk(b"fcTL", struct.pack(">I", 0) + control),
        after=b"".join(more),
    )


def packbits(row: bytes) -> bytes:
    return b"".join(bytes([len(row[i : i + 128]) - 1]) + row[i : i + 128] for i in range(0, len(row), 128))


def psd(size: tuple[int, int] = (WIDTH, HEIGHT), runs: bool = False, layers: bytes = b"") -> bytes:
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, size[1], size[0], 8, 3)
    sections = struct.pack(">III", 0, 0, len(layers)) + layers
    if not runs:
        return head + sections + b"\0\0" + PIXELS.transpose(2, 0, 1).tobytes()
    rows = [packbits(row.tobytes()) for row in PIXELS.transpose(2, 0, 1).reshape(-1, WIDTH)]
    return head + sections + b"\0\1" + b"".join(struct.pack(">H", len(row)) for row in rows) + b"".join(rows)


def bmp_runs(body: bytes | None = None, size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    """Eight bits a pixel in runs: row y is all of colour y."""
    if body is None:
        body = b"".join(bytes([WIDTH, y, 0, 0]) for y in range(HEIGHT)) + b"\0\1"
    palette = b"".join(bytes([i, 255 - i, i // 2, 0]) for i in range(256))
    start = 54 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, *size, 1, 8, 1, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + palette + body


def bmp(width: int, height: int, bits: int = 24) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 14 + 40 + 64, 0, 0, 54) + header + b"\x55" * 64


def xpm(size: tuple[int, int] = (4, 3), rows: tuple[str, ...] = ("abab", "baba", "aabb")) -> bytes:
    lines = [f'"{size[0]} {size[1]} 2 1",', '"a c #FF0000",', '"b c #0000FF",', *(f'"{row}",' for row in rows), "};"]
    return ("/* XPM */\nstatic char *x[] = {\n" + "\n".join(lines) + "\n").encode()


def sun() -> bytes:
    return (
        struct.pack(">IIIIIIII", 0x59A66A95, WIDTH, HEIGHT, 24, 3 * WIDTH * HEIGHT, 1, 0, 0)
        + PIXELS[:, :, ::-1].tobytes()
    )


def plain_pnm(end: str = "\n") -> bytes:
    return (f"P3 {WIDTH} {HEIGHT} 255\n" + " ".join(str(value) for value in PIXELS.reshape(-1)) + end).encode()


def tiff(rows: int = 10, **changes: Any) -> bytes:
    """An uncompressed TIFF of several strips; `changes` are tags as t278=value, a list for several, None for none."""
    parts = [PIXELS[y : y + rows].tobytes() for y in range(0, HEIGHT, rows)]
    offsets = [8 + sum(map(len, parts[:i])) for i in range(len(parts))]
    tags: dict[int, Any] = {256: WIDTH, 257: HEIGHT, 258: [8, 8, 8], 259: 1, 262: 2, 273: offsets, 277: 3, 278: rows}
    tags[279] = [len(part) for part in parts]
    tags |= {int(name[1:]): value for name, value in changes.items() if name[1:].isdigit()}
    body = b"".join(parts)
    listed = {tag: value for tag, value in sorted(tags.items()) if value is not None}
    start = 8 + len(body)
    after, entries = start + 2 + 12 * len(listed) + 4, []
    extra = b""
    for tag, value in listed.items():
        values = value if isinstance(value, list) else [value]
        count = changes.get("count", {}).get(tag, len(values))
        if len(values) == 1:
            entries.append(struct.pack("<HHII", tag, 4, count, values[0]))
        else:
            entries.append(struct.pack("<HHII", tag, 4, count, after + len(extra)))
            extra += struct.pack(f"<{len(values)}I", *values)
    following = changes.get("following", 0)
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", following and start)
    return b"II*\0" + struct.pack("<I", start) + body + directory + extra


def gif(codes: bytes | None = None, frame: tuple[int, int, int, int] = (0, 0, 4, 4), frames: int = 1) -> bytes:
    """Four by four pixels of two colours; `codes` are the bytes of its data."""
    image = b"," + struct.pack("<HHHH", *frame) + b"\0\2"
    data = _gif_codes([i % 2 for i in range(frame[2] * frame[3])]) if codes is None else codes
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    palette = bytes([200, 0, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0])
    return b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x81, 0, 0) + palette + (image + blocks + b"\0") * frames + b";"


def _gif_codes(values: list[int], end: bool = True) -> bytes:
    # A clear code before every other pixel keeps the codes at three bits.
    codes = [code for i, value in enumerate(values) for code in ([4, value] if i % 2 == 0 else [value])]
    bits = sum(code << 3 * i for i, code in enumerate([*codes, *([5] if end else [])]))
    return bits.to_bytes(3 * (len(codes) + 1) // 8 + 1, "little")


def sixteen_bit_png() -> tuple[bytes, Image.Image]:
    values = (PIXELS.astype(np.uint16) * 257).astype(">u2")
    return png(depth=16, rows=b"".join(b"\0" + row.tobytes() for row in values)), IMAGE


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def after_soi(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def jpeg_scans_apart() -> bytes:
    """A baseline JPEG with a scan for each component, from a progressive one's parts: all blocks grey."""
    data = whole_jpeg(subsampling=0)
    tables = data[: data.index(b"\xff\xda")]
    # Difference of 0 (00) and end of block (1010 in luminance, 00 in chrominance), for each of 5 x 4 blocks.
    light, colour = int("001010" * 20, 2).to_bytes(15, "big"), int("0000" * 20, 2).to_bytes(10, "big")
    scans = [
        segment(0xDA, bytes([1, i + 1, 0x00 if i == 0 else 0x11, 0, 63, 0])) + (light if i == 0 else colour)
        for i in range(3)
    ]
    return tables + b"".join(scans) + b"\xff\xd9"


def whole_jpeg(**options: Any) -> bytes:
    return encoded(IMAGE, "JPEG", quality=90, **options)


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    at = next(i for i in range(len(jpeg)) if jpeg[i] == 0xFF and jpeg[i + 1] in (0xC0, 0xC2))
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def icon(within: bytes, size: int = 0) -> bytes:
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, size or len(within), 22) + within


def icns(within: bytes) -> bytes:
    return b"icns" + struct.pack(">I", 16 + len(within)) + b"ic08" + struct.pack(">I", 8 + len(within)) + within


HUGE = png(size=(100_000, 100_000), rows=b"\0" * 100)
BOMB = zlib.compress(b"\0" * 50_000_000, 9)


def in_folder_order(image: Image.Image, turn: int) -> tuple[bytes, Image.Image]:
    exif = Image.Exif()
    exif[0x0112] = turn
    return encoded(image, "PNG", exif=exif), image


def _whole() -> dict[str, Kind]:
    made = {}
    for name, data in whole_files().items():
        kind, mode, _ = LOSSLESS.get(name, ("", "", {}))
        made[f"whole {name}"] = shown(data, IMAGE.convert(mode) if kind and mode != "P" else None)
    return made


def _odd_modes() -> dict[str, Kind]:
    over_white = Image.new("RGBA", IMAGE.size, (0, 0, 0, 0))
    half = Image.fromarray(np.dstack([PIXELS, np.full((HEIGHT, WIDTH), 255, np.uint8)]))
    half.paste((9, 9, 9, 0), (0, 0, 20, 30))
    expected = IMAGE.copy()
    expected.paste((255, 255, 255), (0, 0, 20, 30))
    grey = IMAGE.convert("L")
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    unit = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    data16, image16 = sixteen_bit_png()
    lab = ImageCms.profileToProfile(
        IMAGE, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    hidden = png(before=chunk(b"tRNS", struct.pack(">HHH", *(int(v) for v in PIXELS[0, 0]))))
    without = PIXELS.copy()
    without[(PIXELS[0, 0] == PIXELS).all(axis=2)] = 255
    made = {
        "all transparent": Kind(encoded(over_white, "PNG"), np.full((HEIGHT, WIDTH, 3), 255, np.uint8)),
        "half transparent png": Kind(encoded(half, "PNG"), rgb(expected)),
        "half transparent tiff": Kind(encoded(half, "TIFF"), rgb(expected)),
        "half transparent webp": Kind(encoded(half, "WEBP", lossless=True, exact=True), rgb(expected)),
        "grey with alpha": Kind(encoded(grey.convert("LA"), "PNG"), rgb(grey)),
        "a hidden colour": Kind(hidden, without),
        "16 bit png": Kind(encoded(wide, "PNG"), rgb(grey)),
        "16 bit tiff": Kind(encoded(wide, "TIFF"), rgb(grey)),
        "16 bit pgm": Kind(encoded(wide, "PPM"), rgb(grey)),
        "16 bit colour png": Kind(data16, rgb(image16)),
        "float tiff": Kind(encoded(unit, "TIFF"), rgb(grey)),
        "integer tiff": Kind(encoded(grey.convert("I"), "TIFF"), rgb(grey)),
        "lab tiff": shown(encoded(lab, "TIFF")),
        "ycbcr tiff": shown(encoded(IMAGE.convert("YCbCr"), "TIFF")),
        "cmyk with adobe's inversion": shown(whole_files()["jpeg cmyk"]),
    }
    return made


def _odd_but_whole() -> dict[str, Kind]:
    jpeg, flat = whole_jpeg(), encoded(Image.new("RGB", (64, 48), (1, 1, 1)), "JPEG")
    with Image.open(io.BytesIO(jpeg)) as opened:
        image = opened.convert("RGB")
    thumbnail = encoded(IMAGE.resize((8, 6)), "JPEG")
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("#c80000", "#00c800", "#0000c8")]
    many: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    odd_exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40
    loop = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    huge_count = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIII", 0x10E, 2, 0xFFFFFFFF, 8, 0)
    two = whole_files()["mpo"]
    return {
        "jpeg with junk after it": either(jpeg + b"junk\xff\xd8\xff" * 99, image),
        "jpeg with zeros after it": either(jpeg + b"\0" * 9999, image),
        "jpeg with thumbnails inside": either(after_soi(jpeg, segment(0xE1, b"Exif\0\0" + thumbnail * 3)), image),
        "jpeg with broken exif": either(after_soi(jpeg, segment(0xE1, odd_exif)), image),
        "jpeg with an exif loop": either(after_soi(jpeg, segment(0xE1, loop)), image),
        "jpeg with an exif of four billion values": either(after_soi(jpeg, segment(0xE1, huge_count)), image),
        "jpeg with a full exif block": either(after_soi(jpeg, segment(0xE1, b"Exif\0\0" + b"M" * 65000)), image),
        "jpeg with a thousand comments": either(after_soi(jpeg, segment(0xFE, b"x" * 50) * 1000), image),
        "jpeg with fill bytes": either(jpeg[:2] + b"\xff" * 50 + jpeg[2:], image, *BROKEN),
        "jpeg with a broken mpo index": either(after_soi(jpeg, segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff")), image),
        "jpeg with a broken colour profile": either(
            after_soi(jpeg, segment(0xE2, b"ICC_PROFILE\0\1\1" + b"\xff" * 100)), image
        ),
        "jpeg all of the first mark's colour": shown(flat),
        "mpo without its second image": either(two[: two.index(b"\xff\xd9") + 2], shown_image(two)),
        "first of a gif": Kind(encoded(frames[0], "GIF", **many), rgb(frames[0])),
        "first of an apng": Kind(encoded(frames[0], "PNG", **many), rgb(frames[0])),
        "first of a webp": Kind(encoded(frames[0], "WEBP", lossless=True, **many), rgb(frames[0])),
        "first of an avif": shown(encoded(frames[0], "AVIF", **many)),
        "first page of a tiff": Kind(encoded(frames[0], "TIFF", **many), rgb(frames[0])),
        "apng of 20,000 frames": either(apng(20_000), IMAGE),
        "gif of 20,000 frames": shown(gif(frames=20_000)),
        "gif with a frame smaller than its canvas": shown(gif(frame=(1, 1, 2, 2))),
        "grey png all of the first mark": shown(encoded(Image.new("L", (9, 9), 1), "PNG")),
        "grey png all of the second mark": shown(encoded(Image.new("L", (9, 9), 254), "PNG")),
        "gif all of one colour": shown(encoded(Image.new("P", (9, 9), 1), "GIF")),
        "white bits": shown(encoded(Image.new("1", (9, 9), 1), "PNG")),
        "one pixel": shown(encoded(Image.new("RGB", (1, 1), "red"), "PNG")),
        "a long line": shown(encoded(Image.new("RGB", (20_000, 1), "red"), "PNG")),
        "png with junk after it": either(png() + b"junk" * 99, IMAGE),
        "png without its end": either(png()[:-12], IMAGE),
        "png with an unknown chunk": either(png(before=chunk(b"abCd", b"?")), IMAGE),
        "png with a thousand empty data chunks": either(png(before=chunk(b"IDAT", b"") * 1000), IMAGE),
        "png with a broken exif": either(png(before=chunk(b"eXIf", b"\xff" * 50)), IMAGE, *BROKEN),
        "png with a wrong sum on a text": either(png(before=chunk(b"tEXt", b"a\0b", 1)), IMAGE, *BROKEN),
        "bmp upside down": Kind(bmp_runs(size=(WIDTH, HEIGHT)), shown(bmp_runs()).pixels),
        "ico with a png": Kind(icon(png()), PIXELS),
        "icns with a png": Kind(icns(png(size=(256, 256), rows=(b"\0" + b"\x07\x08\x09" * 256) * 256)), _flat()),
        "plain pnm without a last newline": either(plain_pnm(end=""), IMAGE, Reason.TRUNCATED),
        "tiff that is its own next page": either(tiff(following=1), IMAGE),
        "psd with layers that are not there": either(psd(layers=struct.pack(">Ih", 400, 20)), IMAGE, *BROKEN),
        "interlaced png": Kind(png(rows=ADAM7, interlace=1), PIXELS),
    }


def shown_image(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as opened:
        return opened.convert("RGB")


def _flat() -> np.ndarray:
    return np.broadcast_to(np.array([7, 8, 9], np.uint8), (256, 256, 3))


def _partial() -> dict[str, Kind]:
    """Files that lenient decoders show a part of."""
    made = {}
    jpeg, progressive = whole_jpeg(), whole_jpeg(progressive=True)
    for share in (30, 60, 90, 99):
        scan = jpeg.rindex(b"\xff\xda")
        cut = scan + 14 + (len(jpeg) - scan - 16) * share // 100
        made[f"jpeg cut at {share} % and ended"] = refused(jpeg[:cut].rstrip(b"\xff") + b"\xff\xd9", *BROKEN)
        made[f"jpeg zeroed from {share} %"] = refused(jpeg[:cut] + b"\0" * (len(jpeg) - cut), *BROKEN)
        at = len(progressive) * share // 100
        made[f"progressive jpeg cut at {share} % and ended"] = refused(
            progressive[:at].rstrip(b"\xff") + b"\xff\xd9", *BROKEN
        )
    restarts = whole_files()["jpeg restarts"]
    mark = restarts.index(b"\xff\xd1")
    after = restarts.index(b"\xff\xd2")
    last = progressive.rindex(b"\xff\xda")
    short = zlib.compress(ROWS[: len(ROWS) * 2 // 3])
    tiles = whole_files()["jpeg 2000 tiles"]
    fax = whole_files()["tiff fax"]
    lossy = whole_files()["webp"]
    half = len(lossy) // 2
    return made | {
        "jpeg without its end marker": refused(jpeg[:-2], Reason.TRUNCATED),
        "jpeg without a restart": refused(restarts[:mark] + restarts[after:], *BROKEN),
        "jpeg with restarts in the wrong order": refused(restarts.replace(b"\xff\xd1", b"\xff\xd5"), *BROKEN),
        "progressive jpeg without its last scan": refused(progressive[:last] + b"\xff\xd9", *BROKEN),
        "jpeg header and end only": refused(jpeg[: jpeg.index(b"\xff\xda")] + b"\xff\xd9", *BROKEN),
        "jpeg with one of three scans": refused(_first_scan(jpeg_scans_apart()), *BROKEN),
        "png with too few rows": refused(png(rows=ROWS[: len(ROWS) * 2 // 3]), *BROKEN),
        "png with one row too few": refused(png(rows=ROWS[: -len(ROWS) // HEIGHT]), *BROKEN),
        "interlaced png without its last pass": refused(png(rows=ADAM7[: len(ADAM7) // 2], interlace=1), *BROKEN),
        "interlaced png without its last row": refused(png(rows=ADAM7[: -1 - 3 * WIDTH], interlace=1), *BROKEN),
        "grey png with too few rows": refused(png(colour=0, rows=(b"\0" + b"\1" * WIDTH) * 20), *BROKEN),
        "png with no rows": refused(png(rows=b""), *BROKEN),
        "png with a wrong sum": refused(png(crc=1), Reason.CORRUPT),
        "png with its data cut but its chunks whole": refused(
            png().replace(chunk(b"IDAT", zlib.compress(ROWS)), chunk(b"IDAT", short[:-9])), *BROKEN
        ),
        "gif that ends early": refused(gif(_gif_codes([0, 1] * 4)), *BROKEN),
        "gif that ends after its first row, interlaced": refused(
            gif(_gif_codes([0, 1] * 2)).replace(b"\4\0\4\0\0\2", b"\4\0\4\0\x40\2"), *BROKEN
        ),
        "gif without an end code": either(gif(_gif_codes([0, 1] * 8, end=False)), shown_image(gif()), *BROKEN),
        "gif without pixels": refused(gif(b"\x2c"), *BROKEN),
        "bmp runs that end early": refused(bmp_runs(b"\x28\1\0\0" * 9 + b"\0\1"), *BROKEN),
        "tiff with two of three strips": refused(tiff(t273=[8, 1208]), *BROKEN),
        "tiff with a strip at 0": refused(tiff(t273=[8, 0, 2408]), *BROKEN),
        "tiff with a strip past the end": refused(tiff(t273=[8, 1208, 999_999]), *BROKEN),
        "fax tiff zeroed": refused(_without_fax_end(fax), *BROKEN),
        "jpeg 2000 without its last tile": refused(_without_last_tile(tiles), *BROKEN),
        "jpeg 2000 cut and ended": refused(tiles[: len(tiles) * 2 // 3] + b"\xff\xd9", *BROKEN),
        "webp cut with its lengths repaired": refused(
            lossy[:4] + struct.pack("<I", half - 8) + lossy[8:16] + struct.pack("<I", half - 20) + lossy[20:half],
            *BROKEN,
        ),
        "pcx palette without its palette": refused(whole_files()["pcx palette"][:-769], *BROKEN),
        "plain pnm with a digit less": refused(plain_pnm(end="")[:-1], *BROKEN),
        "xpm with a row less": refused(xpm(rows=("abab", "baba")), *BROKEN),
        "psd runs with a channel less": refused(psd(runs=True)[: -WIDTH * HEIGHT], *BROKEN),
        "ico with a cut png": refused(icon(png()[:-200]), *BROKEN),
        "ico that is longer than the file": either(icon(png(), 99_999), IMAGE, *BROKEN),
        "icns cut before its largest": refused(whole_files()["icns"][:400], *BROKEN),
    }


def _first_scan(data: bytes) -> bytes:
    return data[: data.index(b"\xff\xda", data.index(b"\xff\xda") + 1)] + b"\xff\xd9"


def _without_fax_end(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as opened:
        tags: Any = opened.tag_v2  # type: ignore[attr-defined]
        start, count = tags[273][0], tags[279][0]
    middle = start + count // 2
    return data[:middle] + b"\0" * (start + count - middle) + data[start + count :]


def _without_last_tile(data: bytes) -> bytes:
    return data[: data.rindex(b"\xff\x90\0\x0a")] + b"\xff\xd9"


def _too_large() -> dict[str, Kind]:
    jpeg = whole_jpeg()
    long_text = b"a\0\0" + BOMB
    return {
        "png of 100,000 x 100,000": refused(HUGE, *LARGE),
        "png of 2,147,483,647 squared": refused(png(size=(2**31 - 1, 2**31 - 1)), *LARGE, *NONE),
        "png of a line of 200 million": refused(png(size=(200_000_000, 1)), *LARGE),
        "jpeg of 65,500 squared": refused(with_size(jpeg, 65_500, 65_500), *LARGE),
        "progressive jpeg of 65,500 squared": refused(with_size(whole_jpeg(progressive=True), 65_500, 65_500), *LARGE),
        "gif with a frame of 65,535 squared": refused(gif(b"\x2c", (0, 0, 65_535, 65_535)), *LARGE),
        "gif with a frame far off its canvas": refused(gif(b"\x2c", (60_000, 60_000, 9, 9)), *LARGE),
        "bmp of 100,000 squared": refused(bmp(100_000, 100_000), *LARGE),
        "bmp of minus 2,147,483,648": refused(bmp(2**31 - 1, -(2**31)), *LARGE, *BROKEN),
        "tiff of 100,000 squared": refused(tiff(t256=100_000, t257=100_000), *LARGE),
        "tiff with tiles of 100,000 squared": refused(
            tiff(t322=100_000, t323=100_000, t324=[8], t325=[100], t273=None, t279=None), *LARGE, *BROKEN
        ),
        "tiff with tags of four billion values": refused(tiff(count={273: 0xFFFFFFFF}), *LARGE, *NONE, *BROKEN),
        "ico with a huge png": refused(icon(HUGE), *LARGE),
        "icns with a huge png": refused(icns(HUGE), *LARGE),
        "psd of 30,000 squared": refused(psd(size=(30_000, 30_000)), *LARGE),
        "ppm of 10 to the 9 squared": refused(b"P6 1000000000 1000000000 255\n" + b"x" * 99, *LARGE),
        "ppm with endless digits": refused(b"P6 " + b"9" * 100_000, *NONE, *BROKEN, *LARGE),
        "xpm of 100,000 squared": refused(xpm(size=(100_000, 100_000)), *LARGE),
        "xbm of 100,000 squared": refused(
            b"#define a_width 100000\n#define a_height 100000\nstatic char a_bits[] = {\n0x00};\n", *LARGE
        ),
        "tga of 65,535 squared": refused(struct.pack("<BBB5xHHHHBB", 0, 0, 2, 0, 0, 65_535, 65_535, 24, 0), *LARGE),
        "qoi of 4 billion": refused(b"qoif" + struct.pack(">IIBB", 2**31, 2**31, 3, 0) + b"\0" * 20, *LARGE),
        "dds of 4 billion": refused(
            b"DDS " + struct.pack("<IIII", 124, 0x1007, 2**31, 2**31) + whole_files()["dds"][20:], *LARGE, *BROKEN
        ),
        "jpeg 2000 of 4 billion": refused(_large_j2k(), *LARGE, *BROKEN, Reason.NOT_AN_IMAGE),
        "sgi of 65,535 squared": refused(
            struct.pack(">HBBHHHH", 474, 0, 1, 3, 65_535, 65_535, 3) + b"\0" * 600, *LARGE
        ),
        "pcx of 65,535 squared": refused(
            whole_files()["pcx"][:4] + struct.pack("<HHHH", 0, 0, 65_534, 65_534) + whole_files()["pcx"][12:], *LARGE
        ),
        "png with a bomb of a profile": refused(png(before=chunk(b"iCCP", long_text)), *LARGE, *BROKEN),
        "png with a bomb of a text": either(png(before=chunk(b"zTXt", long_text)), IMAGE, *LARGE, *BROKEN),
        "png with a bomb of an international text": either(
            png(before=chunk(b"iTXt", b"a\0\1\0\0\0" + BOMB)), IMAGE, *LARGE, *BROKEN
        ),
        "png with a bomb of pixels": either(png(rows=ROWS + b"\0" * 50_000_000), IMAGE, *LARGE, *BROKEN),
    }


def _large_j2k() -> bytes:
    data = bytearray(whole_files()["jpeg 2000 codestream"])
    at = data.index(b"\xff\x51")
    data[at + 6 : at + 14] = struct.pack(">II", 2**32 - 1, 2**32 - 1)
    return bytes(data)


def _no_images() -> dict[str, Kind]:
    html = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) (w) file closefile\nshowpage\n%%EOF\n"
    beginnings = {name: data[:12] for name, data in whole_files().items()}
    made = {f"only the beginning of {name}": refused(data, *NONE, *BROKEN) for name, data in beginnings.items()}
    return made | {
        "nothing": refused(b"", Reason.EMPTY),
        "one zero byte": refused(b"\0", *NONE),
        "100,000 zero bytes": refused(b"\0" * 100_000, *NONE),
        "100,000 high bytes": refused(b"\xff" * 100_000, *NONE),
        "a web page": refused(html, Reason.NOT_AN_IMAGE),
        "a long text": refused(b"The quick brown fox. " * 5000, Reason.NOT_AN_IMAGE),
        "a text in UTF-16": refused("Kein Bild, nur Text.\n".encode("utf-16") * 50, Reason.NOT_AN_IMAGE),
        "svg": refused(svg, Reason.UNSUPPORTED),
        "svg, packed": refused(gzip.compress(svg), Reason.NOT_AN_IMAGE),
        "eps": refused(eps, Reason.UNSUPPORTED),
        "eps with a preview": refused(b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, len(eps)) + b"\0" * 18 + eps, *NONE),
        "wmf": refused(b"\xd7\xcd\xc6\x9a" + b"\0" * 60, Reason.UNSUPPORTED),
        "emf": refused(struct.pack("<II", 1, 88) + b"\0" * 32 + b" EMF" + b"\0" * 60, Reason.UNSUPPORTED),
        "pdf": refused(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n", *NONE),
        "gzip": refused(gzip.compress(png()), *NONE),
        "zip": refused(b"PK\3\4" + b"\0" * 60, *NONE),
        "mp4": refused(struct.pack(">I", 24) + b"ftypisom" + b"\0\0\2\0isomiso2" + b"\0" * 90, *NONE),
        "heic": refused(struct.pack(">I", 24) + b"ftypheic" + b"\0\0\0\0mif1heic" + b"\0" * 90, *NONE),
        "mpeg": refused(b"\0\0\1\xba" + b"\x44" * 90, *NONE),
        "jpeg xl": refused(b"\xff\x0a" + b"\x12" * 90, Reason.UNSUPPORTED),
        "fits": refused(b"SIMPLE  =                    T" + b" " * 2850, Reason.UNSUPPORTED),
        "hdf5": refused(b"\x89HDF\r\n\x1a\n" + b"\0" * 90, *NONE),
        "grib": refused(b"GRIB" + b"\0\0\0\1" + b"\0" * 90, *NONE),
        "bufr": refused(b"BUFR" + b"\0" * 90, *NONE),
        "cursor": refused(icon(png()).replace(b"\0\0\1\0", b"\0\0\2\0", 1), *NONE),
        "elf": refused(b"\x7fELF\2\1\1" + b"\0" * 90, *NONE),
        "font": refused(b"\0\1\0\0\0\x0f\0\x80" + b"\0" * 90, *NONE),
        "a pickle": refused(b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\5posix\x94.", *NONE),
        "json": refused(b'{"a": [1, 2, 3]}' * 50, *NONE),
        "a git lfs pointer": refused(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", *NONE
        ),
    }


def _contradictions() -> dict[str, Kind]:
    jpeg, bad = whole_jpeg(), [*NONE, *BROKEN, *LARGE]
    frame = jpeg.index(b"\xff\xc0")
    return {
        "png of no width": refused(png(size=(0, HEIGHT)), *bad),
        "png of an odd colour type": refused(png(colour=5), *bad),
        "png of seven bits": refused(png(depth=7), *bad),
        "png palette without its palette": refused(png(colour=3), *bad),
        "png whose data is no deflate": refused(png().replace(zlib.compress(ROWS)[:8], b"\0" * 8), *bad),
        "jpeg of no height": refused(with_size(jpeg, 40, 0), *bad),
        "jpeg of twelve bits": refused(jpeg[: frame + 4] + b"\x0c" + jpeg[frame + 5 :], *bad),
        "jpeg of arithmetic coding": refused(jpeg.replace(b"\xff\xc0", b"\xff\xc9"), *bad),
        "jpeg that says it is lossless": refused(jpeg.replace(b"\xff\xc0", b"\xff\xc3"), *bad),
        "jpeg of two frames": refused(jpeg[:frame] + jpeg[frame : frame + 19] * 2 + jpeg[frame + 19 :], *bad),
        "jpeg without tables": refused(jpeg.replace(b"\xff\xc4", b"\xff\xfe").replace(b"\xff\xdb", b"\xff\xfe"), *bad),
        "jpeg with a segment of no length": refused(after_soi(jpeg, b"\xff\xe1\0\0"), *bad),
        "jpeg with a segment past the end": refused(after_soi(jpeg, b"\xff\xe1\xff\xff"), *bad),
        "jpeg taller than its data": refused(with_size(jpeg, 40, 200), *bad),
        "jpeg wider than its data": refused(with_size(jpeg, 200, 30), *bad),
        "gif of no size": refused(gif().replace(struct.pack("<HH", 4, 4), b"\0\0\0\0"), *bad),
        "gif without a palette": refused(gif().replace(b"\x81\0\0", b"\1\0\0", 1), *bad),
        "bmp of no bits": refused(bmp(4, 4, 0), *bad),
        "bmp of odd bits": refused(bmp(4, 4, 13), *bad),
        "tiff without a size": refused(tiff(t256=None), *bad),
        "tiff of no width": refused(tiff(t256=0), *bad),
        "tiff of unknown coding": refused(tiff(t259=34_712), *bad),
        "tiff of old-style jpeg": refused(tiff(t259=6), *bad),
        "tiff whose lzw is none": refused(tiff(t259=5), *bad),
        "tiff whose deflate is none": refused(tiff(t259=8), *bad),
        "tiff with strips of no rows": either(tiff(t278=0), IMAGE, *bad),
        "tiff whose directory is far away": refused(b"II*\0\xf0\xff\xff\xff" + b"\0" * 99, *bad),
        "tiff whose directory is itself": refused(b"II*\0\0\0\0\0" + b"\0" * 99, *bad),
        "tiff with 99 samples": refused(tiff(t277=99), *bad),
        "webp of no size": refused(
            b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8L" + struct.pack("<I", 5) + b"\x2f\0\0\0\0", *bad
        ),
        "webp of an unknown chunk": refused(b"RIFF" + struct.pack("<I", 22) + b"WEBPVP9 " + b"\0" * 20, *bad),
        "avif of nothing": refused(struct.pack(">I", 28) + b"ftypavif" + b"\0\0\0\0avifmif1miaf" + b"\0" * 20, *bad),
        "ico without entries": refused(struct.pack("<HHH", 0, 1, 0), *bad),
        "ico of 65,535 entries": refused(struct.pack("<HHH", 0, 1, 65_535) + b"\0" * 99, *bad),
        "ico within an ico": refused(icon(icon(png())), *bad),
        "icns that holds itself": refused(icns(icns(png())), *bad),
        "psd of no channels": refused(psd().replace(b"\0\3", b"\0\0", 1), *bad),
        "ppm of no size": refused(b"P6 0 0 255\n", *bad),
        "ppm of a wrong number": refused(b"P3 2 2 255\n1 2 3 4 5 6 7 8 9 10 11 999\n", *bad),
        "ppm of words": refused(b"P3 2 2 255\na b c d e f g h i j k l\n", *bad),
        "xpm of a colour that is none": refused(xpm().replace(b"#0000FF", b"banana!"), *bad),
        "xpm of a letter that is none": refused(xpm(rows=("abab", "cccc", "aabb")), *bad),
        "xbm of words": refused(b"#define a_width 8\n#define a_height 1\nstatic char a_bits[] = {\nxyz};\n", *bad),
    }


@cache
def kinds() -> dict[str, Kind]:
    """Every kind by its name."""
    parts = (_whole(), _odd_modes(), _odd_but_whole(), _partial(), _too_large(), _no_images(), _contradictions())
    made: dict[str, Kind] = {}
    for part in parts:
        assert not made.keys() & part.keys()
        made |= part
    return made


@dataclass(frozen=True)
class Mutation:
    """A damaged file; `of` is the kind that it was, `cut` tells that nothing was done but to cut its end off."""

    name: str
    data: bytes
    of: str
    cut: bool


def mutations(count: int, seed: int) -> Iterator[Mutation]:
    """Yield `count` damaged files, the same for the same seed."""
    rng = np.random.default_rng(seed)
    names = list(whole_files())
    for i in range(count):
        name = names[i % len(names)]
        way = ("cut", "flip", "zero", "splice", "head")[i // len(names) % 5]
        other = whole_files()[names[int(rng.integers(len(names)))]]
        data = _damaged(rng, way, whole_files()[name], other)
        yield Mutation(f"{i:06d} {way} {name}", data, name, way == "cut")


def _damaged(rng: np.random.Generator, way: str, whole: bytes, other: bytes) -> bytes:
    data, at = bytearray(whole), int(rng.integers(len(whole)))
    if way == "cut":
        return whole[:at]
    if way == "zero":
        data[at:] = bytes(len(whole) - at)
    elif way == "splice":
        length = int(rng.integers(1, 200))
        start = int(rng.integers(len(other)))
        data[at : at + int(rng.integers(0, 200))] = other[start : start + length]
    else:
        reach = len(whole) if way == "flip" else min(150, len(whole))
        for place in rng.integers(0, reach, int(rng.integers(1, 7))):
            data[place] = int(rng.integers(256))
    return bytes(data)


def main() -> None:
    folder, count, seed = Path(sys.argv[1]), *(int(word) for word in (*sys.argv[2:], "0", "0")[:2])
    folder.mkdir(parents=True, exist_ok=True)
    files = [
        *((name, kind.data) for name, kind in kinds().items()),
        *((m.name, m.data) for m in mutations(count, seed)),
    ]
    for i, (name, data) in enumerate(files):
        plain = "".join(letter if letter.isalnum() else "-" for letter in name)
        (folder / f"{i:06d}-{plain}.jpg").write_bytes(data)
    print(f"{len(files)} files in {folder}")


if __name__ == "__main__":
    main()
