"""What is tried before a precision is chosen, and how a model runs in another one beside itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from shotdex.indexer.protocols import Prepared
from shotdex.store.pictures import PictureRefused
from shotdex.store.words import Precision

from .image_tower import ImageTower
from .precision import FEW, Run
from .preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch


DRAWN = 16
"""Pictures that are drawn where a source gives none."""


def candidates(device: torch.device) -> list[Precision]:
    """Return the formats beside float32 that a device may be fast in."""
    import torch

    if device.type == "cuda":
        return [*([Precision.BF16] if torch.cuda.is_bf16_supported() else []), Precision.FP16]
    return [Precision.FP16] if device.type == "mps" else [Precision.BF16]


def probe_of(
    preprocessing: Preprocessing, samples: Callable[[], Sequence[Image.Image]] | None, count: int | None = None
) -> list[Prepared]:
    """Return the sample pictures, or where they are too few drawn ones, as the model takes them.

    With a `count` they are repeated, or cut, to so many.
    """
    probe = _usable(preprocessing, samples() if samples is not None else ())
    if len(probe) < FEW:
        probe = _usable(preprocessing, drawn_pictures())
    return probe if count is None else [probe[i % len(probe)] for i in range(count)]


def _usable(preprocessing: Preprocessing, images: Sequence[Image.Image]) -> list[Prepared]:
    prepared = []
    for image in images:
        try:
            prepared.append(preprocessing.prepare(image))
        except PictureRefused:
            continue
    return prepared


def vision_parts(model: Any) -> list[Any]:
    """Return the modules that pictures go through."""
    return [getattr(model, name) for name in ("vision_model", "visual_projection") if hasattr(model, name)]


def trial_runner(tower: ImageTower, dtype: torch.dtype) -> Run:
    """Return what runs a tower in a format: itself in its own, else a copy that goes when it is no longer asked."""
    if dtype == tower.dtype:
        return lambda batch: tower.begin(batch)()
    names = [name for name in ("vision_model", "visual_projection") if hasattr(tower.model, name)]
    parts = {name: copy.deepcopy(getattr(tower.model, name)).to(dtype=dtype) for name in names}
    other = replace(tower, model=SimpleNamespace(**parts), dtype=dtype)
    return lambda batch: other.begin(batch)()


def drawn_pictures(count: int = DRAWN) -> list[Image.Image]:
    """Return pictures of 320 x 240 pixels, of coarse and fine noise, each with its own colours."""
    return [_drawn(np.random.default_rng(seed)) for seed in range(count)]


def _drawn(rng: np.random.Generator) -> Image.Image:
    total = np.zeros((240, 320, 3))
    for width, weight in ((3, 0.6), (20, 0.3), (160, 0.1)):
        coarse = rng.integers(0, 256, (max(2, width * 3 // 4), width, 3), dtype=np.uint8)
        fine = Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)
        total += weight * np.asarray(fine, dtype=np.float64)
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))
