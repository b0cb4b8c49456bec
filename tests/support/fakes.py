"""An encoder without a model: quick, exact and the same in every batch. It stands in where a test needs many runs.

Its joint space is the mean colour of an image's four quarters; a colour's name as a text is an image of that colour.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageColor

from shotdex.models.protocols import Prepared
from shotdex.store.types import EncoderId, ImageVectors, Precision, Vectors

DIM, VISION_DIM = 12, 16


def fake_id(name: str = "fake", weights: str = "0" * 64, **changes: object) -> EncoderId:
    values = {
        "name": name,
        "revision": "local",
        "weights_sha256": weights,
        "preprocessing_sha256": "1" * 64,
        "precision": Precision.FLOAT32,
        "dim": DIM,
        "vision_dim": VISION_DIM,
        "logit_scale": 20.0,
    }
    return EncoderId(**(values | changes))  # type: ignore[arg-type]


class FakeEncoder:
    """`seen` counts the images encoded; `before` is called with each batch's number, from 1, ahead of it."""

    def __init__(
        self,
        identity: EncoderId | None = None,
        before: Callable[[int], None] | None = None,
        spoil: Callable[[np.ndarray], bool] | None = None,
        slow: float = 0.0,
    ) -> None:
        self.id = identity or fake_id()
        self.seen = 0
        self.texts: list[str] = []
        self.batches: list[int] = []
        self._before, self._spoil, self._slow = before, spoil, slow

    @property
    def portable(self) -> None:
        return None

    def prepare(self, image: Image.Image) -> Prepared:
        return {"pixels": np.asarray(image.resize((8, 8), Image.Resampling.BOX)).copy()}

    def encode_prepared(self, batch: Sequence[Prepared]) -> ImageVectors:
        self.batches.append(len(batch))
        if self._before:
            self._before(len(self.batches))
        time.sleep(self._slow)
        self.seen += len(batch)
        pixels = np.stack([prepared["pixels"] for prepared in batch]).astype(np.float32) / 255 - 0.45
        quarters = pixels.reshape(-1, 2, 4, 2, 4, 3).mean(axis=(2, 4)).reshape(-1, DIM)
        joint = quarters / np.linalg.norm(quarters, axis=1, keepdims=True)
        vision = pixels.mean(axis=3).reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, VISION_DIM)
        if self._spoil:
            joint[[self._spoil(prepared["pixels"]) for prepared in batch]] = np.nan
        return ImageVectors(joint.astype(np.float32), vision.astype(np.float32))

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        return self.encode_prepared([self.prepare(image) for image in images]).joint

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return np.stack([_text_vector(text) for text in texts])


def _text_vector(text: str) -> Vectors:
    try:
        colour = np.array(ImageColor.getrgb(text.split()[-1])[:3], np.float32) / 255 - 0.45
        vector = np.tile(colour, 4)
    except ValueError:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        vector = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return (vector / np.linalg.norm(vector)).astype(np.float32)
