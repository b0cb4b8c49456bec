"""How many images a batch should have: a fixed number on a CPU, on a GPU found by trying."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from .device_memory import is_out_of_memory
from .image_tower import ImageTower
from .precision import probe_of

ON_CPU = 32
"""No size between 16 and 64 was faster by more than the noise on two cores; a smaller one has more to do beside it."""

FIRST, LAST = 32, 1024
"""The first and the largest size that is tried on a GPU."""

GAIN = 1.05
"""A size twice as large must be so much faster, or it only takes memory."""


def best_batch(tower: ImageTower) -> int:
    """Return the number of images a batch for a tower on its device."""
    if tower.device.type != "cuda":
        return ON_CPU
    one = probe_of(tower.preprocessing, None, 1)[0]
    batch = [{name: np.array(value) for name, value in one.items()} for _ in range(FIRST)]

    def rate(size: int) -> float:
        images = [batch[i % FIRST] for i in range(size)]
        tower.launch(images)()
        started = time.perf_counter()
        fetches = [tower.launch(images) for _ in range(2)]
        for fetch in fetches:
            fetch()
        return 2 * size / (time.perf_counter() - started)

    try:
        return doubled(rate)
    finally:
        tower.forget_sizes()  # the largest that was tried is most often not the one that is taken


def doubled(rate: Callable[[int], float], first: int = FIRST, last: int = LAST) -> int:
    """Return the last size, doubled from `first` to `last`, that was worth it.

    `rate` gives images a second. It may raise RuntimeError where memory ends: the size before is then the answer, and
    where that is the first one, half of it, and so on; batches that are too large later are cut by the tower.
    """
    size, best = first, _rate_or_none(rate, first)
    while best is None and size > 1:
        size //= 2
        best = _rate_or_none(rate, size)
    if best is None or size < first:
        return size
    while 2 * size <= last:
        found = _rate_or_none(rate, 2 * size)
        if found is None or found < GAIN * best:
            break
        size, best = 2 * size, found
    return size


def _rate_or_none(rate: Callable[[int], float], size: int) -> float | None:
    try:
        return rate(size)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None
