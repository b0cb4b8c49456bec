"""Which kinds of file are opened as images, told by their content; what else a file is, for the refusal.

Left out, though Pillow reads them: what runs another program (EPS), what it can only name (WMF, PDF-like stubs), what
cannot be checked for being whole (FLI), and what nothing but one old program writes.
"""

from __future__ import annotations

import importlib
from functools import cache

from PIL import Image

from shotdex.store.types import Reason

HEIF = "HEIF"

# The usual ones first: Pillow imports its many plugins only when none of these is it.
_COMMON = ("PNG", "GIF", "BMP", "PPM")
_OTHERS = (
    *("TIFF", "WEBP", "AVIF", "JPEG2000", "ICO", "ICNS", "PCX", "DDS", "SGI", "QOI", "PSD", "IM", "MSP", "SUN"),
    *("XBM", "XPM", "DIB"),
)
_NAMELESS = ("TGA",)  # without a mark at their beginning, so that other files may look like them

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
}


@cache
def heif_opens() -> bool:
    """Tell whether HEIC files can be read here, which takes the package pillow-heif; makes Pillow read them."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except Exception:  # not installed, or installed for another version
        return False
    return HEIF in Image.OPEN


def formats_for(data: bytes) -> tuple[str, ...]:
    """Return the formats to open a file as, by Pillow's names; JPEG is not among them (see `loading.py`)."""
    if is_heif(data):
        return (HEIF,) if heif_opens() else ()
    return _COMMON + _OTHERS if _known_as(data) else _COMMON + _OTHERS + _NAMELESS


@cache
def extensions() -> frozenset[str]:
    """Return the file extensions, lower-case with their dot, of every format that Pillow knows and could be an image.

    Some of them are always refused: a row that says so is better than a file that is passed over.
    """
    known = Image.registered_extensions()
    readable = {ext for ext, kind in known.items() if kind in Image.OPEN and kind not in STUBS}
    return frozenset(readable | {".heic", ".heif", ".hif"})


def is_heif(data: bytes) -> bool:
    """Tell whether a file is HEIC or its kin, and not AVIF, which Pillow reads."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and b"avif" not in data[16 : _box_end(data)]


def _box_end(data: bytes) -> int:
    return min(int.from_bytes(data[:4], "big"), 512)


def why_not(data: bytes) -> tuple[Reason, str]:
    """Return reason and detail for a file that none of the opened formats is."""
    if is_heif(data):
        return Reason.UNSUPPORTED, "HEIC needs the package pillow-heif: pip install pillow-heif"
    name = _known_as(data)
    if name is not None:
        return Reason.UNSUPPORTED, f"{name} is not read"
    if not data.strip(b"\0"):
        return Reason.NOT_AN_IMAGE, "nothing but zero bytes"
    for kind in _COMMON + _OTHERS:
        accepts = Image.OPEN[kind][1] if kind in Image.OPEN else None
        if accepts is not None and accepts(data[:16]):
            return Reason.CORRUPT, f"it begins as {kind} and makes no sense as such"
    return Reason.NOT_AN_IMAGE, "no decoder recognises it"


def _known_as(data: bytes) -> str | None:
    """Return the name of a kind of image that is not opened."""
    if data[40:44] == b" EMF":
        return "EMF"
    if data.startswith(b"\0\0\2\0") and any(data[4:6]):  # with no colours listed there it is a TGA
        return "CUR"
    if b"<svg" in data[:1024].lower():
        return "SVG"
    return next((name for mark, name in _KNOWN.items() if data.startswith(mark)), None)
