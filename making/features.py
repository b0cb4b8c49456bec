"""A fixed description of a drawing: gradient directions, ink and colours of the picture cut to its contents.

Directions after Dalal and Triggs 2005 ("Histograms of oriented gradients for human detection"): nine unsigned
orientations, pooled over overlapping cells, normalised by their neighbourhood.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

ORIENTATIONS = 9
FAINT = 0.08  # ink below this is ground


def describe(images: Tensor) -> Tensor:
    """Map float32 (B, 3, 64, 64) in -1..1, white ground, to float32 (B, 1528)."""
    x = cut_to_contents(images)
    ink = (1 - x) / 2
    directions = _directions(x)
    fine = F.avg_pool2d(directions, 12, 8, padding=2)
    coarse = F.avg_pool2d(fine, 3, 2, padding=1)
    return torch.cat(
        [
            _normalised(fine),
            _normalised(coarse),
            F.avg_pool2d(ink, 8).flatten(1),
            0.7 * F.avg_pool2d(ink.amax(1, keepdim=True), 4).flatten(1),
            _palette(x),
        ],
        dim=1,
    )


def cut_to_contents(images: Tensor) -> Tensor:
    """Move and scale every picture so that what is not ground fills it, with 3 % to spare; the aspect is kept."""
    batch, _, height, width = images.shape
    ink = ((1 - images) / 2).amax(1) > FAINT
    top, bottom = _ends(ink.any(2))
    left, right = _ends(ink.any(1))
    half = 1.06 * torch.maximum(bottom - top, right - left) / 2
    move = torch.zeros(batch, 2, 3)
    move[:, 0, 0], move[:, 1, 1] = half / (width / 2), half / (height / 2)
    move[:, 0, 2], move[:, 1, 2] = (left + right) / width - 1, (top + bottom) / height - 1
    grid = F.affine_grid(move, list(images.shape), align_corners=False)
    return 1 - F.grid_sample((1 - images).contiguous(), grid, align_corners=False)


def _ends(filled: Tensor) -> tuple[Tensor, Tensor]:
    """First filled position and the one after the last, along rows of bool (B, N); 0 and N where nothing is filled."""
    n = filled.shape[1]
    first = filled.int().argmax(1)
    last = n - filled.flip(1).int().argmax(1)
    return first.float(), last.float()


def _directions(x: Tensor) -> Tensor:
    """Gradient strength in each of nine orientations, (B, 9, 64, 64), of the channel that changes most."""
    along = F.pad(x, (1, 1, 0, 0), mode="replicate")
    down = F.pad(x, (0, 0, 1, 1), mode="replicate")
    gx, gy = along[..., 2:] - along[..., :-2], down[:, :, 2:] - down[:, :, :-2]
    strength, channel = (gx.square() + gy.square()).max(1, keepdim=True)
    gx, gy = gx.gather(1, channel), gy.gather(1, channel)
    angles = torch.arange(ORIENTATIONS) * (math.pi / ORIENTATIONS)
    across = (gx * angles.cos().view(1, -1, 1, 1) + gy * angles.sin().view(1, -1, 1, 1)).square()
    # cos^8 of the angle between: about as wide as two of the nine bins, like the usual linear sharing between bins.
    return across.square_().square_() / (strength + 1e-6).pow(3.5)


def _normalised(cells: Tensor) -> Tensor:
    energy = F.avg_pool2d(cells.square().sum(1, keepdim=True), 3, 1, 1)
    return (cells / (3 * energy.sqrt() + 0.02)).clamp(max=0.3).sqrt().flatten(1)


def _palette(x: Tensor) -> Tensor:
    """Square roots of the shares of 4 x 4 x 4 colours, the last (white) left out."""
    level = ((x + 1) * 2).long().clamp(0, 3)
    colour = (level[:, 0] * 16 + level[:, 1] * 4 + level[:, 2]).flatten(1)
    share = torch.zeros(len(x), 64).scatter_add_(1, colour, torch.ones_like(colour, dtype=torch.float32))
    return 2 * (share[:, :63] / colour.shape[1]).sqrt()
