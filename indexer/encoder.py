"""A transformers model as an encoder: pictures and texts in, unit vectors out, with an identity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shotdex.store.errors import ModelOutputInvalid, SettingsError, UnreadableImage
from shotdex.store.pictures import PictureRefused
from shotdex.store.words import EncoderId, ImageVectors, Pooling, Precision, Prepared, Vectors

from .families import FAMILIES, Family, canonical_text, projected_features
from .model_files import LoadedModel, load_model, load_tokenizer, weights_digest
from .preprocessing import Preprocessing, preprocessing_of

TEXT_BATCH = 64


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How to run a model. `device` is auto, cpu, cuda or mps; `precision` float32, bf16, fp16 or auto."""

    device: str = "auto"
    precision: str = "float32"
    pooling: Pooling = Pooling.MEAN


class TransformersEncoder:
    """A CLIP or SigLIP model on a device. Make one with `load_encoder`."""

    def __init__(self, loaded: LoadedModel, settings: EncoderSettings) -> None:
        import torch

        self._torch = torch
        self._place = loaded.place
        self._tokenizer: Any = None
        self._family: Family = FAMILIES[loaded.model.config.model_type]
        self._preprocessing: Preprocessing = preprocessing_of(loaded.image_processor)
        self._device = torch.device(_device(settings.device))
        precision = _precision(settings.precision, self._device.type)
        self._dtype = {
            Precision.FLOAT32: torch.float32,
            Precision.BF16: torch.bfloat16,
            Precision.FP16: torch.float16,
        }[precision]
        self._pooling = settings.pooling
        self.id = _identity(loaded, self._family, self._preprocessing, precision, settings.pooling)
        self._model = loaded.model.to(self._device, self._dtype)

    id: EncoderId

    @property
    def portable(self) -> Mapping[str, Any] | None:
        """What a decoding process needs to prepare pictures as `prepare` does; None where only this process can."""
        return self._preprocessing.portable

    def prepare(self, image: Image.Image) -> Prepared:
        """Resize and crop one RGB picture; safe to call from several threads."""
        return self._preprocessing.prepare(image)

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Return (N, D) unit rows for N RGB pictures.

        Raises:
            UnreadableImage: one is too long and thin to be resized.
        """
        try:
            prepared = [self.prepare(image) for image in images]
        except PictureRefused as error:
            raise UnreadableImage(f"the picture cannot be used: {error}", "crop it first") from error
        return self.encode_prepared(prepared).joint

    def encode_prepared(self, batch: Sequence[Prepared]) -> ImageVectors:
        """Return both spaces for prepared pictures: joint (N, D) unit rows, vision (N, V).

        A row of a picture that the model answers with NaN or infinity is not finite; the caller decides.
        """
        torch = self._torch
        with torch.inference_mode():
            inputs = self._preprocessing.collate(batch, self._device, self._dtype)
            out = self._model.vision_model(**inputs)
            joint = self._family.projected(self._model, out.pooler_output).float()
            joint = joint / joint.norm(dim=-1, keepdim=True)
            vision = self._vision(out, inputs.get("pixel_attention_mask")).float()
        return ImageVectors(_numpy(joint), _numpy(vision))

    def _vision(self, out: Any, mask: Any) -> Any:
        if self._pooling is Pooling.CLS:
            return out.pooler_output
        if mask is None:
            return out.last_hidden_state.mean(dim=1)
        weights = mask.to(out.last_hidden_state.dtype).unsqueeze(-1)  # patches of padding do not count
        return (out.last_hidden_state * weights).sum(dim=1) / weights.sum(dim=1)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D) unit rows for N texts.

        Raises:
            ModelUnavailable: the model has no tokenizer.
            ModelOutputInvalid: a vector is not finite.
        """
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self._place)
        parts = [self._encode_text_batch(texts[i : i + TEXT_BATCH]) for i in range(0, len(texts), TEXT_BATCH)]
        vectors = np.concatenate(parts) if parts else np.empty((0, self.id.dim), np.float32)
        if not np.isfinite(vectors).all():
            raise ModelOutputInvalid(f"{self.id.name} gave a text vector that is not finite", "use --precision float32")
        return vectors

    def _encode_text_batch(self, texts: Sequence[str]) -> Vectors:
        torch = self._torch
        with torch.inference_mode():
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
            return _numpy(vectors / vectors.norm(dim=-1, keepdim=True))


def load_encoder(name: str, settings: EncoderSettings | None = None) -> TransformersEncoder:
    """Load a model by `demo`, a local folder or a hub name, and put it on its device.

    Raises:
        ModelUnavailable: it cannot be found or loaded.
        SettingsError: there is no such device or precision here.
    """
    settings = settings or EncoderSettings()
    _device(settings.device)  # what is wrong with the settings is said before a model is loaded
    return TransformersEncoder(load_model(name), settings)


def _numpy(tensor: Any) -> Vectors:
    return np.asarray(tensor.cpu().numpy(), dtype=np.float32)


def _device(wanted: str) -> str:
    import torch

    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if here[name])
    if not here.get(wanted, False):
        usable = ", ".join(name for name, usable in here.items() if usable)
        raise SettingsError(f"there is no device {wanted!r} here", f"use --device auto or one of: {usable}")
    return wanted


def _precision(wanted: str, device: str) -> Precision:
    import torch

    if wanted != "auto":
        return Precision(wanted)
    if device == "cuda":
        return Precision.BF16 if torch.cuda.is_bf16_supported() else Precision.FP16
    # Without a matrix unit for bfloat16 a CPU computes it slower than float32.
    return Precision.BF16 if device == "cpu" and _cpu_has_bf16_matrix_unit() else Precision.FLOAT32


def _cpu_has_bf16_matrix_unit() -> bool:
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False


def _identity(
    loaded: LoadedModel, family: Family, preprocessing: Preprocessing, precision: Precision, pooling: Pooling
) -> EncoderId:
    model = loaded.model
    bias = getattr(model, "logit_bias", None)
    projection = getattr(model, "visual_projection", None)
    vision_dim = int(model.config.vision_config.hidden_size)
    return EncoderId(
        name=loaded.name,
        revision=loaded.revision,
        weights_sha256=weights_digest(model),
        preprocessing_sha256=preprocessing.digest(),
        precision=precision,
        dim=int(projection.out_features) if projection is not None else vision_dim,
        vision_dim=vision_dim,
        pooling=pooling,
        logit_scale=math.exp(float(model.logit_scale.detach().reshape(-1)[0])),
        logit_bias=float(bias.detach().reshape(-1)[0]) if bias is not None else 0.0,
        sigmoid=family.sigmoid,
    )
