"""From an upright RGB image to what a model takes, equal to the transformers processor with its PIL backend.

For models of one fixed input size the work is split: resize and crop to uint8 here, on any thread; scaling and
normalising on the model's device, a whole batch at once. Others (SigLIP 2 with variable patches) go through the
transformers processor itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from shotdex.store.errors import ImageFailure
from shotdex.store.types import PIXEL_LIMIT, Reason

from .protocols import Prepared

if TYPE_CHECKING:
    import torch

PIXELS = "pixels"


@dataclass(frozen=True, slots=True)
class FixedSize:
    """Resize to a shortest edge or to an exact size, crop the centre, scale, normalise.

    `shortest_edge` or `exact` (height, width) in pixels; `crop` (height, width) or None; `resample` as PIL numbers its
    filters; a pixel p in 0..255 becomes (p * `scale` - `mean`) / `std`, per channel. With `round_crop` the margins of
    the crop are rounded half to even, as torchvision does; else down, as transformers does.
    """

    shortest_edge: int | None
    exact: tuple[int, int] | None
    crop: tuple[int, int] | None
    resample: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    round_crop: bool = False

    def prepare(self, image: Image.Image) -> Prepared:
        """Return `pixels`, uint8 (3, H, W), of an RGB image.

        Raises:
            ImageFailure: so long and thin that resizing it would take gigabytes.
        """
        width, height = self._size(*image.size)
        if width * height > PIXEL_LIMIT:  # a line of 1 x 65,535 pixels would become 224 x 14.7 million
            raise ImageFailure(
                Reason.TOO_LARGE, f"{image.width} x {image.height} would become {width} x {height} pixels"
            )
        resized = image.resize((width, height), Image.Resampling(self.resample))
        if self.crop is not None:
            margins = (height - self.crop[0]) / 2, (width - self.crop[1]) / 2
            top, left = (round(margin) if self.round_crop else int(margin // 1) for margin in margins)
            resized = resized.crop((left, top, left + self.crop[1], top + self.crop[0]))
        return {PIXELS: np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))}

    def _size(self, width: int, height: int) -> tuple[int, int]:
        if self.exact is not None:
            return self.exact[1], self.exact[0]
        edge = self.shortest_edge or 0
        # The longer side is cut, not rounded, as transformers and torchvision do.
        return (edge, int(edge * height / width)) if width <= height else (int(edge * width / height), edge)

    def inputs(self, arrays: Mapping[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Return the model's inputs, `pixel_values` (N, 3, H, W), for a batch of `pixels` on the model's device."""
        import torch

        pixels = arrays[PIXELS]
        mean, std = _constants(self.mean, self.std, pixels.device)
        values = pixels.to(torch.float32).mul_(self.scale).sub_(mean).div_(std)  # in one block of memory
        return {"pixel_values": values.to(dtype)}

    @property
    def portable(self) -> Mapping[str, Any] | None:
        """All there is to it, as JSON values: `FixedSize.of` makes it again in another process."""
        return asdict(self)

    @classmethod
    def of(cls, portable: Mapping[str, Any]) -> FixedSize:
        """Return what `portable` was taken from, also after its way through JSON, which knows no tuples."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in portable.items()
        }
        return cls(**values)

    def digest(self) -> str:
        """Return the SHA-256 of everything that changes a pixel."""
        options = asdict(self)
        if not self.round_crop:  # stores that were made before there was a choice have a digest without it
            del options["round_crop"]
        return _digest(options)


@dataclass(frozen=True, slots=True)
class OwnProcessor:
    """The transformers processor itself, one image at a time, for models whose inputs are not one array."""

    processor: Any

    def prepare(self, image: Image.Image) -> Prepared:
        """Return the processor's arrays for one RGB image, without their batch axis."""
        return {name: np.asarray(value)[0] for name, value in self.processor(images=image, return_tensors="np").items()}

    def inputs(self, arrays: Mapping[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Return the model's inputs for a batch on its device."""
        return {name: value.to(dtype) if value.is_floating_point() else value for name, value in arrays.items()}

    @property
    def portable(self) -> Mapping[str, Any] | None:
        """None: a decoding process does not have transformers."""
        return None

    def digest(self) -> str:
        """Return the SHA-256 of the processor's options."""
        return _digest(self.processor.to_dict())


class Preprocessing(Protocol):
    """From an upright RGB image to a model's inputs."""

    def prepare(self, image: Image.Image) -> Prepared:
        """Return one image's arrays, without a batch axis."""

    def inputs(self, arrays: Mapping[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Return the model's inputs for a batch on its device."""

    @property
    def portable(self) -> Mapping[str, Any] | None:
        """What a decoding process needs to do the same, as JSON values; None where only this process can."""

    def digest(self) -> str:
        """Return the SHA-256 of everything that changes a number."""


def collate(batch: Sequence[Prepared], pinned: bool) -> dict[str, torch.Tensor]:
    """Return a batch of prepared images as tensors on the CPU, by name; `pinned` ones a GPU fetches by itself."""
    import torch

    stacked = {}
    for name, first in batch[0].items():
        kind = torch.from_numpy(np.empty(0, first.dtype)).dtype
        stacked[name] = torch.empty((len(batch), *first.shape), dtype=kind, pin_memory=pinned)
        np.stack([prepared[name] for prepared in batch], out=stacked[name].numpy())
    return stacked


@lru_cache(maxsize=8)
def _constants(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return mean and standard deviation (1, C, 1, 1), kept on the device from batch to batch."""
    import torch

    return tuple(torch.tensor(each, dtype=torch.float32, device=device).reshape(1, -1, 1, 1) for each in (mean, std))


def preprocessing_in(folder: Path) -> Preprocessing:
    """Return the preprocessing that is saved with a model.

    Raises:
        Exception: of any kind, where the folder has none that transformers can read.
    """
    import transformers

    file = folder / "preprocessor_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if str(settings.get("image_processor_type", "")).startswith("DINOv3ViT"):
        # transformers reads it with torchvision only, and resizes numbers between 0 and 1: bytes differ by half a step.
        return _fixed(DINOV3 | settings)
    auto: Any = transformers.AutoImageProcessor
    return preprocessing_of(auto.from_pretrained(folder, backend="pil", trust_remote_code=False, local_files_only=True))


DINOV3 = {
    "size": {"height": 224, "width": 224},
    "resample": 2,
    "image_mean": (0.485, 0.456, 0.406),
    "image_std": (0.229, 0.224, 0.225),
}

KNOWN = ("CLIPImageProcessor", "SiglipImageProcessor", "Siglip2ImageProcessor")
"""Processors whose arithmetic is known to be the one here."""


def preprocessing_of(processor: Any) -> Preprocessing:
    """Return the preprocessing that a transformers image processor stands for: ours where it gives the same numbers."""
    settings = processor.to_dict()
    if not _is_fixed(settings, dict(settings.get("size") or {}), dict(settings.get("crop_size") or {})):
        return OwnProcessor(processor)
    fixed = _fixed(settings)
    if type(processor).__name__.removesuffix("Pil").removesuffix("Fast") in KNOWN or agree(
        fixed, lambda image: processor(images=image, return_tensors="np")["pixel_values"][0]
    ):
        return fixed
    return OwnProcessor(processor)


def agree(fixed: FixedSize, other: Callable[[Image.Image], Any]) -> bool:
    """Compare with another preprocessing, on images that say something about resizing, cropping and rounding."""
    import torch

    for width, height in ((97, 61), (333, 500), (401, 300), (226, 224)):
        pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        wanted = np.asarray(other(image))
        given = fixed.inputs(collate([fixed.prepare(image)], pinned=False), torch.float32)["pixel_values"][0].numpy()
        if given.shape != wanted.shape or np.abs(given - wanted).max() > 1e-5:
            return False
    return True


def _fixed(settings: Mapping[str, Any]) -> FixedSize:
    size, crop = dict(settings.get("size") or {}), dict(settings.get("crop_size") or {})
    normalise = settings.get("do_normalize", True)
    return FixedSize(
        shortest_edge=size.get("shortest_edge"),
        exact=(size["height"], size["width"]) if "shortest_edge" not in size else None,
        crop=(crop["height"], crop["width"]) if settings.get("do_center_crop") else None,
        resample=int(settings.get("resample", Image.Resampling.BICUBIC)),
        scale=float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0,
        mean=tuple(settings["image_mean"]) if normalise else (0.0, 0.0, 0.0),
        std=tuple(settings["image_std"]) if normalise else (1.0, 1.0, 1.0),
    )


def _is_fixed(settings: Mapping[str, Any], size: Mapping[str, int], crop: Mapping[str, int]) -> bool:
    if not settings.get("do_resize", True) or settings.get("do_pad") or "patch_size" in settings:
        return False
    if size.get("shortest_edge") and not size.get("longest_edge"):
        # A crop larger than the resized image would be padded, which the processor does its own way.
        return bool(settings.get("do_center_crop")) and max(crop["height"], crop["width"]) <= size["shortest_edge"]
    return bool(size.get("height") and size.get("width") and not settings.get("do_center_crop"))


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
