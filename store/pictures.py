"""From bytes to an upright RGB picture, the same everywhere: to index, to ask with, to draw.

The rule: the first frame; EXIF orientation applied; palette and alpha over white; 16-bit scaled to 8, not clipped;
32-bit integers as 16-bit where one is over 255; float in [0, 1] times 255, other floats clipped to 0..255; CMYK, LAB
and others as Pillow converts.
A picture is whole or it is refused: no partly decoded one gets through.
"""

from __future__ import annotations

import io
import struct
import warnings
from functools import cache
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from . import addresses
from .errors import UnreadableImage
from .words import Reason

PIXEL_LIMIT = 178_956_970
"""Pixels above which a picture is refused: Pillow's own bound for a decompression bomb."""

# Pillow only recognises these, and cannot draw them without a handler that it does not have.
_STUBS = frozenset({"BUFR", "GRIB", "HDF5", "MPEG"})


@cache
def extensions() -> frozenset[str]:
    """Return the file extensions, lower-case with their dot, of every format that Pillow can read here."""
    known = Image.registered_extensions()
    return frozenset(ext for ext, kind in known.items() if kind in Image.OPEN and kind not in _STUBS)


def looks_like_picture(name: str) -> bool:
    """Tell by the extension, whatever its case."""
    return PurePosixPath(name).suffix.lower() in extensions()


def quiet_pillow() -> None:
    """Silence Pillow's warnings about odd pictures: what matters of them comes back as a Rejection."""
    warnings.filterwarnings("ignore", module=r"PIL(\..*)?$")


class PictureRefused(Exception):
    """A picture that cannot be used; `reason` is from the fixed list. Never leaves shotdex: it becomes a Rejection."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


def decode(data: bytes) -> Image.Image:
    """Return an upright, whole RGB picture.

    Raises:
        PictureRefused: with the reason. Decoders raise errors of many types; none gets past this.
    """
    if not data:
        raise PictureRefused(Reason.EMPTY, "0 bytes")
    try:
        with Image.open(io.BytesIO(data)) as opened:
            _check_palette(opened, data)
            return _to_rgb(_load(opened))
    except PictureRefused:
        raise
    except UnidentifiedImageError as error:
        raise PictureRefused(Reason.NOT_AN_IMAGE, "no decoder recognises it") from error
    except Image.DecompressionBombError as error:
        raise PictureRefused(Reason.TOO_LARGE, str(error)) from error
    except (MemoryError, RecursionError) as error:
        raise PictureRefused(Reason.TOO_LARGE, type(error).__name__) from error
    except Exception as error:
        raise PictureRefused(_reason(error), f"{type(error).__name__}: {error}") from error


def _load(opened: Image.Image) -> Image.Image:
    width, height = opened.size
    if width * height > PIXEL_LIMIT:
        raise PictureRefused(Reason.TOO_LARGE, f"{width} x {height} pixels")
    if width < 1 or height < 1:
        raise PictureRefused(Reason.CORRUPT, f"{width} x {height} pixels")
    # Before anything reads the EXIF block: after getexif has failed, a second load can give a partial picture.
    opened.load()
    try:
        return ImageOps.exif_transpose(opened)
    except Exception:  # a broken EXIF block says nothing about the pixels, which are whole by now
        return opened


def _check_palette(opened: Image.Image, data: bytes) -> None:
    # A PCX has its palette at the end; cut there, Pillow takes the numbers for grey values: another, whole picture.
    one_plane_of_bytes = data[3] == 8 and data[65] == 1 if opened.format == "PCX" else False
    if one_plane_of_bytes and (len(data) < 769 or data[-769] != 12):
        raise PictureRefused(Reason.TRUNCATED, "the palette at the end is missing")


def _reason(error: Exception) -> Reason:
    text = str(error).lower()
    if (
        "truncated" in text
        or "premature" in text
        or "not enough" in text
        or isinstance(error, (EOFError, struct.error))
    ):
        return Reason.TRUNCATED
    if isinstance(error, NotImplementedError) or ("decoder" in text and "not available" in text):
        return Reason.UNSUPPORTED
    return Reason.CORRUPT


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I;16"):
        return _eight_bit(np.asarray(image, dtype=np.float64) / 257.0)
    if image.mode == "I":
        values = np.asarray(image, dtype=np.float64)
        return _eight_bit(values / 257.0 if values.max(initial=0) > 255 else values)
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0)
        return _eight_bit(values * 255.0 if values.max(initial=0) <= 1.0 else values)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _eight_bit(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)).convert("RGB")


def open_picture(address: str) -> Image.Image:
    """Return the upright RGB picture at an address.

    Raises:
        UnreadableImage: it is gone or cannot be decoded.
    """
    try:
        return decode(addresses.read_bytes(address))
    except PictureRefused as error:
        raise UnreadableImage(
            f"{address} cannot be used: {error}", "give a picture that opens in an image viewer"
        ) from error
    except Exception as error:
        raise UnreadableImage(f"{address} cannot be read: {error}", "check that the file is still there") from error
