"""What every stage shares: batches, a schedule in minutes, the running average of the weights, checkpoints."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(slots=True)
class Clock:
    """How much of the stage's minutes is spent; carries on from `before` seconds when a stage is resumed."""

    minutes: float
    before: float = 0.0
    start: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds of training so far, earlier sittings included."""
        return self.before + time.monotonic() - self.start

    @property
    def progress(self) -> float:
        """0 at the start, 1 when the minutes are spent."""
        return min(1.0, self.seconds / (60 * self.minutes))


def schedule(optimizer: torch.optim.Optimizer, peak: float, progress: float, warm: float = 0.04) -> None:
    """Set the learning rate: linear to `peak` over the first 4 % of the time, then half a cosine to zero."""
    rate = peak * min(progress / warm + 0.01, 0.5 + 0.5 * math.cos(math.pi * progress), 1.0)
    for group in optimizer.param_groups:
        group["lr"] = rate


def batches(count: int, size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield shuffled positions 0..count-1 in int64 batches of exactly `size`; the remainder sits this round out."""
    order = rng.permutation(count)
    for start in range(0, count - size + 1, size):
        yield torch.from_numpy(order[start : start + size])


class Average:
    """Exponential moving average of a module's weights and buffers (decay per step)."""

    def __init__(self, module: nn.Module, decay: float = 0.995) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, progress: float) -> None:
        """Move towards the module's present weights, faster while training is young."""
        weight = 1 - (self.decay if progress > 0.1 else 0.9)
        for key, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[key].lerp_(value, weight)
            else:
                self.state[key].copy_(value)


def save(path: Path, **state: object) -> None:
    """Write a checkpoint aside and rename it, so that a kill leaves the earlier one."""
    aside = path.with_suffix(".part")
    torch.save(state, aside)
    aside.rename(path)
