"""What the numbers of an image mean: which is black, which is white, and whether its alpha is one.

A file that states its range is shown by it: PNG and PNM always do, TIFF by BitsPerSample and Max- or SMaxSampleValue.
Where a TIFF has no more than 12 bits in 16 or 32, its largest number tells. A range that nothing tells is a failure,
never an image that is black, white or negative here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImagePalette

from shotdex.store.errors import ImageFailure
from shotdex.store.types import Reason

Values = np.ndarray

_BAND_PIXELS = 1 << 20
"""Pixels turned at once, so that the numbers on the way take some megabytes whatever the image's size."""

_NEGATIVE, _BRIGHT = 0.05, 0.02
"""How far numbers may be below black, as a share of white, and which share of float numbers may be above white."""

_FLOAT_WHITES, _INTEGER_WHITES = (1.0, 255.0, 65535.0), (255.0, 4095.0, 65535.0)

_BITS, _COMPRESSION, _PHOTOMETRIC, _PLANAR, _COLOUR_MAP, _EXTRA, _FORMAT = 258, 259, 262, 284, 320, 338, 339
_MAX, _SMIN, _SMAX, _SUBSAMPLING = 281, 340, 341, 530
_PHOTOMETRICS = {
    **{0: "white is zero", 1: "black is zero", 2: "RGB", 3: "palette", 4: "mask", 5: "CMYK", 6: "YCbCr", 8: "CIELAB"},
    **{9: "ICCLAB", 10: "ITULAB", 32803: "colour filter array", 34892: "linear raw"},
}
_FORMATS = {1: "unsigned", 2: "signed", 3: "float", 5: "complex", 6: "complex"}
_NATIVE = {
    **{"I;16": "I;16N", "I;16B": "I;16N", "I;16S": "I;16NS", "I;16BS": "I;16NS"},
    **{"I;32S": "I;32NS", "I;32BS": "I;32NS", "F;32F": "F;32NF", "F;32BF": "F;32NF"},
}


@dataclass(frozen=True, slots=True)
class Samples:
    """How to show an image whose mode alone does not tell.

    `black` and `white` are the numbers shown so; a white of None is found by the largest number. `full` is the largest
    that the type holds, `stored` the type where Pillow's is another one. Alpha that is zero everywhere is an
    `alpha_mistake` in formats whose writers leave it so. `high_bytes` are what is left of 16-bit colours.
    """

    white: float | None = None
    black: float = 0.0
    full: float = 65535.0
    stored: str | None = None
    white_is_zero: bool = False
    alpha_mistake: bool = False
    high_bytes: bool = False


def samples_of(opened: Image.Image, data: bytes) -> Samples:
    """Return what the numbers in an opened file mean, and set right what Pillow makes of its header.

    Raises:
        ImageFailure: they are of a kind that would be shown otherwise than they are meant.
    """
    if opened.format == "TIFF":
        return _tiff(opened, opened.tag_v2)  # type: ignore[attr-defined]
    if opened.format == "PNG":
        _png_transparency(opened, bits=data[24])
    return Samples(
        white=65535.0 if opened.format in ("PNG", "PPM", "JPEG2000") and opened.mode != "F" else None,
        alpha_mistake=opened.format in ("BMP", "DIB", "ICO", "TGA"),
    )


def _png_transparency(opened: Image.Image, bits: int) -> None:
    """Turn the transparent colour from the file's bits, which Pillow leaves it in, to those of the pixels."""
    colour = opened.info.get("transparency")
    if bits == 16 and isinstance(colour, tuple):
        raise ImageFailure(Reason.UNSUPPORTED, "PNG with 16-bit colours of which one is transparent")
    if bits in (2, 4) and opened.mode == "L" and isinstance(colour, int):
        opened.info["transparency"] = colour * 255 // ((1 << bits) - 1)


