"""What a device can take: memory and what is said when it is full, freed memory kept, and images a batch.

The batch has a fixed size on a CPU; on a GPU it is found by trying.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from shotdex.store.errors import ModelUnavailable

if TYPE_CHECKING:
    from .image_tower import ImageTower

_SAID = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
"""What stands in the error of a CPU, of Apple's GPUs, and of CUDA's libraries, whose types do not say so."""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether a device had no room."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _SAID)


def no_room(device: Any, what: str) -> ModelUnavailable:
    """Return the error for a device on which there is no room for something."""
    return ModelUnavailable(
        f"the memory of the device {device} has no room for {what}",
        "quit other programs that use it, or run on the processor: --device cpu",
    )


@contextmanager
def needing_room(device: Any, what: str) -> Iterator[None]:
    """Do something that a device may have no room for.

    Raises:
        ModelUnavailable: it has none.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise no_room(device, what) from error


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3

KEPT = 1 << 30
"""Bytes of free memory that may stay with this process."""

LARGEST = (256 << 20, 32 << 20)
"""Bytes of the largest block that is kept; older versions of glibc refuse more than the second number."""


def keep_freed_memory() -> bool:
    """Have the allocator of this process keep what is freed; return False where it cannot (no glibc)."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return any(mallopt(M_MMAP_THRESHOLD, size) == 1 for size in LARGEST) and mallopt(M_TRIM_THRESHOLD, KEPT) == 1


ON_CPU = 32
"""No size between 16 and 64 was faster by more than the noise on two cores; a smaller one has more overhead."""

FIRST, LAST = 32, 1024
"""The first and the largest size that is tried on a GPU."""

GAIN = 1.05
"""A size twice as large must be so much faster, or it only takes memory."""


def best_batch(tower: ImageTower) -> int:
    """Return the number of images a batch for a tower on its device."""
    if tower.device.type != "cuda":
        return ON_CPU
    from .precision import probe_of

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
