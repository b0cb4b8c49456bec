"""`--precision auto`: the fastest number format whose vectors are as good as float32's, tried on a few images."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from shotdex.store.errors import ImageFailure
from shotdex.store.types import ImageVectors, Precision, Vectors

from .device import is_out_of_memory
from .image_tower import ImageTower
from .preprocessing import Preprocessing
from .protocols import Prepared

if TYPE_CHECKING:
    import torch


CLOSE = 0.999
"""The lowest cosine with float32's vector that any image of the probe may have."""

WORTH = 1.1
"""How many times as fast as float32 a format must be: less is not worth it, and may be noise."""

SECONDS = 0.75
"""About how long one run of the probe may take in float32."""

FEW = 2
"""Images in the first try of a format, and at least in a probe."""

Run = Callable[[Sequence[Prepared]], ImageVectors]


@dataclass(frozen=True, slots=True)
class Trial:
    """One format compared with float32: how many times as `fast`, and the lowest `cosine` over a number of `images`.

    The cosine is the lower one of the two spaces. It is NaN where the format was too slow to be tried further, or gave
    vectors that are not finite; both are NaN where there was no memory to try it.
    """

    precision: Precision
    fast: float
    cosine: float = math.nan
    images: int = 0

    @property
    def is_usable(self) -> bool:
        """Whether it is faster, and as good."""
        return self.fast >= WORTH and self.cosine >= CLOSE

    def __str__(self) -> str:
        if math.isnan(self.fast):
            return f"there is no memory to try {self.precision.value}"
        speed = f"{self.precision.value} runs at {self.fast:.2g} times float32's speed here"
        if math.isnan(self.cosine) and not self.images:
            return speed
        return f"{speed}; lowest cosine with it {self.cosine:.5f} over {self.images} images"


@dataclass(frozen=True, slots=True)
class PrecisionChoice:
    """What was chosen, and what was tried for it."""

    precision: Precision
    trials: tuple[Trial, ...]

    def __str__(self) -> str:
        return f"precision {self.precision.value}: {'; '.join(map(str, self.trials)) or 'nothing else runs here'}"


def choose_precision(
    runner: Callable[[Precision], Run], candidates: Sequence[Precision], probe: Sequence[Prepared]
) -> PrecisionChoice:
    """Run the probe in float32 and in each candidate, and return the fastest that is usable, else float32.

    `runner` returns what runs the model in a precision; it is called with float32 first, then with one at a time. The
    probe is shortened to what takes `SECONDS`, and a candidate that is slower on the first images goes no further.
    """
    reference = runner(Precision.FLOAT32)
    first = _seconds(reference, probe[:FEW], warm=True)[0]
    count = max(FEW, min(len(probe), int(SECONDS / (first / FEW))))
    base, vectors = _seconds(reference, probe[:count])
    trials = tuple(_try_if_room(runner, precision, probe[:count], (first, base, vectors)) for precision in candidates)
    usable = [trial for trial in trials if trial.is_usable]
    fastest = max(usable, key=lambda trial: trial.fast).precision if usable else Precision.FLOAT32
    return PrecisionChoice(fastest, trials)


def _try_if_room(
    runner: Callable[[Precision], Run],
    precision: Precision,
    probe: Sequence[Prepared],
    reference: tuple[float, float, ImageVectors],
) -> Trial:
    """Try a format; where the memory has no room for a copy of the model in it, the trial says so."""
    try:
        return _try(runner(precision), precision, probe, reference)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    return Trial(precision, math.nan)


def _try(
    run: Run, precision: Precision, probe: Sequence[Prepared], reference: tuple[float, float, ImageVectors]
) -> Trial:
    first, base, vectors = reference
    seconds = _seconds(run, probe[:FEW], warm=True)[0]
    if seconds > first:
        return Trial(precision, first / seconds)
    seconds, found = _seconds(run, probe)
    pairs = ((vectors.joint, found.joint), (vectors.vision, found.vision))
    lowest = float(np.min([lowest_cosine(a, b) for a, b in pairs]))  # NaN where one is, which min() may lose
    return Trial(precision, base / seconds, lowest, len(probe))


def _seconds(run: Run, batch: Sequence[Prepared], warm: bool = False) -> tuple[float, ImageVectors]:
    """Return the shorter time of two runs, and the vectors; with `warm` one run more, not timed, goes ahead."""
    if warm:
        run(batch)
    taken = []
    for _ in range(2):
        started = time.perf_counter()
        vectors = run(batch)
        taken.append(time.perf_counter() - started)
    return min(taken), vectors


def lowest_cosine(first: Vectors, second: Vectors) -> float:
    """Return the lowest cosine between rows of the same number, in float64; NaN where a row is not finite."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / lengths).min())


DRAWN = 16
"""Images that are drawn where a source gives none."""


def candidates(device: torch.device) -> list[Precision]:
    """Return the formats other than float32 that a device may be fast in."""
    import torch

    if device.type == "cuda":
        return [*([Precision.BF16] if torch.cuda.is_bf16_supported() else []), Precision.FP16]
    return [Precision.FP16] if device.type == "mps" else [Precision.BF16]


def probe_of(
    preprocessing: Preprocessing, samples: Callable[[], Sequence[Image.Image]] | None, count: int | None = None
) -> list[Prepared]:
    """Return the sample images, or where they are too few drawn ones, as the model takes them.

    With a `count` they are repeated, or cut, to so many.
    """
    probe = _usable(preprocessing, samples() if samples is not None else ())
    if len(probe) < FEW:
        probe = _usable(preprocessing, drawn_images())
    return probe if count is None else [probe[i % len(probe)] for i in range(count)]


def _usable(preprocessing: Preprocessing, images: Sequence[Image.Image]) -> list[Prepared]:
    prepared = []
    for image in images:
        try:
            prepared.append(preprocessing.prepare(image))
        except ImageFailure:
            continue
    return prepared


def vision_parts(model: Any) -> dict[str, Any]:
    """Return the modules that images go through, by name."""
    from .towers import VISION

    return {name: getattr(model, name) for name in VISION if hasattr(model, name)}


def trial_runner(tower: ImageTower, dtype: torch.dtype) -> Run:
    """Return what runs a tower in a format: itself in its own, else a copy that is freed when it is no longer used."""
    if dtype == tower.dtype:
        return lambda batch: tower.begin(batch)()
    model = copy.copy(tower.model)
    # Only what images go through is copied; everything else is shared with the model.
    copied = {name: copy.deepcopy(part).to(dtype=dtype) for name, part in vision_parts(tower.model).items()}
    model._modules = tower.model._modules | copied
    other = replace(tower, model=model, dtype=dtype)
    return lambda batch: other.begin(batch)()


def drawn_images(count: int = DRAWN) -> list[Image.Image]:
    """Return images of 320 x 240 pixels, of coarse and fine noise, each with its own colours."""
    return [_drawn(np.random.default_rng(seed)) for seed in range(count)]


def _drawn(rng: np.random.Generator) -> Image.Image:
    total = np.zeros((240, 320, 3))
    for width, weight in ((3, 0.6), (20, 0.3), (160, 0.1)):
        coarse = rng.integers(0, 256, (max(2, width * 3 // 4), width, 3), dtype=np.uint8)
        fine = Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)
        total += weight * np.asarray(fine, dtype=np.float64)
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))