def _tiff(opened: Image.Image, tags: Mapping[int, Any]) -> Samples:
    depths, compressed = _all(tags.get(_BITS, 1)), tags.get(_COMPRESSION, 1) != 1
    if (why := _misread(tags, depths, compressed)) is not None:
        raise ImageFailure(Reason.UNSUPPORTED, f"{tiff_kind(tags)}, {why}, is not supported")
    if compressed:
        _read_native(opened)
    if opened.mode in ("P", "PA") and max(_all(tags[_COLOUR_MAP])) < 256:
        # Some writers put 8-bit colours where 16-bit ones belong.
        opened.palette = ImagePalette.raw("RGB;L", bytes(tags[_COLOUR_MAP]))
    kind, depth = {1: "u", 2: "i", 3: "f"}.get(_all(tags.get(_FORMAT, 1))[0], "u"), depths[0]
    stated, least = tags.get(_SMAX, tags.get(_MAX)), tags.get(_SMIN, 0)
    white = _stated(kind, stated)
    high_bytes = opened.mode in ("RGB", "RGBA") and depth == 16
    if high_bytes and white is not None and white < 32768:
        raise _dim_colours(white)
    if depth == 12:
        white = 4095.0
    wide = opened.mode in ("I", "F") or opened.mode.startswith("I;16")
    signed_bytes = kind == "i" and depth == 8
    return Samples(
        white=127.0 if signed_bytes else white,
        black=float(_all(least)[0]) if kind == "f" and white is not None else 0.0,
        full=float(2 ** (depth - (kind == "i")) - 1),
        stored="i1" if signed_bytes else "u4" if opened.mode == "I" and kind == "u" else None,
        white_is_zero=wide and tags.get(_PHOTOMETRIC) == 0,
        alpha_mistake=_EXTRA not in tags,
        high_bytes=high_bytes,
    )


def _misread(tags: Mapping[int, Any], depths: tuple[int, ...], compressed: bool) -> str | None:
    """Return what of a file Pillow opens and reads wrongly."""
    extra = _all(tags.get(_EXTRA, ()))
    if tags.get(_PLANAR, 1) == 2 and len(depths) > 1:
        if not compressed and (depths[0] != 8 or 1 in extra):
            return "in planes and not compressed"
        if (any(extra) and len(depths) > 4) or (not extra and len(depths) == 4 and tags.get(_PHOTOMETRIC) == 2):
            return "in planes"
    if tags.get(_PHOTOMETRIC) == 6 and not compressed and len(depths) == 3:
        size = 3 * tags[256] * tags[257]
        if _all(tags.get(_SUBSAMPLING, (2, 2))) != (1, 1) and sum(_all(tags.get(279, size))) < size:
            return "subsampled and not compressed"
    return None


def _read_native(opened: Any) -> None:
    """Let numbers that libtiff unpacks be read in the machine's byte order, in which libtiff returns them."""
    tile = opened.tile[0]
    raw, *rest = tile.args
    opened.tile[0] = tile._replace(args=(_NATIVE.get(raw, raw), *rest))
    if opened.mode == "I;16B":
        opened._mode = "I;16"


def _stated(kind: str, largest: Any) -> float | None:
    """Return the white that a file states; for integers the end of the bits that its largest number needs."""
    if largest is None or not (top := float(_all(largest)[0])) > 0:
        return None
    return top if kind == "f" else float(2 ** max(8, int(top).bit_length()) - 1)


