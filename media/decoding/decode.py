"""From bytes to an upright RGB image, the same everywhere: to index, to search with, to draw.

The rule: the first frame; EXIF orientation applied; palette and alpha over white; numbers of more than 8 bits scaled by
the range that they have (see `samples.py`); CMYK, LAB and others as Pillow converts. HEIC is read if the package
pillow-heif is installed.
An image is whole or it is a failure: no partly decoded one gets through. Content, not the name, says what a file is.
"""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import PurePosixPath

from PIL import Image, ImageOps, UnidentifiedImageError

from shotdex.store.errors import ImageFailure
from shotdex.store.types import PIXEL_LIMIT, Limits, Reason, over

from .formats import extensions, formats_for, why_not
from .integrity import CHECKS, check_tiff, load_whole, strict_pillow
from .jpeg import load_jpeg
from .samples import Samples, samples_of, to_rgb

__all__ = ["PIXEL_LIMIT", "decode", "extensions", "looks_like_image", "quiet_pillow"]


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
        raise ImageFailure(Reason.TOO_LARGE, over(len(data), limits.bytes, "bytes"))
    try:
        with strict_pillow(limits):
            loaded, samples = _whole(data, limits)
            return to_rgb(_upright(loaded), samples)
    except ImageFailure:
        raise
    except Image.DecompressionBombError as error:
        many = str(error).partition(",")[0]  # what follows guesses at an attack
        raise ImageFailure(Reason.TOO_LARGE, f"{many}; --max-pixels 0 lifts the limit") from error
    except (MemoryError, RecursionError) as error:
        raise ImageFailure(Reason.TOO_LARGE, type(error).__name__) from error
    except Exception as error:
        raise ImageFailure(_reason(error), f"{type(error).__name__}: {error}") from error


def _whole(data: bytes, limits: Limits) -> tuple[Image.Image, Samples]:
    if data.startswith(b"\xff\xd8\xff"):
        return load_jpeg(data, lambda size: _check_size(size, limits)), Samples()
    opened = _open(data, limits.all_formats)
    _check_size(opened.size, limits)
    if opened.format == "TIFF":
        check_tiff(opened, data, limits.all_formats)
    elif (check := CHECKS.get(opened.format or "")) is not None:
        check(data)
    samples = samples_of(opened, data)

    def again() -> Image.Image:
        opened = _open(data, limits.all_formats)
        samples_of(opened, data)
        return opened

    return load_whole(again, opened), samples


def _open(data: bytes, all_formats: bool) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=formats_for(data, all_formats))
    except UnidentifiedImageError as error:
        raise ImageFailure(*why_not(data, all_formats)) from error


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if limits.pixels is not None and width * height > limits.pixels:
        many = over(width * height, limits.pixels, "pixels")
        raise ImageFailure(Reason.TOO_LARGE, f"{width} x {height}: {many}")
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
    if isinstance(error, NotImplementedError) or any(word in text for word in ("unsupported", "not available")):
        return Reason.UNSUPPORTED
    return Reason.CORRUPT
