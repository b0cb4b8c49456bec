"""Vectors and images made for the tests of the probe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from shotdex.analysis.probe.problem import Problem, unit_rows


def blobs(count, classes=3, dim=8, spread=0.4, seed=0):
    """Return unit vectors in overlapping groups that all lie to one side, as CLIP's do, and their classes."""
    rng = np.random.default_rng(seed)
    codes = np.arange(count, dtype=np.int64) % classes
    centres = np.random.default_rng(99).normal(size=(classes, dim)) * 0.4 + 1.0
    return unit_rows(centres[codes] + rng.normal(scale=spread, size=(count, dim))), codes


def problem(train=90, test=60, classes=3, seed=0, **shape):
    """Return a problem whose methods make some mistakes but not many."""
    return Problem(
        *blobs(train, classes, seed=seed, **shape), *blobs(test, classes, seed=seed + 1000, **shape), classes
    )


def save_shade(path: Path, colour: str, seed: int, noise: int = 90) -> Path:
    """Save an image of four noisy quarters of a colour; with `noise` its class is not always told by its vector."""
    rng = np.random.default_rng(seed)
    wanted = np.array(ImageColor.getrgb(colour)) + rng.integers(-noise, noise + 1, (2, 2, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(wanted.clip(0, 255).astype(np.uint8)).resize((8, 8), Image.Resampling.NEAREST).save(path)
    return path
