"""From bytes to an upright RGB image, the same everywhere: to index, to search with, to draw.

The rule: the first frame; EXIF orientation applied; palette and alpha over white; 16-bit scaled to 8, not clipped;
32-bit integers as 16-bit where one is over 255; float in [0, 1] times 255, other floats clipped to 0..255; CMYK, LAB
and others as Pillow converts. HEIC is read if the package pillow-heif is installed.
An image is whole or it is a failure: no partly decoded one gets through. Content, not the name, says what a file is.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from shotdex.store.errors import ImageFailure
from shotdex.store.types import PIXEL_LIMIT, Limits, Reason

from .formats import extensions, formats_for, why_not
from .integrity import CHECKS, check_tiff, load_whole, strict_pillow
from .jpeg import load_jpeg

__all__ = ["PIXEL_LIMIT", "decode", "extensions", "looks_like_image", "quiet_pillow"]


Values = np.ndarray

_BAND_PIXELS = 1 << 20
"""Pixels turned at once, so that the numbers on the way take some megabytes whatever the image's size."""


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an RGB image that shares nothing with the given one."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I;16"):
        return _in_bands(image, lambda values: (values.astype(np.uint32) + 128) // 257)
    if image.mode == "I":
        wide = _largest(image) > 255
        return _in_bands(image, lambda values: values / 257.0 if wide else values)
    if image.mode == "F":
        unit = _largest(image) <= 1.0
        return _in_bands(image, lambda values: np.nan_to_num(values, nan=0.0) * (255.0 if unit else 1.0))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        over = Image.new("RGBA", rgba.size, "white")
        over.alpha_composite(rgba)
        return over.convert("RGB")
    return image.convert("RGB")


def _bands(image: Image.Image) -> list[Image.Image]:
    rows = max(1, _BAND_PIXELS // image.width)
    return [image.crop((0, top, image.width, min(top + rows, image.height))) for top in range(0, image.height, rows)]


def _largest(image: Image.Image) -> float:
    """Return the largest number that there is in an image of one band, or 0; NaN counts as 0."""
    return max(float(np.nan_to_num(_values(band), nan=0.0).max(initial=0)) for band in _bands(image))


def _values(image: Image.Image) -> Values:
    return np.asarray(image).astype(np.float64)


def _in_bands(image: Image.Image, scaled: Callable[[Values], Values]) -> Image.Image:
    out = Image.new("RGB", image.size)
    top = 0
    for band in _bands(image):
        values = np.asarray(band) if image.mode.startswith("I;16") else _values(band)
        grey = np.clip(np.rint(scaled(values)), 0, 255).astype(np.uint8)
        out.paste(Image.fromarray(grey).convert("RGB"), (0, top))
        top += band.height
    return out


LIMITS = Limits()


def looks_like_image(name: str) -> bool:
    """Tell by the extension, whatever its case."""
    return PurePosixPath(name).suffix.lower() in extensions()


def quiet_pillow() -> None:
    """Silence Pillow's warnings about odd images: what matters of them comes back as a failure."""
    warnings.filterwarnings("ignore", module=r"PIL(\..*)?$")


def decode(data: bytes, limits: Limits = LIMITS) -> Image.Image:
    """Return an upright, whole RGB image. The time limit is not kept to here: see `indexer/decode_pool.py`.

    One at a time: Pillow's own limits are set meanwhile, for the whole process.

    Raises:
        ImageFailure: with the reason. Decoders raise errors of many types; none gets past this.
    """
    if not data:
        raise ImageFailure(Reason.EMPTY, "0 bytes")
    if limits.bytes is not None and len(data) > limits.bytes:
        raise ImageFailure(Reason.TOO_LARGE, f"{len(data):,} bytes")
    try:
        with strict_pillow(limits):
            return to_rgb(_upright(_whole(data, limits)))
    except ImageFailure:
        raise
    except Image.DecompressionBombError as error:
        raise ImageFailure(Reason.TOO_LARGE, str(error)) from error
    except (MemoryError, RecursionError) as error:
        raise ImageFailure(Reason.TOO_LARGE, type(error).__name__) from error
    except Exception as error:
        raise ImageFailure(_reason(error), f"{type(error).__name__}: {error}") from error


def _whole(data: bytes, limits: Limits) -> Image.Image:
    if data.startswith(b"\xff\xd8\xff"):
        return load_jpeg(data, lambda size: _check_size(size, limits))
    opened = _open(data, limits.all_formats)
    _check_size(opened.size, limits)
    if opened.format == "TIFF":
        check_tiff(opened, data, limits.all_formats)
    elif (check := CHECKS.get(opened.format or "")) is not None:
        check(data)
    return load_whole(lambda: _open(data, limits.all_formats), opened)


def _open(data: bytes, all_formats: bool) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=formats_for(data, all_formats))
    except UnidentifiedImageError as error:
        raise ImageFailure(*why_not(data, all_formats)) from error


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if limits.pixels is not None and width * height > limits.pixels:
        raise ImageFailure(Reason.TOO_LARGE, f"{width} x {height} pixels")
    if width < 1 or height < 1:
        raise ImageFailure(Reason.CORRUPT, f"{width} x {height} pixels")


def _upright(loaded: Image.Image) -> Image.Image:
    # After loading: where getexif has failed, a second load can give a partial image.
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
    if "too large" in text or "insufficient memory" in text:
        return Reason.TOO_LARGE
    if isinstance(error, NotImplementedError) or ("decoder" in text and "not available" in text):
        return Reason.UNSUPPORTED
    return Reason.CORRUPT
