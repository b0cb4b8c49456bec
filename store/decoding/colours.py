"""From any mode that a file can have to RGB: the rule is in `pictures.py`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

Values = np.ndarray

_BAND_PIXELS = 1 << 20
"""Pixels turned at once, so that the numbers on the way take some megabytes whatever the picture's size."""


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an RGB picture that shares nothing with the given one."""
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
    """Return the largest number that there is in a picture of one band, or 0; NaN counts as 0."""
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
