"""Muon (Jordan 2024): momentum whose matrices are made orthogonal, so that every direction of a layer learns as fast.

torch.optim.Muon does the same in bfloat16, which a processor without such instructions emulates at a tenth of the
speed; this one stays in float32 and shares the matrices out among the processes that train together.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .together import rank, share, workers

STEPS = 4
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the odd polynomial that pulls singular values towards one


class Muon(torch.optim.Optimizer):
    """For matrices only. The update has the size of AdamW's (0.2 a step), so that both take the same learning rate."""

    def __init__(
        self, matrices: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step from the gradients, which are the same in every process."""
        for group in self.param_groups:
            matrices = [p for p in group["params"] if p.grad is not None]
            updates = [torch.zeros_like(p) for p in matrices]
            for i, p in enumerate(matrices):
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                if i % workers() == rank():
                    ahead = p.grad.lerp(buffer, group["momentum"])
                    updates[i] = orthogonal(ahead) * (0.2 * max(p.shape) ** 0.5)
            share(updates)
            for p, update in zip(matrices, updates, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """Return the nearest matrix with equal singular values, roughly one, by Newton and Schulz's iteration."""
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.T if matrix.shape[0] > matrix.shape[1] else x
    return result
