"""The modality gap: how far apart a model puts images and texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shotdex.store.types import Vectors

CLEAR = 0.05
"""A difference of mean cosines from which the gap is spoken of as one."""


@dataclass(frozen=True, slots=True)
class ModalityGap:
    """Mean cosines in [-1, 1] between different images, between different texts, and between images and texts; NaN
    where there are no such pairs. `distance`, in [0, 2], is that between the mean image and the mean text vector.

    Liang, Zhang, Kwon, Yeung and Zou (2022), "Mind the gap: understanding the modality gap in multi-modal contrastive
    representation learning", NeurIPS.
    """

    images: float
    texts: float
    across: float
    distance: float

    @property
    def apart(self) -> bool:
        """Whether there is a gap to speak of: pairs across are less alike than pairs within, by over `CLEAR`."""
        return bool((self.images + self.texts) / 2 - self.across > CLEAR)

    def __str__(self) -> str:
        between = [("two images", self.images), ("two prompts", self.texts), ("an image and a prompt", self.across)]
        said = ", ".join(f"{mean:.2f} between {what}" for what, mean in between if not np.isnan(mean))
        if np.isnan([self.images, self.texts, self.across]).any():
            return f"The mean cosine is {said}." if said else ""
        if not self.apart:
            return f"Images and prompts share one region, with almost no modality gap: the mean cosine is {said}."
        return (
            f"Images and prompts lie apart (the modality gap): the mean cosine is {said}. "
            "The distance between a prompt and an image on this map means little; what counts is which prompt is "
            "nearest to an image."
        )


def modality_gap(images: Vectors, texts: Vectors) -> ModalityGap:
    """Return the gap between N image vectors (N, D) and T text vectors (T, D), all unit rows."""
    first, second = np.asarray(images, dtype=np.float64), np.asarray(texts, dtype=np.float64)
    if not len(first) or not len(second):
        return ModalityGap(_within(first), _within(second), float("nan"), float("nan"))
    mean_image, mean_text = first.mean(axis=0), second.mean(axis=0)
    distance = float(np.linalg.norm(mean_image - mean_text))
    return ModalityGap(_within(first), _within(second), float(mean_image @ mean_text), distance)


def _within(rows: np.ndarray) -> float:
    """Return the mean cosine over all pairs of different rows: from their sum, without the N x N products."""
    count = len(rows)
    if count < 2:
        return float("nan")
    total = rows.sum(axis=0)
    return float((total @ total - np.square(rows).sum()) / (count * (count - 1)))