def _all(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def tiff_kind(tags: Mapping[int, Any]) -> str:
    """Return what a TIFF's samples are, in words."""
    depths, photometric = _all(tags.get(_BITS, 1)), tags.get(_PHOTOMETRIC)
    bits = str(depths[0]) if len(set(depths)) == 1 else ", ".join(map(str, depths[:8]))
    count, kind = tags.get(277, len(depths)), _FORMATS.get(_all(tags.get(_FORMAT, 1))[0], "unknown")
    colours = _PHOTOMETRICS.get(photometric, f"photometric interpretation {photometric}")  # type: ignore[arg-type]
    return f"TIFF with {count} {kind} sample{'s' * (count != 1)} of {bits} bits a pixel ({colours})"


def to_rgb(image: Image.Image, samples: Samples = Samples()) -> Image.Image:
    """Return an RGB image that shares nothing with the given one.

    Raises:
        ImageFailure: it has no range that is known, or nothing but transparent pixels.
    """
    if samples.high_bytes and max(high for _, high in image.getextrema()[:3]) < 16:  # type: ignore[misc]
        raise _dim_colours(4095)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode in ("I", "F") or image.mode.startswith("I;16") or samples.stored is not None:
        return _grey(image, samples)
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"), samples)
    return image.convert("RGB")


def _dim_colours(largest: float) -> ImageFailure:
    return ImageFailure(Reason.UNSUPPORTED, f"16-bit colours that end at {largest:.0f}: only the lower bits are used")


def _over_white(rgba: Image.Image, samples: Samples) -> Image.Image:
    alpha: Any = rgba.getchannel("A").getextrema()
    colours = rgba.convert("RGB")
    if alpha == (0, 0) and any(low != high for low, high in colours.getextrema()):  # type: ignore[misc]
        if samples.alpha_mistake:
            return colours
        raise ImageFailure(Reason.UNSUPPORTED, "every pixel is transparent; without its alpha channel it has an image")
    over = Image.new("RGBA", rgba.size, "white")
    over.alpha_composite(rgba)
    return over.convert("RGB")


def _bands(image: Image.Image, samples: Samples) -> Iterator[tuple[int, Values]]:
    """Yield (top row, values) of some rows at a time, as the numbers that the file holds."""
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        values = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        yield top, (values if samples.stored is None else values.view(samples.stored)).astype(np.float64)


def _grey(image: Image.Image, samples: Samples) -> Image.Image:
    white = _white(image, samples)
    scale = 255.0 / (white - samples.black)
    transparent = image.info.get("transparency")
    out = Image.new("RGB", image.size)
    for top, values in _bands(image, samples):
        shown = (np.nan_to_num(values, nan=samples.black, posinf=white, neginf=samples.black) - samples.black) * scale
        grey = np.clip(np.rint(255.0 - shown if samples.white_is_zero else shown), 0, 255).astype(np.uint8)
        if isinstance(transparent, int):
            grey[values == transparent] = 255
        out.paste(Image.fromarray(grey).convert("RGB"), (0, top))
    return out


def _white(image: Image.Image, samples: Samples) -> float:
    """Return the number that is shown white."""
    largest, smallest, finite, above = -np.inf, np.inf, 0, dict.fromkeys(_FLOAT_WHITES, 0)
    for _, values in _bands(image, samples):
        numbers = values[np.isfinite(values)]
        finite += numbers.size
        largest = max(largest, float(numbers.max(initial=-np.inf)))
        smallest = min(smallest, float(numbers.min(initial=np.inf)))
        for white in _FLOAT_WHITES if image.mode == "F" else ():
            above[white] += int((numbers > white).sum())
    if not finite:
        raise ImageFailure(Reason.UNSUPPORTED, "it has no finite numbers")
    if samples.white is not None and largest <= samples.white > samples.black:
        white = samples.white
    elif image.mode == "F":
        fitting = (white for white in _FLOAT_WHITES if above[white] <= _BRIGHT * finite)
        if (white := next(fitting, 0.0)) == 0:
            raise ImageFailure(Reason.UNSUPPORTED, f"float numbers up to {largest:g}, and white is not specified")
    else:
        fitting = (white for white in _INTEGER_WHITES if largest <= white <= samples.full)
        white = next(fitting, min(samples.full, 2.0 ** int(max(largest, 1)).bit_length() - 1))
    if smallest < samples.black - _NEGATIVE * (white - samples.black):
        raise ImageFailure(Reason.UNSUPPORTED, f"numbers from {smallest:g} to {largest:g}, and black is not specified")
    return white
