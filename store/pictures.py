"""From bytes to an upright RGB picture, the same everywhere: to index, to ask with, to draw.

The rule: the first frame; EXIF orientation applied; palette and alpha over white; 16-bit scaled to 8, not clipped;
32-bit integers as 16-bit where one is over 255; float in [0, 1] times 255, other floats clipped to 0..255; CMYK, LAB
and others as Pillow converts. HEIC is read where the package pillow-heif is installed.
A picture is whole or it is refused: no partly decoded one gets through. What a file is, its content says, not its name.
"""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import PurePosixPath

from PIL import Image, ImageOps, UnidentifiedImageError

from .decoding.colours import to_rgb
from .decoding.loading import load_jpeg, load_whole, strict_pillow
from .decoding.nested import MARKS, nested_file
from .decoding.picture_formats import extensions, formats_for, why_not
from .decoding.refused import PictureRefused
from .decoding.whole import CHECKS, check_tiff
from .words import PIXEL_LIMIT, Limits, Reason

__all__ = [
    "PIXEL_LIMIT",
    "PictureRefused",
    "decode",
    "extensions",
    "looks_like_picture",
    "quiet_pillow",
]

LIMITS = Limits()


def looks_like_picture(name: str) -> bool:
    """Tell by the extension, whatever its case."""
    return PurePosixPath(name).suffix.lower() in extensions()


def quiet_pillow() -> None:
    """Silence Pillow's warnings about odd pictures: what matters of them comes back as a Rejection."""
    warnings.filterwarnings("ignore", module=r"PIL(\..*)?$")


def decode(data: bytes, limits: Limits = LIMITS) -> Image.Image:
    """Return an upright, whole RGB picture. The time limit is not kept to here: see `indexer/decoding.py`.

    One at a time: Pillow's own limits are set meanwhile, for the whole process.

    Raises:
        PictureRefused: with the reason. Decoders raise errors of many types; none gets past this.
    """
    if not data:
        raise PictureRefused(Reason.EMPTY, "0 bytes")
    if limits.bytes is not None and len(data) > limits.bytes:
        raise PictureRefused(Reason.TOO_LARGE, f"{len(data):,} bytes")
    try:
        with strict_pillow(limits):
            return to_rgb(_upright(_whole(data, limits)))
    except PictureRefused:
        raise
    except Image.DecompressionBombError as error:
        raise PictureRefused(Reason.TOO_LARGE, str(error)) from error
    except (MemoryError, RecursionError) as error:
        raise PictureRefused(Reason.TOO_LARGE, type(error).__name__) from error
    except Exception as error:
        raise PictureRefused(_reason(error), f"{type(error).__name__}: {error}") from error


def _whole(data: bytes, limits: Limits) -> Image.Image:
    if data.startswith(b"\xff\xd8\xff"):
        return load_jpeg(data, lambda size: _check_size(size, limits))
    if data.startswith(MARKS) and (within := nested_file(data)) is not None:
        return _whole(within, limits)
    opened = _open(data)
    _check_size(opened.size, limits)
    if opened.format == "TIFF":
        check_tiff(opened, data)
    elif (check := CHECKS.get(opened.format or "")) is not None:
        check(data)
    return load_whole(lambda: _open(data), opened)


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=formats_for(data))
    except UnidentifiedImageError as error:
        raise PictureRefused(*why_not(data)) from error


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if limits.pixels is not None and width * height > limits.pixels:
        raise PictureRefused(Reason.TOO_LARGE, f"{width} x {height} pixels")
    if width < 1 or height < 1:
        raise PictureRefused(Reason.CORRUPT, f"{width} x {height} pixels")


def _upright(loaded: Image.Image) -> Image.Image:
    # After loading: where getexif has failed, a second load can give a partial picture.
    try:
        return ImageOps.exif_transpose(loaded)
    except Exception:  # a broken EXIF block says nothing about the pixels, which are whole by now
        return loaded


def _reason(error: Exception) -> Reason:
    text = str(error).lower()
    if isinstance(error, (EOFError, struct.error)) or any(word in text for word in ("truncated", "premature")):
        return Reason.TRUNCATED
    if "not enough" in text:
        return Reason.TRUNCATED
    if "too large" in text:
        return Reason.TOO_LARGE
    if isinstance(error, NotImplementedError) or ("decoder" in text and "not available" in text):
        return Reason.UNSUPPORTED
    return Reason.CORRUPT
