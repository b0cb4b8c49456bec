"""Memory of a device: what it says when it is full, what a user is told, and freed memory kept for the next layer."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shotdex.store.errors import ModelUnavailable

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
        "end what else uses it, or take the processor: --device cpu",
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
    """Tell the allocator of this process to keep what is freed; False where it cannot be told (no glibc)."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return any(mallopt(M_MMAP_THRESHOLD, size) == 1 for size in LARGEST) and mallopt(M_TRIM_THRESHOLD, KEPT) == 1
