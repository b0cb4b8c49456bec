"""Models that transformers gives another shape, with the two methods of a CLIP: an image tower alone, and BLIP's."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch

from shotdex.store.errors import ModelUnavailable

from .families import Family

VISION = ("vision_model", "visual_projection", "vision_proj", "visual")
"""The modules that images go through, by their names in transformers and in open_clip."""


class ImagesOnly(torch.nn.Module):
    """An image tower alone: an image's vector is its class token, or what the tower pools where it has none."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.vision_model = model
        self.config = model.config

    def get_image_features(self, **inputs: Any) -> Any:
        """Return `pooler_output` (N, D) and `last_hidden_state`."""
        out = self.vision_model(**inputs)
        hidden = out.last_hidden_state
        # A ViT's pooler was trained with a classifier and is often absent; DINO's is the class token itself.
        pooled = hidden[:, 0] if hidden.ndim == 3 else getattr(out, "pooler_output", None)
        if pooled is None:
            pooled = hidden.mean(dim=(2, 3))
        return SimpleNamespace(pooler_output=pooled.flatten(1), last_hidden_state=hidden)


class BlipTowers(torch.nn.Module):
    """The contrastive towers of a `BlipForImageTextRetrieval`, as its own `forward` uses them without the ITM head."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.vision_model, self.vision_proj = model.vision_model, model.vision_proj
        self.text_encoder, self.text_proj = model.text_encoder, model.text_proj
        self.config = model.config

    def get_image_features(self, **inputs: Any) -> Any:
        """Return `pooler_output` (N, D) and `last_hidden_state`."""
        hidden = self.vision_model(**inputs).last_hidden_state
        return SimpleNamespace(pooler_output=self.vision_proj(hidden[:, 0]), last_hidden_state=hidden)

    def get_text_features(self, **inputs: Any) -> Any:
        """Return `pooler_output` (N, D)."""
        hidden = self.text_encoder(**inputs).last_hidden_state
        return SimpleNamespace(pooler_output=self.text_proj(hidden[:, 0]))


def with_towers(model: Any, family: Family) -> Any:
    """Return a loaded model with `get_image_features` and, unless it has no texts, `get_text_features`."""
    if not family.texts:
        return ImagesOnly(model)
    return BlipTowers(model) if family.class_name else model


def comparison(model: Any) -> tuple[float, float]:
    """Return the scale, above 0, and the bias that turn a model's cosines into logits.

    Raises:
        ModelUnavailable: one of them cannot be: it is too large, or not finite.
    """
    scale, bias = getattr(model, "logit_scale", None), getattr(model, "logit_bias", None)
    if scale is not None:
        value = float(scale.detach().reshape(-1)[0])
        factor = _checked("logit_scale", value, math.exp(value) if value < LARGEST else math.inf)
    elif hasattr(model, "temperature"):  # ALIGN divides
        value = float(model.temperature.detach())
        factor = _checked("temperature", value, 1 / value if value > 0 else math.inf)
    else:  # BLIP's files have no temperature: the value that its training begins with
        factor = 1 / 0.07
    value = float(bias.detach().reshape(-1)[0]) if bias is not None else 0.0
    return factor, _checked("logit_bias", value, value)


LARGEST = 20.0
"""Of a scale's logarithm, and of a bias in units of e: exp(20) is 5e8, where training stops at 100."""


def _checked(field: str, value: float, used: float) -> float:
    if not abs(used) < math.exp(LARGEST) or (used == 0 and field != "logit_bias"):
        raise ModelUnavailable(
            f"the model's weights cannot be used: {field} is {value:g}, so its cosines cannot be compared",
            "save the model again, or choose another with --model",
        )
    return used


def dimensions(model: Any, name: str, inputs: dict[str, Any]) -> tuple[int, int]:
    """Return the lengths of the joint and the vision vectors, from one image.

    Raises:
        ModelUnavailable: the model does not give one vector for an image.
    """
    with torch.inference_mode():
        out = model.get_image_features(**inputs)
    joint, hidden = getattr(out, "pooler_output", out), getattr(out, "last_hidden_state", None)
    if not isinstance(joint, torch.Tensor) or joint.ndim != 2 or hidden is None:
        raise ModelUnavailable(
            f"{name} does not return one vector per image, which an index needs",
            "choose another with --model; docs/models.md lists families",
        )
    return int(joint.shape[1]), int(hidden.shape[1 if hidden.ndim == 4 else -1])
