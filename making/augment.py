"""What training pictures look like: moved, turned, recoloured; now and then blurred, grey, a silhouette or a part."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How often (probability per picture) and how far a batch is changed."""

    silhouette: float = 0.08
    blur: float = 0.15
    grey: float = 0.1
    part: float = 0.1
    colour: float = 0.25
    degrees: float = 15.0
    scale: tuple[float, float] = (0.65, 1.25)
    shift: float = 0.12


def augment(pixels: Tensor, mirror: Tensor, how: Augmentation, size: int, generator: torch.Generator) -> Tensor:
    """Return float32 (B, 3, size, size) in -1..1, white ground, from uint8 (B, 5, H, W) as in `Pictures.pixels`.

    `mirror` is bool (B,): the picture may be flipped left to right.
    """
    layers = pixels.float() / 255
    ink = 1 - layers[:, :3]  # white is zero, so that what moves in from outside is white
    batch = len(ink)

    def chance(probability: float) -> Tensor:
        return (torch.rand(batch, generator=generator) < probability).view(-1, 1, 1, 1)

    def between(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(batch, *shape, generator=generator) * (high - low) + low

    ink = torch.where(chance(how.silhouette), layers[:, 4:5].expand_as(ink), ink)
    ink = torch.where(chance(how.grey), ink.mean(1, keepdim=True).expand_as(ink), ink)
    ink = ink * between(1 - how.colour, 1 + how.colour, 3, 1, 1) * between(0.8, 1.1, 1, 1, 1)
    ink = torch.where(chance(how.part), ink * _window(batch, ink.shape[-1], generator), ink)
    flip = torch.where(mirror & (torch.rand(batch, generator=generator) < 0.5), -1.0, 1.0)
    ink = _move(ink, flip, how, size, between)
    ink = _blur(ink, how.blur, generator)
    return (1 - 2 * ink.clamp(0, 1)).contiguous(memory_format=torch.channels_last)


def plain(pixels: Tensor) -> Tensor:
    """Return float32 (B, 3, H, W) in -1..1: the picture over white, as the image processor delivers it."""
    return (pixels[:, :3].float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def mix(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Blend the first `share` of the batch with other pictures of it: new pictures whose name nobody knows.

    Only the teacher can say what they show, which is what makes a student agree with it off the training pictures too
    (Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent").
    """
    n = int(len(images) * share)
    if n < 2:
        return images
    weight = torch.rand(n, 1, 1, 1, generator=generator)
    other = images[:n].roll(1, 0)
    return torch.cat([weight * images[:n] + (1 - weight) * other, images[n:]])


def _window(batch: int, side: int, generator: torch.Generator) -> Tensor:
    """One rectangle of 0.4 to 0.75 of the sides, 1 inside and 0 outside: float32 (B, 1, side, side)."""
    where = torch.rand(batch, 4, generator=generator)
    extent = (0.4 + 0.35 * where[:, :2]) * side
    start = where[:, 2:] * (side - extent)
    at = torch.arange(side)
    inside = (at >= start[..., None]) & (at < (start + extent)[..., None])
    return (inside[:, 0, :, None] & inside[:, 1, None, :]).float().unsqueeze(1)


def _move(ink: Tensor, flip: Tensor, how: Augmentation, size: int, between: Callable[..., Tensor]) -> Tensor:
    angle = torch.deg2rad(between(-how.degrees, how.degrees))
    zoom = torch.exp(between(*(float(torch.tensor(s).log()) for s in how.scale)))
    stretch = torch.exp(between(-0.12, 0.12))
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    shift = between(-how.shift, how.shift, 2)
    rows = [
        torch.stack([cos * flip * stretch, -sin, shift[:, 0]], 1),
        torch.stack([sin * flip, cos / stretch, shift[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [len(ink), 3, size, size], align_corners=False)
    return F.grid_sample(ink, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _blur(ink: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Blur the first pictures of the batch (its order is random), in four strengths: sigma 0.5 to 3 of 64 pixels."""
    n = round(len(ink) * probability)
    if n == 0:
        return ink
    blurred = []
    for chunk in ink[:n].chunk(4):
        sigma = (0.5 + 2.5 * float(torch.rand((), generator=generator))) * ink.shape[-1] / 64
        taps = torch.exp(-0.5 * (torch.arange(-8, 9) / sigma) ** 2)
        taps = (taps / taps.sum()).expand(3, 1, 17)
        rows = F.conv2d(chunk, taps.unsqueeze(-1), padding=(8, 0), groups=3)
        blurred.append(F.conv2d(rows, taps.unsqueeze(-2), padding=(0, 8), groups=3))
    return torch.cat([*blurred, ink[n:]])
