"""Training in several single-threaded processes that average their gradients at every step.

Two processes meet once a step; two threads of one process meet at every operation, and on a machine that others use as
well each such meeting waits for the core that is shared.
"""

import os

import torch
import torch.distributed as dist
from torch import Tensor, nn


def join() -> None:
    """Take the place that torchrun assigned in the environment; without one, this process trains alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.set_num_threads(1)
        dist.init_process_group("gloo")


def rank() -> int:
    """Return this process's number; number 0 measures, prints and saves."""
    return dist.get_rank() if dist.is_initialized() else 0


def workers() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def meet(model: nn.Module, progress: float) -> float:
    """Replace every gradient by its mean over the processes; return the mean progress, so that all stop together."""
    if not dist.is_initialized():
        return progress
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor([progress])])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, _split(flat[:-1], gradients), strict=True):
        gradient.copy_(mean)
    return float(flat[-1])


def share(parts: list[Tensor]) -> None:
    """Add up, in place, what every process computed of these tensors."""
    if dist.is_initialized():
        flat = torch.cat([part.flatten() for part in parts])
        dist.all_reduce(flat)
        for part, whole in zip(parts, _split(flat, parts), strict=True):
            part.copy_(whole)


def _split(flat: Tensor, like: list[Tensor]) -> list[Tensor]:
    return [part.view_as(one) for part, one in zip(flat.split([one.numel() for one in like]), like, strict=True)]
