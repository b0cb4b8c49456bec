"""Images made on the spot."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def noise(seed: int, width: int = 24, height: int = 20) -> Image.Image:
    """An image of smooth noise: every one differs, and small losses do not change it much."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def gradient(width: int = 40, height: int = 30) -> Image.Image:
    """An image in which no two parts are alike, so that a missing part shows."""
    y, x = np.mgrid[0:height, 0:width]
    values = np.stack([40 + x * 5 % 200, 40 + y * 7 % 200, 40 + (x + 2 * y) * 3 % 200], axis=-1)
    return Image.fromarray(values.astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def save_noise(path: Path, seed: int, **size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise(seed, **size).save(path)
    return path


def save_colour(path: Path, colour: str, size: tuple[int, int] = (10, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path
