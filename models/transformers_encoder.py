"""A transformers model as an encoder: images and texts in, unit vectors out, with an identity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from shotdex.store.errors import ImageFailure, OptionError, UnreadableImage
from shotdex.store.types import EncoderId, ImageVectors, Pooling, Precision, Vectors

from .device import best_batch, keep_freed_memory, needing_room
from .families import FAMILIES, Family, canonical_text, projected_features
from .image_tower import Fetch, ImageTower, as_numpy
from .model_files import LoadedModel, load_model, load_tokenizer, weights_digest
from .precision import PrecisionChoice, candidates, choose_precision, probe_of, trial_runner, vision_parts
from .preprocessing import Preprocessing, preprocessing_of
from .protocols import EncoderOptions, Prepared, Samples, finite

TEXT_BATCH = 64


class TransformersEncoder:
    """A CLIP or SigLIP model on a device. Make one with `load_encoder`."""

    def __init__(self, loaded: LoadedModel, options: EncoderOptions, samples: Samples | None = None) -> None:
        """`samples` are for the choice of a precision; without them images are drawn."""
        import torch

        keep_freed_memory()
        self._torch = torch
        self._folder = loaded.folder
        self._tokenizer: Any = None
        self._tokenizing = Lock()
        self._family: Family = FAMILIES[loaded.model.config.model_type]
        self._preprocessing: Preprocessing = preprocessing_of(loaded.image_processor)
        self._device = torch.device(_device(options.device))
        self.id = _identity(loaded, self._family, self._preprocessing, options.pooling)
        with needing_room(self._device, "the model"):
            self._model = loaded.model.to(self._device)
        self._tower = ImageTower(
            self._model, self._family, self._preprocessing, options.pooling, self._device, torch.float32
        )
        self.choice: PrecisionChoice | None = None
        if options.precision == "auto":
            self.choice = self._choose(samples)
        precision = self.choice.precision if self.choice is not None else Precision(options.precision)
        self.id = replace(self.id, precision=precision)
        self._tower.dtype = _dtype(precision)
        for part in vision_parts(self._model):
            part.to(dtype=self._tower.dtype)  # texts are few: theirs stays float32, the same vectors on every device
        if options.compile:
            self._tower.compile(probe_of(self._preprocessing, None, self.good_batch()))

    def _choose(self, samples: Samples | None) -> PrecisionChoice:
        formats = candidates(self._device)
        probe = probe_of(self._preprocessing, samples, 256 if self._device.type == "cuda" else None)
        return choose_precision(lambda precision: trial_runner(self._tower, _dtype(precision)), formats, probe)

    id: EncoderId

    @property
    def portable(self) -> Mapping[str, Any] | None:
        """What a decoding process needs to prepare images as `prepare` does; None where only this process can."""
        return self._preprocessing.portable

    def prepare(self, image: Image.Image) -> Prepared:
        """Resize and crop one RGB image; safe to call from several threads."""
        return self._preprocessing.prepare(image)

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Return (N, D) unit rows for N RGB images.

        Raises:
            UnreadableImage: one is too long and thin to be resized.
        """
        try:
            prepared = [self.prepare(image) for image in images]
        except ImageFailure as error:
            raise UnreadableImage(f"the image cannot be used: {error}", "crop it first") from error
        return self.encode_prepared(prepared).joint

    def encode_prepared(self, batch: Sequence[Prepared]) -> ImageVectors:
        """Return both spaces for prepared images: joint (N, D) unit rows, vision (N, V).

        A row of an image that the model answers with NaN or infinity is not finite; the caller decides.
        """
        return self.begin(batch)()

    def begin(self, batch: Sequence[Prepared]) -> Fetch:
        """Launch a batch; what is returned waits for its vectors. On a CPU they are there already.

        Raises:
            ModelUnavailable: the memory has no room for one image.
        """
        return self._tower.begin(batch)

    @property
    def in_flight(self) -> int:
        """How many batches are worth launching before the first of them is waited for."""
        return 2 if self._device.type == "cuda" else 1

    @property
    def shares_cores(self) -> bool:
        """Whether it computes on the cores that decode images."""
        return bool(self._device.type == "cpu")

    def good_batch(self) -> int:
        """Return how many images a batch should have here; on a GPU by trying.

        On a CPU it is always the same number. On a GPU it may be another one the next time, and with it the last bits
        of the vectors.
        """
        return best_batch(self._tower)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D) unit rows for N texts.

        Raises:
            ModelUnavailable: the model has no tokenizer, or the device no room for the texts.
            ModelOutputInvalid: a vector is not finite.
        """
        self.text_side()
        with needing_room(self._device, f"the model and {min(len(texts), TEXT_BATCH)} texts"):
            parts = [self._encode_text_batch(texts[i : i + TEXT_BATCH]) for i in range(0, len(texts), TEXT_BATCH)]
        vectors = np.concatenate(parts) if parts else np.empty((0, self.id.dim), np.float32)
        return finite(vectors, self.id)

    def text_side(self) -> tuple[Any, Any]:
        """Return the model, whose text side is in float32, and its tokenizer.

        Raises:
            ModelUnavailable: the model has no tokenizer.
        """
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self.id.name, self._folder)
        return self._model, self._tokenizer

    def _encode_text_batch(self, texts: Sequence[str]) -> Vectors:
        torch = self._torch
        with torch.inference_mode():
            with self._tokenizing:  # each call sets it up again, and it must not be in use meanwhile
                tokens = self._tokenizer(
                    [canonical_text(text, self._family, self._tokenizer) for text in texts],
                    padding=self._family.padding,
                    truncation=True,
                    max_length=self._model.config.text_config.max_position_embeddings,
                    return_tensors="pt",
                ).to(self._device)
            inputs = {"input_ids": tokens["input_ids"]}
            # SigLIP attends to its padding: it was trained that way, and its own tokenizer gives no mask.
            if not self._family.sigmoid:
                inputs["attention_mask"] = tokens["attention_mask"]
            vectors = projected_features(self._model.get_text_features(**inputs)).float()
            return as_numpy(vectors / vectors.norm(dim=-1, keepdim=True))


def load_encoder(
    name: str, options: EncoderOptions | None = None, samples: Samples | None = None
) -> TransformersEncoder:
    """Load a model by `demo`, a local folder or a hub name, and put it on its device.

    Raises:
        ModelUnavailable: it cannot be found or loaded.
        OptionError: there is no such device or precision here, or it cannot be compiled.
    """
    options = options or EncoderOptions()
    _device(options.device)  # what is wrong with the options is said before a model is loaded
    return TransformersEncoder(load_model(name), options, samples)


def _device(name: str) -> str:
    import torch

    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(one for one in ("cuda", "mps", "cpu") if here[one])
    if not here.get(name, False):
        usable = ", ".join(one for one, usable in here.items() if usable)
        raise OptionError(f"this machine has no device {name!r}", f"use --device auto or one of: {usable}")
    return name


def _dtype(precision: Precision) -> Any:
    import torch

    formats = {Precision.FLOAT32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}
    return formats[precision]


def _identity(loaded: LoadedModel, family: Family, preprocessing: Preprocessing, pooling: Pooling) -> EncoderId:
    """Return the identity that the model has in float32."""
    model = loaded.model
    bias = getattr(model, "logit_bias", None)
    projection = getattr(model, "visual_projection", None)
    vision_dim = int(model.config.vision_config.hidden_size)
    return EncoderId(
        name=loaded.name,
        revision=loaded.revision,
        weights_sha256=weights_digest(model),
        preprocessing_sha256=preprocessing.digest(),
        precision=Precision.FLOAT32,
        dim=int(projection.out_features) if projection is not None else vision_dim,
        vision_dim=vision_dim,
        pooling=pooling,
        logit_scale=math.exp(float(model.logit_scale.detach().reshape(-1)[0])),
        logit_bias=float(bias.detach().reshape(-1)[0]) if bias is not None else 0.0,
        sigmoid=family.sigmoid,
    )
