"""The model's figures: retrieval of held-out pictures, the eight categories, each with n and a Wilson interval."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from transformers import CLIPModel, PreTrainedTokenizerFast

from .art import EVALUATION_CONCEPTS, STYLES
from .augment import plain
from .captions import plain_name
from .networks import image_vectors, text_vectors
from .pictures import Pictures


@dataclass(frozen=True, slots=True)
class Share:
    """`right` of `n`, as a share with its 95 % interval after Wilson (1927)."""

    right: int
    n: int

    @property
    def value(self) -> float:
        """right / n; NaN where n is 0."""
        return self.right / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end, both NaN where n is 0."""
        if not self.n:
            return math.nan, math.nan
        z, n, p = 1.959964, self.n, self.value
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} ({low:.3f} to {high:.3f}; n = {self.n})"


@torch.no_grad()
def encode_captions(model: CLIPModel, tokens: PreTrainedTokenizerFast, captions: list[str]) -> Tensor:
    """Unit vectors (captions, 192)."""
    parts = []
    for start in range(0, len(captions), 256):
        ids = tokens(captions[start : start + 256], padding=True, truncation=True, return_tensors="pt")
        parts.append(text_vectors(model, ids["input_ids"], ids["attention_mask"]))
    return torch.cat(parts)


@torch.no_grad()
def encode_pixels(model: CLIPModel, images: Tensor) -> Tensor:
    """Unit vectors (B, 192) of float32 images (B, 3, 64, 64) in -1..1."""
    return torch.cat([image_vectors(model, chunk) for chunk in images.split(128)])


def retrieval(
    model: CLIPModel, tokens: PreTrainedTokenizerFast, pictures: Pictures, chosen: npt.NDArray[np.bool_]
) -> tuple[Share, Share]:
    """Recall@1 and @5 of the chosen pictures' names among the plain names of all concepts."""
    model.eval()
    rows = np.flatnonzero(chosen)
    names = encode_captions(model, tokens, [plain_name(c) for c in pictures.concepts])
    images = encode_pixels(model, plain(torch.from_numpy(pictures.pixels[rows])))
    right = (images @ names.T).topk(5).indices == torch.from_numpy(pictures.concept[rows])[:, None]
    return Share(int(right[:, 0].sum()), len(rows)), Share(int(right.any(1).sum()), len(rows))


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The evaluation pictures: which category each is, which was chosen, its style, and whether training saw it."""

    category: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    style: npt.NDArray[np.int64]
    unseen: npt.NDArray[np.bool_]

    def share(self, chosen: npt.NDArray[np.bool_] | None = None) -> Share:
        """Accuracy over the chosen pictures, or over all."""
        right = self.category == self.predicted
        right = right if chosen is None else right[chosen]
        return Share(int(right.sum()), len(right))


def categorise(
    model: CLIPModel, tokens: PreTrainedTokenizerFast, pictures: Pictures, condition: str, template: str = "{}"
) -> Outcomes:
    """Classify the pictures of EVALUATION_CONCEPTS into the eight categories, `template` around the bare name."""
    model.eval()
    codes = {c.hexcode: i for i, c in enumerate(pictures.concepts)}
    pairs = [(k, codes[h]) for k, hs in enumerate(EVALUATION_CONCEPTS.values()) for h in hs]
    rows = np.array([concept * len(STYLES) + s for _, concept in pairs for s in range(len(STYLES))])
    texts = encode_captions(model, tokens, [template.format(name) for name in EVALUATION_CONCEPTS])
    images = encode_pixels(model, seen_as(torch.from_numpy(pictures.pixels[rows]), condition))
    return Outcomes(
        category=np.repeat(np.array([k for k, _ in pairs]), len(STYLES)),
        predicted=(images @ texts.T).argmax(1).numpy(),
        style=pictures.style[rows],
        unseen=pictures.held_out[rows],
    )


def seen_as(pixels: Tensor, condition: str) -> Tensor:
    """Return `Pictures.pixels` as images (B, 3, 64, 64): realistic, silhouettes, or blurred (sigma 2 of 64 pixels)."""
    if condition == "silhouettes":
        return plain((255 - pixels[:, 4:5].float()).expand(-1, 3, -1, -1))
    images = plain(pixels)
    if condition == "realistic":
        return images
    taps = torch.exp(-0.5 * (torch.arange(-8, 9) / 2.0) ** 2)
    taps = (taps / taps.sum()).expand(3, 1, 17)
    padded = F.pad(images, (8, 8, 8, 8), value=1.0)
    return F.conv2d(F.conv2d(padded, taps.unsqueeze(-1), groups=3), taps.unsqueeze(-2), groups=3)


def best_scale(model: CLIPModel, tokens: PreTrainedTokenizerFast, pictures: Pictures) -> float:
    """Return the logit scale (already exponentiated) under which the held-out fifth's names are likeliest.

    One number, which changes no ranking: it only makes softmax(scale x cosine) mean what it says on unseen pictures.
    """
    rows = np.flatnonzero(pictures.fifth)
    names = encode_captions(model, tokens, [plain_name(c) for c in pictures.concepts])
    cosines = encode_pixels(model, plain(torch.from_numpy(pictures.pixels[rows]))) @ names.T
    truth = torch.from_numpy(pictures.concept[rows])
    scales = np.geomspace(5, 100, 61)
    return float(min(scales, key=lambda s: float(F.cross_entropy(float(s) * cosines, truth))))
