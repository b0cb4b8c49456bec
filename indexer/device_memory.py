"""What a device says when its memory is full, and what a user is told of it."""

from __future__ import annotations

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
