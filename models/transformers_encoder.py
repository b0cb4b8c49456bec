"""A transformers model as an encoder: images and texts in, unit vectors out, with an identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from shotdex.store.errors import ImageFailure, ModelUnavailable, OptionError, UnreadableImage
from shotdex.store.types import EncoderId, ImageVectors, Pooling, Precision, Vectors

from .device import best_batch, keep_freed_memory, needing_room
from .families import Family, projected_features, tokenized
from .image_tower import Fetch, ImageTower, as_numpy
from .model_files import LoadedModel, load_model, load_tokenizer, weights_digest
from .precision import PrecisionChoice, candidates, choose_precision, probe_of, trial_runner, vision_parts
from .preprocessing import Preprocessing, collate
from .protocols import EncoderOptions, Prepared, Samples, finite

TEXT_BATCH = 64


class TransformersEncoder:
    """A model with the two methods of a CLIP, on a device. Make one with `load_encoder`."""

    def __init__(self, loaded: LoadedModel, options: EncoderOptions, samples: Samples | None = None) -> None:
        """`samples` are for the choice of a precision; without them images are drawn."""
        import torch

        keep_freed_memory()
        self._torch = torch
        self._folder = loaded.folder
        self._tokenizer: Any = None
        self._tokenizing = Lock()
        self.family: Family = loaded.family
        self._preprocessing: Preprocessing = loaded.preprocessing
        self._device = torch.device(device_of(options.device))
        self.id = _identity(loaded, options.pooling)
        with needing_room(self._device, "the model"):
            self._model = loaded.model.to(self._device)
        self._tower = ImageTower(self._model, self._preprocessing, options.pooling, self._device, torch.float32)
        self.choice: PrecisionChoice | None = None
        if options.precision == "auto":
            self.choice = self._choose(samples)
        precision = self.choice.precision if self.choice is not None else Precision(options.precision)
        self.id = replace(self.id, precision=precision)
        self._tower.dtype = _dtype(precision)
        for part in vision_parts(self._model).values():
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
        if vectors.shape[1] != self.id.dim:
            raise ModelUnavailable(
                f"{self.id.name} has vectors of {vectors.shape[1]} numbers for texts and of {self.id.dim} for images",
                "search with an image instead: --image FILE",
            )
        return finite(vectors, self.id)

    def text_side(self) -> tuple[Any, Any]:
        """Return the model, whose text side is in float32, and its tokenizer.

        Raises:
            ModelUnavailable: the model has no text tower, or no tokenizer.
        """
        if not self.family.texts:
            raise ModelUnavailable(
                f"{self.id.name} is an image-only model: it has no vectors of texts",
                "search with an image instead: --image FILE; or index with a CLIP or SigLIP model as well",
            )
        if self._tokenizer is None:
            self._tokenizer = self._loaded_tokenizer()
        return self._model, self._tokenizer

    def _loaded_tokenizer(self) -> Any:
        return load_tokenizer(self.id.name, self._folder)

    def _text_inputs(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return the inputs of `get_text_features` for N texts, on the CPU."""
        return tokenized(list(texts), self.family, self._model.config, self._tokenizer)

    def _encode_text_batch(self, texts: Sequence[str]) -> Vectors:
        with self._torch.inference_mode():
            with self._tokenizing:  # each call sets it up again, and it must not be in use meanwhile
                inputs = self._text_inputs(texts)
            on_device = {name: value.to(self._device) for name, value in inputs.items()}
            vectors = projected_features(self._model.get_text_features(**on_device)).float()
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
    device_of(options.device)  # what is wrong with the options is said before a model is loaded
    return TransformersEncoder(load_model(name), options, samples)


def device_of(name: str) -> str:
    """Return the device that a name means here: cpu, cuda or mps.

    Raises:
        OptionError: this machine has none of that name.
    """
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


def _identity(loaded: LoadedModel, pooling: Pooling) -> EncoderId:
    """Return the identity that the model has in float32."""
    import torch

    from .towers import comparison, dimensions

    prepared = [loaded.preprocessing.prepare(Image.new("RGB", (64, 64)))]
    inputs = loaded.preprocessing.inputs(collate(prepared, pinned=False), torch.float32)
    dim, vision_dim = dimensions(loaded.model, loaded.name, inputs)
    scale, bias = comparison(loaded.model)
    return EncoderId(
        name=loaded.name,
        revision=loaded.revision,
        weights_sha256=weights_digest(loaded.model),
        preprocessing_sha256=loaded.preprocessing.digest(),
        precision=Precision.FLOAT32,
        dim=dim,
        vision_dim=vision_dim,
        pooling=pooling,
        logit_scale=scale,
        logit_bias=bias,
        sigmoid=loaded.family.sigmoid,
    )
