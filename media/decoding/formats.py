"""Which formats are read, recognised by a file's content, and what to say of the others.

On the list are formats whose files can be checked for being whole. With `all_formats` Pillow decides, except for what
runs another program (EPS), what it only recognises (WMF, GRIB) and what cannot be checked at all (FLI).
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping
from functools import cache
from typing import Any

from shotdex.store.types import Reason

from .samples import tiff_kind

HEIF = "HEIF"

LISTED = {
    "JPEG": "JPEG",
    "PNG": "PNG",
    "GIF": "GIF",
    "BMP": "BMP",
    "PPM": "PPM, PGM and PBM",
    "TIFF": "TIFF",
    "WEBP": "WebP",
    "AVIF": "AVIF",
    "ICO": "ICO",
    HEIF: "HEIC (with pillow-heif)",
}
"""The formats that are read: Pillow's name and the name in texts. Pillow tries them in this order."""

LISTED_TEXT = ", ".join(LISTED.values())

_OPENED = tuple(name for name in LISTED if name not in ("JPEG", HEIF))  # JPEG: see `jpeg.py`
_OTHERS = (
    *("JPEG2000", "ICNS", "PCX", "DDS", "SGI", "QOI", "PSD", "IM", "MSP", "SUN", "XBM", "XPM", "DIB"),
    "TGA",  # without a mark at its beginning: other files may look like one, so it is tried last
)

# Pillow only recognises these, and cannot draw them without a handler that it does not have.
STUBS = frozenset({"BUFR", "GRIB", "HDF5", "MPEG"})

_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_KNOWN = {
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "EPS",
    b"\xd7\xcd\xc6\x9a": "WMF",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"SIMPLE  =": "FITS",
    b"8BPB": "PSB",
    b"II\xbc\x01": "JPEG XR",
    b"gimp xcf": "XCF",
    b"DSIM": "SPIDER",
    b"BLP": "BLP",
    b"FTEX": "FTEX",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"BPG\xfb": "BPG",
    b"FLIF": "FLIF",
    b"P7\n": "PAM",
    b"PF\n": "PFM with colours",
}


@cache
def heif_opens() -> bool:
    """Tell whether HEIC files can be read here, which takes the package pillow-heif; makes Pillow read them."""
    from PIL import Image

    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except Exception:  # not installed, or installed for another version
        return False
    return HEIF in Image.OPEN


def formats_for(data: bytes, all_formats: bool) -> tuple[str, ...]:
    """Return the formats to open a file as, by Pillow's names; JPEG is not among them (see `jpeg.py`)."""
    if is_heif(data):
        return (HEIF,) if heif_opens() else ()
    if not all_formats:
        return _OPENED
    return _OPENED + (_OTHERS[:-1] if _known_as(data) else _OTHERS)


@cache
def extensions() -> frozenset[str]:
    """Return the file extensions, lower-case with their dot, of every format that Pillow knows and could be an image.

    Some of them are always failures: a row that says so is better than a file that is passed over.
    """
    from PIL import Image

    known = Image.registered_extensions()
    readable = {ext for ext, kind in known.items() if kind in Image.OPEN and kind not in STUBS}
    return frozenset(readable | {".heic", ".heif", ".hif"})


def is_heif(data: bytes) -> bool:
    """Tell whether a file is HEIC or its kin, and not AVIF, which Pillow reads."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and b"avif" not in data[16 : _box_end(data)]


def _box_end(data: bytes) -> int:
    return min(int.from_bytes(data[:4], "big"), 512)


def not_listed(name: str) -> str:
    """Return the detail of a failure for a format that only `all_formats` reads."""
    return f"{name} is not one of the formats read by default ({LISTED_TEXT}); --all-formats reads it unchecked"


def why_not(data: bytes, all_formats: bool) -> tuple[Reason, str]:
    """Return reason and detail for a file that is in none of the formats it was opened as."""
    if is_heif(data):
        return Reason.UNSUPPORTED, "HEIC needs the package pillow-heif: pip install pillow-heif"
    name = _known_as(data)
    if name is not None:
        return Reason.UNSUPPORTED, f"{name} is not supported"
    if not data.strip(b"\0"):
        return Reason.NOT_AN_IMAGE, "nothing but zero bytes"
    if (tags := _tiff_tags(data)) is not None:
        return Reason.UNSUPPORTED, f"{tiff_kind(tags)} is not supported"
    if (kind := _begins_as(data, _OPENED + _OTHERS if all_formats else _OPENED)) is not None:
        return Reason.CORRUPT, f"it begins as {kind} and makes no sense as such"
    if not all_formats and (kind := _opens_as(data) or _begins_as(data, _OTHERS)) is not None:
        return Reason.UNSUPPORTED, not_listed(kind)
    return Reason.NOT_AN_IMAGE, "no decoder recognises it"


def _tiff_tags(data: bytes) -> Mapping[int, Any] | None:
    """Return the tags of a TIFF whose header makes sense, although Pillow cannot open it."""
    from PIL import TiffImagePlugin

    if data[:4] not in TiffImagePlugin.PREFIXES:
        return None
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if data[2] == 43 or data[3] == 43 else 8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        return tags if {256, 257, 258, 262} <= tags.keys() and tags.keys() & {273, 324} else None
    except Exception:
        return None


def _opens_as(data: bytes) -> str | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=_OTHERS) as opened:
            return opened.format
    except UnidentifiedImageError:
        return None


def _begins_as(data: bytes, kinds: tuple[str, ...]) -> str | None:
    from PIL import Image

    for kind in kinds:
        accepts = Image.OPEN[kind][1] if kind in Image.OPEN else None
        if accepts is not None and accepts(data[:16]):
            return kind
    return None


def _known_as(data: bytes) -> str | None:
    """Return the name of a kind of image that is not opened."""
    if data[40:44] == b" EMF":
        return "EMF"
    if data.startswith(b"\0\0\2\0") and any(data[4:6]):  # with no colours listed it is a TGA
        return "CUR"
    if b"<svg" in data[:1024].lower():
        return "SVG"
    return next((name for mark, name in _KNOWN.items() if data.startswith(mark)), None)
